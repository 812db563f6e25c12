"""Functions that were written by hand (benchmarks/faults.py): none that is right gets a fault, many wrong ones do."""

import json

import pytest

from autoif.sandbox import Sandbox
from faults import SET, try_instruction

ROWS = [json.loads(line) for line in SET.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("cases", ["right", "turned round"])
def test_no_right_function_gets_a_fault_whatever_cases_say_and_many_wrong_ones_do(cases: str) -> None:
    with Sandbox() as sandbox:
        tried = [each for row in ROWS for each in try_instruction(row, cases, sandbox)]
    assert [each for each in tried if each.right and each.faults] == []
    read = [each for each in tried if not each.right and each.readable]
    assert sum(bool(each.faults) for each in read) > 0.8 * len(read) > 80


def test_the_set_has_no_instruction_twice_and_a_third_aside() -> None:
    assert len({row["instruction"] for row in ROWS}) == len(ROWS)
    assert 3 * sum(row["part"] == "aside" for row in ROWS) in range(len(ROWS) - 2, len(ROWS) + 1)
