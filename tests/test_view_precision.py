"""Simulated reviews: the interval of the precision holds the truth, and the decisions that are said to settle it do."""

import random

import pytest

from autoif.view.precision import Band, ReviewedPrecision, count_needed, estimate_precision

RATES = [(0.5, 0.5, 0.5), (0.3, 0.6, 0.9), (0.8, 0.9, 0.99), (0.95, 0.98, 1.0), (0.0, 0.1, 0.2)]
"""True shares of right functions, the least sure band first."""


def draw_run(chance: random.Random, sizes: tuple[int, ...], rates: tuple[float, ...]) -> list[list[bool]]:
    """Return of each band which of its functions are right, in the order of the queue."""
    return [[chance.random() < rate for _ in range(size)] for size, rate in zip(sizes, rates, strict=True)]


def review(run: list[list[bool]], seen: list[int], half_width: float = 0.05) -> ReviewedPrecision:
    """Return what is known when a reviewer who is always right has seen so many of each band."""
    bands = [Band(len(band), sum(band[:n]), n - sum(band[:n])) for band, n in zip(run, seen, strict=True)]
    return estimate_precision(bands, half_width=half_width)


def holds(found: ReviewedPrecision, run: list[list[bool]]) -> bool:
    truth = sum(map(sum, run)) / sum(map(len, run))
    return found.low - 1e-4 <= truth <= found.high + 1e-4


@pytest.mark.parametrize(
    ("seen", "least", "average"),
    [((2, 0, 0), 0.97, 0.99), ((2, 2, 2), 0.88, 0.95), ((5, 5, 5), 0.93, 0.95), ((30, 10, 5), 0.93, 0.95)],
)
def test_the_interval_holds_the_truth_whatever_it_is(seen: tuple[int, ...], least: float, average: float) -> None:
    chance, reviews, shares = random.Random(3), 300, []
    for size in (6, 34, 300):
        for rates in RATES if max(seen) <= size else ():
            runs = [draw_run(chance, (size,) * 3, rates) for _ in range(reviews)]
            shares.append(sum(holds(review(run, list(seen), half_width=1), run) for run in runs) / reviews)
    assert min(shares) >= least
    assert sum(shares) / len(shares) >= average


@pytest.mark.parametrize(("sizes", "half_width"), [((10, 10, 10), 0.05), ((34, 34, 34), 0.1), ((200, 60, 20), 0.1)])
def test_who_decides_as_often_as_is_said_gets_the_precision_asked_for(
    sizes: tuple[int, ...], half_width: float
) -> None:
    chance, reviews = random.Random(1), 40
    for rates in RATES:
        held = 0
        for _ in range(reviews):
            run = draw_run(chance, sizes, rates)
            some = [min(3, size) for size in sizes]
            begun = review(run, some, half_width)
            after = review(run, [n + more for n, more in zip(some, begun.needed, strict=True)], half_width)
            assert (after.high - after.low) / 2 <= 1.35 * half_width
            while sum(after.needed):  # who goes on until it is settled
                some = [n + more for n, more in zip(some, after.needed, strict=True)]
                after = review(run, some, half_width)
            assert (after.high - after.low) / 2 <= half_width + 1e-4
            held += holds(after, run)
        assert held >= 0.85 * reviews


def test_fewer_decisions_are_asked_for_where_all_go_one_way() -> None:
    split, alike = ([Band(200, right, 20 - right)] * 3 for right in (10, 20))
    assert sum(count_needed(alike, 0.05)) < sum(count_needed(split, 0.05)) / 2
    assert sum(count_needed(split, 0.1)) < sum(count_needed(split, 0.05))
    assert count_needed(split, 0.5) == (0, 0, 0)
    assert count_needed([Band(5), Band(0), Band(5)], 0.001) == (5, 0, 5)


def test_doubtful_functions_that_are_wrong_count_by_the_size_of_their_band() -> None:
    found = estimate_precision([Band(100, 0, 20), Band(100, 20), Band(100, 20)])
    assert found.value == pytest.approx(2 / 3, abs=1e-3)
    assert found.low < 2 / 3 < found.high


def test_what_was_picked_is_known_and_says_nothing_of_the_others() -> None:
    nothing = estimate_precision([Band(30), Band(30), Band(30)], picked=(0, 10))
    assert (nothing.low, nothing.high, nothing.decided, nothing.queued) == (0, 0.9, 10, 0)
    sampled = estimate_precision([Band(30, 10), Band(30, 10), Band(30, 10)], picked=(0, 10))
    assert sampled.value == 0.9


def test_the_interval_is_a_point_when_all_is_decided() -> None:
    found = estimate_precision([Band(10, 9, 1), Band(10, 10), Band(0)], picked=(1, 0))
    assert found.value == found.low == found.high == round(20 / 21, 4)
    assert found.needed == (0, 0, 0)
