"""Functions that were written by hand (benchmarks/faults.py): none that is right gets a fault, many wrong ones do."""

import pytest

from autoif.faults.probing import make_probing_texts
from autoif.sandbox import Sandbox
from faults import read_set, read_wordings, try_instruction

HAND_WRITTEN, NATURAL = read_set("hand_written"), read_set("natural_wordings")
TEMPTING, PLAIN = read_set("tempting_wordings"), read_set("plain_wordings")


@pytest.mark.parametrize(
    ("rows", "cases", "caught"),
    [
        pytest.param(HAND_WRITTEN, "right", 0.8, id="right cases"),
        pytest.param(HAND_WRITTEN, "turned round", 0.8, id="cases turned round"),
        pytest.param(NATURAL, "none", 0.9, id="natural wordings, no cases"),
        pytest.param(TEMPTING, "none", 0.9, id="tempting wordings, no cases"),
        pytest.param(PLAIN, "none", 0.95, id="plain wordings, no cases"),
    ],
)
def test_no_right_function_gets_a_fault_whatever_cases_say_and_many_wrong_ones_do(rows, cases, caught) -> None:
    with Sandbox() as sandbox:
        tried = [each for row in rows for each in try_instruction(row, cases, sandbox)]
    assert [each for each in tried if each.right and each.faults] == []
    read = [each for each in tried if not each.right and each.readable]
    assert sum(bool(each.faults) for each in read) > caught * len(read) > 80


def test_the_sets_have_no_instruction_twice_and_a_part_aside() -> None:
    rows = [*HAND_WRITTEN, *NATURAL, *TEMPTING, *PLAIN]
    assert len({row["instruction"] for row in rows}) == len(rows)
    for rows, part in ((HAND_WRITTEN, 3), (NATURAL, 4)):
        assert abs(sum(row["part"] == "aside" for row in rows) - len(rows) / part) < 4


def test_nine_of_ten_common_wordings_are_read() -> None:
    wordings = read_wordings()
    assert len(wordings) > 250
    assert sum(make_probing_texts(each, []).is_tried for each in wordings) > 0.9 * len(wordings)
