"""How sure a mean is: bootstrap intervals over clusters, of a score and of a difference on the same prompts.

Values that share an instruction share its functions and its difficulty, so they vary together. What is drawn again is
therefore the cluster with all of its values: an interval over single values would be too narrow.

Percentile intervals of few clusters are too narrow as well (of 15: by about a tenth). Their percentiles are moved
outwards as Student's t asks (Hesterberg, 2015, "expanded percentile"); with many clusters nothing changes.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from autoif.records import Record

LEVEL = 0.95
RESAMPLES = 10_000
_DRAWS_AT_ONCE = 2_000_000
Stratum = tuple[Sequence[float], Sequence[str]]
"""Values that count together, and the cluster of each."""


class Interval(Record):
    """A mean with its interval, in the unit of the values."""

    value: float
    low: float | None
    """None where there is one cluster: nothing is known of how others would do."""
    high: float | None
    clusters: int

    @property
    def includes_zero(self) -> bool:
        """Tell whether a difference of nothing is within the interval; it is not excluded where there is none."""
        return self.low is None or self.high is None or self.low <= 0 <= self.high


def describe(interval: Interval, *, signed: bool = False, digits: int = 1) -> str:
    """Return a value with its interval, as in "31.2 [24.0, 38.9]"."""
    form = f"{'+' if signed else ''}.{digits}f"
    if interval.low is None or interval.high is None:
        return f"{interval.value:{form}} [no interval: one cluster]"
    return f"{interval.value:{form}} [{interval.low:{form}}, {interval.high:{form}}]"


def bootstrap_mean(
    values: Sequence[float], clusters: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return the mean of `values` and its 95 % interval; `clusters` names the cluster of each value.

    The same values in any order give the same interval. A cluster counts by how many values it has.
    """
    return bootstrap_strata([(values, clusters)], resamples=resamples, seed=seed)


def bootstrap_strata(strata: Sequence[Stratum], *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Return the mean of the means of several sets of values with its 95 % interval.

    Every set counts alike, however large it is, and its clusters are drawn again within it.
    """
    total, draws, clusters, lone = [], np.zeros(resamples), 0, False
    for number, (values, names) in enumerate(strata):
        sums, counts = _sum_clusters(values, names)
        total.append(math.fsum(values) / len(values))
        clusters, lone = clusters + len(sums), lone or len(sums) == 1
        if not lone:
            draws += _resample(sums, counts, resamples, seed + number)
    mean = math.fsum(total) / len(total)
    if lone:
        return Interval(value=mean, low=None, high=None, clusters=clusters)
    tail = _expanded_tail(clusters - len(strata) + 1)
    low, high = np.quantile(draws / len(strata), [tail, 1 - tail])
    return Interval(value=mean, low=float(low), high=float(high), clusters=clusters)


def bootstrap_difference(first: Sequence[Stratum], second: Sequence[Stratum], *, seed: int = 0) -> Interval:
    """Return the mean of second - first, paired: value by value on the same prompts, with its 95 % interval.

    Both have the same sets, with the values of the same prompts in the same order; `bootstrap_strata` says how the sets
    count.
    """
    paired = [
        ([b - a for a, b in zip(ours, theirs, strict=True)], clusters)
        for (ours, _), (theirs, clusters) in zip(first, second, strict=True)
    ]
    return bootstrap_strata(paired, seed=seed)


def compute_mcnemar(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Return McNemar's exact two-sided p: of so lopsided a change or more, if a change were as likely as its reverse.

    It takes the pairs as independent of each other, which prompts of one instruction are not quite.
    """
    gained = sum(b and not a for a, b in zip(first, second, strict=True))
    lost = sum(a and not b for a, b in zip(first, second, strict=True))
    changed = gained + lost
    tail = sum(math.comb(changed, count) for count in range(min(gained, lost) + 1))
    return min(1.0, 2 * tail / (1 << changed))


def _sum_clusters(values: Sequence[float], clusters: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum and the number of the values of each cluster, by the clusters' names in order."""
    groups: dict[str, list[float]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        groups.setdefault(cluster, []).append(value)
    if not groups:
        raise ValueError("there are no values to average")
    names = sorted(groups)
    return np.array([math.fsum(groups[name]) for name in names]), np.array([len(groups[name]) for name in names])


def _resample(sums: np.ndarray, counts: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Return the means of `resamples` draws of as many clusters as there are, shape (resamples,)."""
    generator = np.random.default_rng(seed)
    rows = max(1, _DRAWS_AT_ONCE // len(sums))
    means = []
    for start in range(0, resamples, rows):
        draws = generator.integers(0, len(sums), size=(min(rows, resamples - start), len(sums)))
        means.append(sums[draws].sum(axis=1) / counts[draws].sum(axis=1))
    return np.concatenate(means)


def _expanded_tail(clusters: int) -> float:
    """Return the share of resamples beyond each end: 0.025 for very many clusters, less for few."""
    z, freedom = NormalDist().inv_cdf(0.5 + LEVEL / 2), clusters - 1
    # Student's t at that level, by its expansion around the normal one (Abramowitz and Stegun, 26.7.5).
    t = (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
    return NormalDist().cdf(-t * math.sqrt(clusters / freedom))
