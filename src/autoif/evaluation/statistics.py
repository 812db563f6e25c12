"""95 % cluster-bootstrap intervals of scores and of paired differences.

Values of one instruction are correlated, so the bootstrap resamples whole clusters; an interval over single values
would be too narrow.

many clusters      percentile interval, widened by Student's t (Hesterberg, 2015, "expanded percentile")
fewer than eight   Student's t interval, with a caution
rates near 0, 100  Wilson's interval with Student's t, over the effective number of independent values: a bootstrap
                   can't draw what was never seen

docs/evaluation.md shows the coverage of these intervals (benchmarks/interval_coverage.py).
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from autoif.records import Record
from autoif.student import find_student

RESAMPLES = 10_000
FEW = 8
"""With fewer clusters, no interval can be trusted."""
_DRAWS_AT_ONCE = 2_000_000
_RARE = 5
"""A bootstrap of a rate needs right and wrong values worth at least this many clusters each."""
_NEAR = 0.25
"""A rate within this distance of 0 or 1 counts as near."""
Stratum = tuple[Sequence[float], Sequence[str]]
"""Values that are averaged together, and the cluster of each."""
Summed = tuple[np.ndarray, np.ndarray]
"""The sum and the number of values of each cluster."""


class Interval(Record):
    """A mean with its interval, in the unit of the values."""

    value: float
    low: float | None
    """None if there is no interval: with one cluster, or a few that are all alike."""
    high: float | None
    clusters: int
    caution: str | None = None
    """Why the interval is rough; None if it can be trusted."""

    @property
    def includes_zero(self) -> bool:
        """Whether 0 is within the interval; true if there is none."""
        return self.low is None or self.high is None or self.low <= 0 <= self.high


def describe(interval: Interval, *, signed: bool = False, digits: int = 1) -> str:
    """Return a value with its interval and its caution, as in "31.2 [24.0, 38.9]"."""
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
    """Return the mean of the strata's means with its 95 % interval, cut at the bounds.

    Strata have equal weight, whatever their size, and clusters are resampled within their stratum. With fewer than
    `FEW` clusters it is Student's interval. The order of the values doesn't matter.
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
    """Return both ends of the bootstrap interval, shape (2,); each stratum needs at least two clusters."""
    draws = np.zeros(resamples)
    for number, (sums, counts) in enumerate(summed):
        draws += _resample(sums, counts, resamples, seed + number)
    freedom = sum(len(sums) - 1 for sums, _ in summed)
    # The share of resamples beyond each end: 0.025 for very many clusters, smaller for few.
    tail = NormalDist().cdf(-find_student(freedom) * math.sqrt((freedom + 1) / freedom))
    return np.quantile(draws / len(summed), [tail, 1 - tail])


def _find_students(summed: Sequence[Summed], value: float, freedom: int, bounds: tuple[float, float]) -> Interval:
    """Return Student's interval from the variance between clusters."""
    clusters = sum(len(sums) for sums, _ in summed)
    half = find_student(freedom) * math.sqrt(sum(_find_variance(*each) for each in summed)) / len(summed)
    if half == 0 and value:
        return Interval(value=value, low=None, high=None, clusters=clusters, caution=f"{clusters} clusters, all alike")
    low, high = max(value - half, bounds[0]), min(value + half, bounds[1])
    return Interval(value=value, low=low, high=high, clusters=clusters, caution=f"{clusters} clusters")


def _find_variance(sums: np.ndarray, counts: np.ndarray) -> float:
    """Return the variance of a stratum's mean, from its clusters."""
    rest = sums - counts * sums.sum() / counts.sum()
    return float((rest**2).sum()) / float(counts.sum()) ** 2 * len(sums) / (len(sums) - 1)


def bootstrap_difference(first: Sequence[Stratum], second: Sequence[Stratum]) -> Interval:
    """Return the mean of second - first with its 95 % interval, paired value by value.

    Both have the same strata, with values for the same prompts in the same order.
    """
    paired = [
        ([b - a for a, b in zip(ours, theirs, strict=True)], clusters)
        for (ours, _), (theirs, clusters) in zip(first, second, strict=True)
    ]
    return bootstrap_strata(paired)


def compute_mcnemar(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Return McNemar's exact two-sided p. It takes pairs as independent, which prompts of one instruction are not."""
    gained = sum(b and not a for a, b in zip(first, second, strict=True))
    lost = sum(a and not b for a, b in zip(first, second, strict=True))
    changed = gained + lost
    tail = sum(math.comb(changed, count) for count in range(min(gained, lost) + 1))
    return min(1.0, 2 * tail / (1 << changed))


def sum_clusters(values: Sequence[float], clusters: Sequence[str]) -> Summed:
    """Return the sum and the number of the values of each cluster, in the order of the clusters' names."""
    groups: dict[str, list[float]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        groups.setdefault(cluster, []).append(value)
    if not groups:
        raise ValueError("there are no values to average")
    names = sorted(groups)
    return np.array([math.fsum(groups[name]) for name in names]), np.array([len(groups[name]) for name in names])


def _resample(sums: np.ndarray, counts: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Return the mean of each bootstrap resample of the clusters, shape (resamples,)."""
    generator = np.random.default_rng(seed)
    rows = max(1, _DRAWS_AT_ONCE // len(sums))
    means = []
    for start in range(0, resamples, rows):
        draws = generator.integers(0, len(sums), size=(min(rows, resamples - start), len(sums)))
        means.append(sums[draws].sum(axis=1) / counts[draws].sum(axis=1))
    return np.concatenate(means)


def estimate_rate(values: Sequence[float], clusters: Sequence[str]) -> Interval:
    """Return the mean of percentages with its 95 % interval; `clusters` names the cluster of each value."""
    return estimate_strata_rate([(values, clusters)])


def estimate_strata_rate(strata: Sequence[Stratum]) -> Interval:
    """Return the mean of the rates of strata with equal weight, with its 95 % interval, within 0 to 100.

    A single value may be below 0: FollowBench's official program counts -1 for a judgement that can't be read.
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
    """Return the effective sample size: how many independent values would give the mean the same variance.

    The intra-cluster correlation, 0 to 1, is shrunk towards one half with the weight of two clusters, since few
    clusters, or a rate near 0, say little about it.
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
    """Return Wilson's interval of a rate between 0 and 1 from `count` independent values."""
    square = quantile**2 / count
    middle = (rate + square / 2) / (1 + square)
    half = math.sqrt(square * (rate * (1 - rate) + square / 4)) / (1 + square)
    return max(0.0, middle - half) if rate > 0 else 0.0, min(1.0, middle + half) if rate < 1 else 1.0
