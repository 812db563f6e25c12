"""Functions that were written by hand (benchmarks/faults.py): none that is right gets a fault, many wrong ones do."""

import re
from collections.abc import Mapping, Sequence
from functools import cache

import pytest

from autoif.faults.counts import put_digits
from autoif.faults.edges import make_edges
from autoif.faults.probing import make_probing_texts
from faults import SETS, Tried, read_set, read_wordings, try_rows

CASES = {"hand_written": ("right", "turned round")}
"""With which the functions of a set are tried; else with none."""


@cache
def try_once(name: str) -> Mapping[str, Sequence[Tried]]:
    """Return what is found of the functions of a set by the cases, for all of which each runs once."""
    return try_rows(read_set(name), CASES.get(name, ("none",)))


@pytest.mark.parametrize(
    ("name", "cases", "caught"),
    [
        pytest.param("hand_written", "right", 0.8, id="right cases"),
        pytest.param("hand_written", "turned round", 0.8, id="cases turned round"),
        pytest.param("natural_wordings", "none", 0.9, id="natural wordings, no cases"),
        pytest.param("tempting_wordings", "none", 0.9, id="tempting wordings, no cases"),
        pytest.param("plain_wordings", "none", 0.95, id="plain wordings, no cases"),
        pytest.param("ordinary_wordings", "none", 0.9, id="ordinary wordings, no cases"),
    ],
)
def test_no_right_function_gets_a_fault_whatever_cases_say_and_many_wrong_ones_do(name, cases, caught) -> None:
    tried = try_once(name)[cases]
    assert [each for each in tried if each.right and each.faults] == []
    read = [each for each in tried if not each.right and each.readable]
    assert sum(bool(each.faults) for each in read) > caught * len(read) > 80


def test_the_sets_have_no_instruction_twice_and_a_part_aside() -> None:
    rows = [row for name in SETS for row in read_set(name)]
    assert len({row["instruction"] for row in rows}) == len(rows)
    for rows, part in ((read_set("hand_written"), 3), (read_set("natural_wordings"), 4)):
        assert abs(sum(row["part"] == "aside" for row in rows) - len(rows) / part) < 4


@pytest.mark.parametrize("odd", [" ", "...", "*", "é", "I", "12", "don't", "(x", "\U0001f600"])
def test_no_odd_text_or_number_in_a_common_wording_is_an_error_or_makes_a_long_text(odd: str) -> None:
    number = odd if odd.isdigit() else str(10 ** len(odd))
    for wording in read_wordings():
        named, counted = re.sub(r'"[^"]*"', f'"{odd}"', wording), re.sub(r"\d+", number, put_digits(wording))
        for edge in {*make_edges(named), *make_edges(counted)}:
            assert edge.obeys != edge.breaks
            assert max(map(len, edge.sides)) < 10_000


def test_nine_of_ten_common_wordings_are_read() -> None:
    wordings = read_wordings()
    assert len(wordings) > 250
    assert sum(make_probing_texts(each, []).is_tried for each in wordings) > 0.9 * len(wordings)
