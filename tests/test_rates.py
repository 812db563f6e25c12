"""Intervals of rates: within 0 to 100, rough where they say so, and as often right as they say."""

import random

import pytest

from autoif.evaluation.statistics import (
    bootstrap_difference,
    bootstrap_strata,
    describe,
    estimate_rate,
    estimate_strata_rate,
    find_student,
)


def make(right: int, wrong: int, *, each: int = 1) -> tuple[list[float], list[str]]:
    """Return that many clusters of right and of wrong values."""
    values = [100.0] * right * each + [0.0] * wrong * each
    return values, [f"c{number // each}" for number in range(len(values))]


@pytest.mark.parametrize("each", [1, 16])
@pytest.mark.parametrize(("right", "wrong"), [(0, 20), (20, 0), (0, 3), (3, 0), (0, 541), (1, 300), (300, 1), (2, 1)])
def test_a_rate_of_few_clusters_or_near_0_or_100_has_a_wide_interval_within_both_and_says_that_it_is_rough(
    right, wrong, each
):
    found = estimate_rate(*make(right, wrong, each=each))
    assert 0 <= found.low <= found.value <= found.high <= 100
    assert found.high - found.low > 100 * 0.8 / (right + wrong)
    assert found.caution == ("3 clusters" if right + wrong == 3 else "near 0 or 100")
    assert f"; rough: {found.caution}]" in describe(found)


def test_a_rate_of_many_clusters_has_the_bootstraps_interval_and_no_caution():
    values, clusters = make(40, 60, each=3)
    assert estimate_rate(values, clusters) == bootstrap_strata([(values, clusters)])
    assert "rough" not in describe(estimate_rate(values, clusters))


def test_wilsons_interval_of_values_that_are_alone_in_their_clusters_is_the_known_one():
    found = estimate_rate(*make(4, 296))  # by Student's t, which at 300 clusters is next to the normal one
    assert (found.low, found.high) == (pytest.approx(0.52, abs=0.02), pytest.approx(3.38, abs=0.03))


def test_values_that_are_alike_in_a_cluster_are_worth_less_than_as_many_apart():
    apart = estimate_rate(*make(16, 304))
    alike = estimate_rate(*make(1, 19, each=16))
    assert apart.value == alike.value == 5
    assert alike.high - alike.low > 2 * (apart.high - apart.low)


@pytest.mark.parametrize("each", [1, 16])
@pytest.mark.parametrize(("clusters", "rate"), [(3, 0.4), (5, 0.1), (8, 0.02), (15, 0.05), (40, 0.98)])
def test_of_100_intervals_92_or_more_hold_the_truth(clusters, rate, each):
    draw, held = random.Random(0), 0
    names = [str(number // each) for number in range(clusters * each)]
    for _ in range(150):
        own = [draw.betavariate(2 * rate, 2 - 2 * rate) if each > 1 else rate for _ in range(clusters)]
        values = [100.0 * (draw.random() < of_cluster) for of_cluster in own for _ in range(each)]
        found = estimate_rate(values, names)
        held += found.low <= 100 * rate <= found.high
    assert held / 150 >= 0.92


def test_one_cluster_has_no_interval():
    found = estimate_rate([100.0, 0.0], ["a", "a"])
    assert (found.value, found.low, found.high, found.caution) == (50, None, None, None)
    assert describe(found) == "50.0 [no interval: one cluster]"
    assert estimate_strata_rate([([0.0, 100.0], ["a", "b"]), ([0.0], ["c"])]).low is None


def test_no_rate_goes_below_0_where_the_official_program_counts_what_it_cannot_read_as_minus_100():
    few, many = [-100.0, 0.0, 0.0], [-100.0, *[0.0, 10.0] * 20]
    for values in (few, many, [-100.0] * 30):
        found = estimate_strata_rate([(values, list(map(str, range(len(values)))))])
        assert 0 <= found.low <= found.value <= found.high <= 100
        assert "-" not in describe(found)


def test_every_set_of_values_counts_alike_and_few_clusters_in_all_are_rough():
    found = estimate_strata_rate([make(1, 1), make(2, 2, each=5)])
    assert (found.value, found.clusters, found.caution) == (50, 6, "6 clusters")
    assert 0 < found.low < 25
    assert 75 < found.high < 100


def test_a_difference_of_few_clusters_is_students_and_says_that_it_is_rough():
    clusters = ["a", "b", "c"]
    found = bootstrap_difference([([0.0, 10.0, 20.0], clusters)], [([10.0, 30.0, 50.0], clusters)])
    assert found.value == pytest.approx(20)
    assert found.high - found.value == pytest.approx(4.303 * 10 / 3**0.5, rel=1e-3)
    assert describe(found, signed=True) == "+20.0 [-4.8, +44.8; rough: 3 clusters]"


def test_a_few_clusters_that_all_change_alike_show_nothing_of_others():
    clusters = ["a", "b", "c"]
    found = bootstrap_difference([([0.0] * 3, clusters)], [([100.0] * 3, clusters)])
    assert (found.low, found.includes_zero) == (None, True)
    assert describe(found, signed=True) == "+100.0 [no interval: 3 clusters, all alike]"
    same = bootstrap_difference([([0.0] * 3, clusters)], [([0.0] * 3, clusters)])
    assert (same.low, same.high) == (0, 0)


def test_a_mean_within_bounds_has_no_interval_beyond_them():
    found = bootstrap_strata([([0.0, 0.0, 5.0], ["a", "b", "c"])], bounds=(0, 5))
    assert (found.low, found.high, found.caution) == (0, 5, "3 clusters")


@pytest.mark.parametrize(("freedom", "t"), [(1, 12.706), (2, 4.303), (3, 3.182), (7, 2.365), (30, 2.042)])
def test_students_t_is_that_of_the_tables(freedom, t):
    assert find_student(freedom) == pytest.approx(t, rel=0.01)


def test_a_rate_in_the_middle_is_rough_for_its_clusters_and_not_for_being_near_0_or_100():
    assert estimate_rate(*make(4, 4)).caution == "8 clusters"
    assert estimate_rate(*make(5, 4)).caution == "9 clusters"
