"""How often the intervals of evaluations hold the truth, by simulation: those of rates, and those of differences.

    python benchmarks/interval_coverage.py                  # the table of docs/evaluation.md, eight minutes
    python benchmarks/interval_coverage.py --trials 150     # in make bench, two

Each trial draws clusters of 16 values, whose own rates vary widely (a beta distribution of concentration 2), or of one
value, and asks whether the interval of 95 % holds the rate that they were drawn from: a bootstrap's, and the one that
is reported. For differences, a second model gets right a tenth of what the first got wrong. It prints what is shown in
docs/evaluation.md, and fails if a reported interval of a rate holds the truth in fewer than 88 of 100 trials.
"""

import argparse
import random
import sys
from collections.abc import Callable
from functools import partial

from autoif.evaluation.statistics import Interval, bootstrap_difference, draw_ends, estimate_rate, sum_clusters

RESAMPLES, EACH, CONCENTRATION = 1000, 16, 2.0
CLUSTERS, RATES = (3, 5, 8, 15, 40), (0.02, 0.1, 0.4, 0.98)
GAIN = 0.1
WANTED = 0.88
Draw = Callable[[random.Random], tuple[list[float], list[str]]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=600, help="of each cell of the table (default: 600)")
    trials = parser.parse_args().trials
    lowest = 1.0
    rates = " | ".join(f"{100 * rate:.0f} %" for rate in RATES)
    print(f"| clusters, values in each | {rates} |\n|---|{'--:|' * len(RATES)}")
    for each in (EACH, 1):
        for clusters in CLUSTERS:
            cells = []
            for rate in RATES:
                draw = partial(draw_values, clusters, each, rate)
                drawn, told = (
                    count_held(draw, estimate, 100 * rate, trials) for estimate in (bootstrap_rate, estimate_rate)
                )
                lowest = min(lowest, told)
                cells.append(f"{100 * drawn:.0f} → {100 * told:.0f}")
            print(f"| {clusters}, {each} | {' | '.join(cells)} |", flush=True)
    held = ", ".join(f"{100 * count_differences(clusters, trials):.0f} at {clusters}" for clusters in CLUSTERS)
    print(f"differences, of clusters of {EACH}: {held} clusters")
    print(f"lowest of the reported rates: {100 * lowest:.1f} % (wanted: {100 * WANTED:.0f})")
    return 0 if lowest >= WANTED else 1


def draw_values(clusters: int, each: int, rate: float, draw: random.Random) -> tuple[list[float], list[str]]:
    """Return percentages, each 0 or 100, and the cluster of each."""
    values, names = list[float](), list[str]()
    for number in range(clusters):
        own = draw.betavariate(rate * CONCENTRATION, (1 - rate) * CONCENTRATION) if each > 1 else rate
        values += [100.0 * (draw.random() < own) for _ in range(each)]
        names += [str(number)] * each
    return values, names


def bootstrap_rate(values: list[float], names: list[str]) -> Interval:
    """Return the bootstrap's interval, whatever the values."""
    low, high = draw_ends([sum_clusters(values, names)], RESAMPLES)
    return Interval(value=sum(values) / len(values), low=low, high=high, clusters=len(set(names)))


def count_held(draw: Draw, estimate: Callable[[list[float], list[str]], Interval], truth: float, trials: int) -> float:
    """Return the share of trials whose interval holds the truth."""
    source = random.Random(0)
    held = 0
    for _ in range(trials):
        found = estimate(*draw(source))
        assert found.low is not None and found.high is not None and 0 <= found.low <= found.high <= 100
        held += found.low <= truth <= found.high
    return held / trials


def count_differences(clusters: int, trials: int) -> float:
    """Return the share of trials whose interval holds the true difference of two models."""
    source, rate = random.Random(0), 0.4
    held = 0
    for _ in range(trials):
        first, names = draw_values(clusters, EACH, rate, source)
        second = [value or 100.0 * (source.random() < GAIN) for value in first]
        found = bootstrap_difference([(first, names)], [(second, names)])
        if found.low is None or found.high is None:
            held += 1  # nothing is claimed
        else:
            held += found.low <= 100 * GAIN * (1 - rate) <= found.high
    return held / trials


if __name__ == "__main__":
    sys.exit(main())
