"""How sure a mean is: bootstrap intervals over clusters, of a score and of a difference on the same prompts.

Values that share an instruction share its functions and its difficulty, so they vary together. What is drawn again is
therefore the cluster with all of its values: an interval over single values would be too narrow.

Percentile intervals of few clusters are too narrow as well (of 15: by about a tenth). Their percentiles are moved
outwards as Student's t asks (Hesterberg, 2015, "expanded percentile"); with many clusters nothing changes.
Of fewer than eight they stay too narrow: there stands Student's own interval, and it says that it is rough.

Of a rate near 0 or 100 a bootstrap's interval is too narrow, too: what was never seen can't be drawn again. There, and
of few clusters, stands Wilson's, over as many independent values as the clusters are worth, with Student's t.
docs/evaluation.md shows how often these hold the truth, as benchmarks/interval_coverage.py counts it.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from autoif.records import Record
from autoif.student import find_student

RESAMPLES = 10_000
FEW = 8
"""Clusters below which no interval can be trusted."""
_DRAWS_AT_ONCE = 2_000_000
_RARE = 5
"""Clusters' worth of what happens less often, right or wrong: below it a bootstrap holds the truth too seldom."""
_NEAR = 0.25
"""What a rate is at most away from 0 or 1 to be called near; else its clusters are too few for a bootstrap."""
Stratum = tuple[Sequence[float], Sequence[str]]
"""Values that count together, and the cluster of each."""
Summed = tuple[np.ndarray, np.ndarray]
"""The sum and the number of the values of each cluster."""


class Interval(Record):
    """A mean with its interval, in the unit of the values."""

    value: float
    low: float | None
    """None where nothing is known of how others would do: there is one cluster, or few that changed all alike."""
    high: float | None
    clusters: int
    caution: str | None = None
    """Why the interval is rough; None where it can be trusted."""

    @property
    def includes_zero(self) -> bool:
        """Tell whether a difference of nothing is within the interval; it is not excluded where there is none."""
        return self.low is None or self.high is None or self.low <= 0 <= self.high


def describe(interval: Interval, *, signed: bool = False, digits: int = 1) -> str:
    """Return a value with its interval, as in "31.2 [24.0, 38.9]", and with what speaks against trusting it."""
    form = f"{'+' if signed else ''}.{digits}f"
    if interval.low is None or interval.high is None:
        return f"{interval.value:{form}} [no interval: {interval.caution or 'one cluster'}]"
    rough = f"; rough: {interval.caution}" if interval.caution else ""
    return f"{interval.value:{form}} [{interval.low:{form}}, {interval.high:{form}}{rough}]"


def bootstrap_strata(
    strata: Sequence[Stratum],
    *,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the mean of the means of several sets of values with its 95 % interval.

    Every set counts alike, however large it is, and its clusters are drawn again within it. Nothing is told beyond the
    bounds. Of fewer than `FEW` clusters nothing is drawn: the interval is Student's, with a caution. The same values in
    any order give the same interval.
    """
    summed = [sum_clusters(values, names) for values, names in strata]
    clusters = sum(len(sums) for sums, _ in summed)
    mean = math.fsum(math.fsum(values) / len(values) for values, _ in strata) / len(strata)
    value = min(max(mean, bounds[0]), bounds[1])
    if any(len(sums) == 1 for sums, _ in summed):
        return Interval(value=value, low=None, high=None, clusters=clusters)
    freedom = clusters - len(strata)
    if freedom + 1 < FEW:
        return _find_students(summed, value, freedom, bounds)
    low, high = np.clip(draw_ends(summed, resamples, seed), *bounds)
    return Interval(value=value, low=float(low), high=float(high), clusters=clusters)


def draw_ends(summed: Sequence[Summed], resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Return both ends of the bootstrap's interval, shape (2,), of however few clusters; each set has two or more."""
    draws = np.zeros(resamples)
    for number, (sums, counts) in enumerate(summed):
        draws += _resample(sums, counts, resamples, seed + number)
    tail = _expanded_tail(sum(len(sums) - 1 for sums, _ in summed) + 1)
    return np.quantile(draws / len(summed), [tail, 1 - tail])


def _find_students(summed: Sequence[Summed], value: float, freedom: int, bounds: tuple[float, float]) -> Interval:
    """Return a mean's interval from how much the means of its few clusters vary."""
    variance, clusters = 0.0, sum(len(sums) for sums, _ in summed)
    for sums, counts in summed:
        variance += _find_variance(sums, counts)
    half = find_student(freedom) * math.sqrt(variance) / len(summed)
    if half == 0 and value:
        return Interval(value=value, low=None, high=None, clusters=clusters, caution=f"{clusters} clusters, all alike")
    low, high = max(value - half, bounds[0]), min(value + half, bounds[1])
    return Interval(value=value, low=low, high=high, clusters=clusters, caution=f"{clusters} clusters")


def _find_variance(sums: np.ndarray, counts: np.ndarray) -> float:
    """Return the variance of the mean of a set, by how its clusters vary."""
    rest = sums - counts * sums.sum() / counts.sum()
    return float((rest**2).sum()) / float(counts.sum()) ** 2 * len(sums) / (len(sums) - 1)


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


def sum_clusters(values: Sequence[float], clusters: Sequence[str]) -> Summed:
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
    return NormalDist().cdf(-find_student(clusters - 1) * math.sqrt(clusters / (clusters - 1)))


def estimate_rate(values: Sequence[float], clusters: Sequence[str]) -> Interval:
    """Return the mean of percentages with its 95 % interval; `clusters` names the cluster of each value."""
    return estimate_strata_rate([(values, clusters)])


def estimate_strata_rate(strata: Sequence[Stratum]) -> Interval:
    """Return the mean of the rates of several sets, each counting alike, with its 95 % interval, within 0 to 100.

    A value below 0, as FollowBench's official program gives for a judgement that can't be read, takes its part from the
    mean, but no rate goes below 0.
    """
    found = bootstrap_strata(strata, bounds=(0, 100))
    freedom, rate = found.clusters - len(strata), found.value / 100
    few, rare = freedom + 1 < FEW, found.clusters * min(rate, 1 - rate) < _RARE
    lone = any(len(set(names)) == 1 for _, names in strata)
    if lone or not (few or rare):
        return found
    low, high = _find_wilson(rate, _count_independent(rate, strata), find_student(freedom))
    caution = "near 0 or 100" if not few and min(rate, 1 - rate) < _NEAR else f"{found.clusters} clusters"
    return Interval(value=found.value, low=100 * low, high=100 * high, clusters=found.clusters, caution=caution)


def _count_independent(rate: float, strata: Sequence[Stratum]) -> float:
    """Return how many independent values would make the mean as sure as these are.

    How alike the values of a cluster are, 0 to 1, is the average of what was seen and of one half, which counts as much
    as two clusters do: what a few clusters show, or a rate near 0, says little by itself.
    """
    spread, apart, alike, clusters = 0.0, 0.0, 0.0, 0
    for values, names in strata:
        sums, counts = sum_clusters([min(max(value, 0), 100) / 100 for value in values], names)
        spread += _find_variance(sums, counts)
        apart += 1 / counts.sum()
        alike += float((counts**2).sum()) / counts.sum() ** 2
        clusters += len(sums)
    spread, apart, alike = (each / len(strata) ** 2 for each in (spread, apart, alike))
    single = rate * (1 - rate)
    weight = 4 * clusters * single
    seen = (spread / single - apart) / (alike - apart) if weight and alike > apart else 0.0
    likeness = (weight * min(max(seen, 0.0), 1.0) + 1) / (weight + 2)
    return 1 / (apart + likeness * (alike - apart))


def _find_wilson(rate: float, count: float, quantile: float) -> tuple[float, float]:
    """Return Wilson's interval of a rate of 0 to 1 over `count` independent values."""
    square = quantile**2 / count
    middle = (rate + square / 2) / (1 + square)
    half = math.sqrt(square * (rate * (1 - rate) + square / 4)) / (1 + square)
    return max(0.0, middle - half) if rate > 0 else 0.0, min(1.0, middle + half) if rate < 1 else 1.0
