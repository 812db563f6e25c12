"""Functions that behave alike are one cluster, whatever their order."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoif.behaviour import Cluster, cluster_functions, find_splits
from autoif.records import Verdict

P, F, E, T = Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.TIMEOUT
ROWS = st.integers(0, 6).flatmap(
    lambda texts: st.lists(st.lists(st.sampled_from([P, F, E]), min_size=texts, max_size=texts), max_size=8)
)


def members(verdicts: list[list[Verdict]]) -> list[tuple[int, ...]]:
    return [cluster.members for cluster in cluster_functions(verdicts)]


def test_functions_with_the_same_verdicts_are_together_and_the_largest_cluster_is_first() -> None:
    rows = [[P, F], [F, F], [P, P], [F, F], [P, F], [F, F]]
    assert cluster_functions(rows) == [Cluster((1, 3, 5), (F, F)), Cluster((0, 4), (P, F)), Cluster((2,), (P, P))]


def test_of_clusters_of_one_size_that_of_the_earlier_function_is_first() -> None:
    assert members([[P], [F]]) == [(0,), (1,)]
    assert members([[F], [P]]) == [(0,), (1,)]


def test_an_error_or_a_timeout_is_like_no_refusal() -> None:
    assert members([[P, F], [P, E], [P, T], [P, E]]) == [(1, 3), (0,), (2,)]


def test_without_a_text_or_a_function_nothing_tells_them_apart() -> None:
    assert cluster_functions([[], []]) == [Cluster((0, 1), ())]
    assert cluster_functions([]) == []
    assert find_splits([]) == []


def test_a_cluster_says_whether_it_is_constant() -> None:
    [all_of_them, half, broken] = cluster_functions([[P, P], [P, F], [E, E]])
    assert [each.is_constant for each in (all_of_them, half, broken)] == [True, False, True]
    assert Cluster((0,), ()).is_constant


def test_splits_are_the_texts_that_tell_clusters_apart() -> None:
    assert find_splits(cluster_functions([[P, F, P], [P, P, P], [P, P, E]])) == [1, 2]
    assert find_splits(cluster_functions([[P, F], [P, F]])) == []


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="same texts"):
        cluster_functions([[P], [P, F]])


@given(ROWS, st.integers())
def test_clusters_are_a_partition_of_like_functions_that_no_order_changes(rows: list[list[Verdict]], seed: int) -> None:
    clusters = cluster_functions(rows)
    assert sorted(place for cluster in clusters for place in cluster.members) == list(range(len(rows)))
    for cluster in clusters:
        assert all(tuple(rows[place]) == cluster.verdicts for place in cluster.members)
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)
    shuffled = cluster_functions([rows[place] for place in order])
    assert {frozenset(order[place] for place in cluster.members) for cluster in shuffled} == {
        frozenset(cluster.members) for cluster in clusters
    }
