"""How sure a rate is, in percent: by bootstrap, and where that can't be trusted by Wilson's interval.

Of few clusters, and of rates near 0 or 100, a bootstrap's interval is too narrow: what was never seen can't be drawn
again. There stands Wilson's, over as many independent values as the clusters are worth, with Student's t, and it says
that it is rough. docs/evaluation.md shows how often both hold the truth, as benchmarks/interval_coverage.py counts it.
"""

import math
from collections.abc import Sequence

from autoif.evaluation.bootstrap import FEW, Interval, Stratum, bootstrap_strata, find_student, sum_clusters

_RARE = 5
"""Clusters' worth of what happens less often, right or wrong: below it a bootstrap holds the truth too seldom."""


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
    caution = f"{found.clusters} clusters" if few else "near 0 or 100"
    return Interval(value=found.value, low=100 * low, high=100 * high, clusters=found.clusters, caution=caution)


def _count_independent(rate: float, strata: Sequence[Stratum]) -> float:
    """Return how many independent values would make the mean as sure as these are.

    How alike the values of a cluster are, 0 to 1, is the average of what was seen and of one half, which counts as much
    as two clusters do: what a few clusters show, or a rate near 0, says little by itself.
    """
    spread, apart, alike, clusters = 0.0, 0.0, 0.0, 0
    for values, names in strata:
        sums, counts = sum_clusters([min(max(value, 0), 100) / 100 for value in values], names)
        number, total = len(sums), counts.sum()
        rest = sums - counts * sums.sum() / total
        spread += float((rest**2).sum()) / total**2 * number / (number - 1)
        apart += 1 / total
        alike += float((counts**2).sum()) / total**2
        clusters += number
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
