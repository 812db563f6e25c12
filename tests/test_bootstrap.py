"""Intervals: against known values, and as often right as they say."""

import math
import random
from statistics import NormalDist, fmean, stdev

import pytest

from autoif.evaluation.statistics import bootstrap_difference, bootstrap_strata, compute_mcnemar


def names(count: int, *, each: int = 1) -> list[str]:
    """Return the clusters of `count` clusters of `each` values."""
    return [f"c{number // each}" for number in range(count * each)]


def test_the_interval_of_many_independent_values_is_the_normal_one():
    values = [random.Random(number).gauss(3, 2) for number in range(400)]
    found = bootstrap_strata([(values, names(400))])
    half = NormalDist().inv_cdf(0.975) * stdev(values) / math.sqrt(400)
    assert found.value == pytest.approx(fmean(values))
    assert found.low == pytest.approx(fmean(values) - half, abs=half / 15)
    assert found.high == pytest.approx(fmean(values) + half, abs=half / 15)


@pytest.mark.parametrize(("count", "t"), [(8, 2.3646), (15, 2.1448), (40, 2.0227)])
def test_the_interval_of_few_values_is_as_wide_as_students(count, t):
    values = [NormalDist().inv_cdf((number + 0.5) / count) for number in range(count)]
    found = bootstrap_strata([(values, names(count))], resamples=40_000)
    half = t * stdev(values) / math.sqrt(count)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.05)


def test_values_of_a_cluster_are_drawn_together():
    values = [float(number // 10 % 2) for number in range(400)]
    together = bootstrap_strata([(values, names(40, each=10))])
    apart = bootstrap_strata([(values, names(400))])
    assert together.value == apart.value == 0.5
    assert (together.high - together.low) / (apart.high - apart.low) == pytest.approx(math.sqrt(10), rel=0.1)
    assert (together.clusters, apart.clusters) == (40, 400)


def test_a_cluster_counts_by_its_values():
    found = bootstrap_strata([([1, 1, 1, 0], ["a", "a", "a", "b"])], bounds=(0, 1))
    assert found.value == 0.75
    assert (found.low, found.high) == (0, 1)


def test_of_15_clusters_95_of_100_intervals_hold_the_truth():
    """Sixteen prompts of each instruction, whose difficulty varies widely: as in a small evaluation."""
    draw = random.Random(0)
    held = 0
    for trial in range(400):
        rates = [draw.betavariate(0.8, 1.2) for _ in range(15)]  # of mean 0.4
        values = [float(draw.random() < rate) for rate in rates for _ in range(16)]
        found = bootstrap_strata([(values, names(15, each=16))], resamples=1000, seed=trial)
        held += found.low <= 0.4 <= found.high
    assert 0.925 <= held / 400 <= 0.975


def test_an_interval_over_prompts_alone_would_be_wrong_far_more_often():
    draw = random.Random(0)
    held = 0
    for trial in range(200):
        rates = [draw.betavariate(0.8, 1.2) for _ in range(15)]
        values = [float(draw.random() < rate) for rate in rates for _ in range(16)]
        found = bootstrap_strata([(values, names(240))], resamples=500, seed=trial)
        held += found.low <= 0.4 <= found.high
    assert held / 200 < 0.75


def test_the_same_values_in_another_order_give_the_same_interval_and_another_seed_nearly_so():
    values = [random.Random(number).random() for number in range(90)]
    clusters = names(30, each=3)
    found = bootstrap_strata([(values, clusters)])
    assert bootstrap_strata([(values[::-1], clusters[::-1])]) == found
    other = bootstrap_strata([(values, clusters)], seed=1)
    assert other != found
    assert other.low == pytest.approx(found.low, abs=0.01)


def test_one_cluster_has_no_interval_and_no_value_no_mean():
    found = bootstrap_strata([([1, 0], ["a", "a"])])
    assert (found.value, found.low, found.high) == (0.5, None, None)
    assert found.includes_zero
    with pytest.raises(ValueError, match="no values"):
        bootstrap_strata([([], [])])


def test_a_paired_difference_is_surer_than_two_scores():
    draw = random.Random(0)
    easy = [draw.random() for _ in range(60)]
    first = [rate * 0.9 for rate in easy]
    second = [rate * 0.9 + 0.05 + draw.gauss(0, 0.02) for rate in easy]
    difference = bootstrap_difference([(first, names(60))], [(second, names(60))])
    assert difference.value == pytest.approx(fmean(second) - fmean(first))
    assert difference.low > 0.04
    assert not difference.includes_zero
    assert bootstrap_strata([(first, names(60))]).high > bootstrap_strata([(second, names(60))]).low
    assert bootstrap_difference([(first, names(60))], [(first, names(60))]).includes_zero


@pytest.mark.parametrize(
    ("gained", "lost", "p"), [(0, 0, 1), (1, 0, 1), (5, 0, 0.0625), (10, 2, 0.0385742), (7, 7, 1), (40, 20, 0.0134891)]
)
def test_mcnemar_is_the_exact_binomial_test_of_what_changed(gained, lost, p):
    first = [False] * gained + [True] * lost + [True, False] * 30
    second = [True] * gained + [False] * lost + [True, False] * 30
    assert compute_mcnemar(first, second) == pytest.approx(p, rel=1e-4)
    assert compute_mcnemar(second, first) == pytest.approx(p, rel=1e-4)


def test_strata_count_alike_and_each_is_drawn_within_itself():
    large = [float(number % 2) for number in range(400)]
    small = [10.0 + number % 3 for number in range(30)]
    found = bootstrap_strata([(large, names(400)), (small, names(30))])
    assert found.value == pytest.approx((0.5 + 11) / 2)
    error = math.sqrt(stdev(large) ** 2 / 400 + stdev(small) ** 2 / 30) / 2
    assert (found.high - found.low) / 2 == pytest.approx(NormalDist().inv_cdf(0.975) * error, rel=0.07)
    assert found.clusters == 430
    assert bootstrap_strata([(large, names(400)), ([1.0, 2.0], ["one", "one"])]).low is None
