"""Texts that are made for instructions in the words of IFEval: the official checkers agree with both sides."""

import json
from pathlib import Path

import pytest

from autoif.benchmark_wordings import find_wording
from autoif.evaluation.ifeval_ifbench.checkers import Checkers
from autoif.faults.edges import make_edges
from support.ifeval_data import TOKENIZERS

FILE = Path(__file__).parent.parent / "benchmarks" / "data" / "ifeval_instructions.jsonl"
INSTRUCTIONS = [json.loads(line)["instruction"] for line in FILE.read_text(encoding="utf-8").splitlines()]
WITHIN_WORDS = "keywords:frequency"
"""Counts a keyword inside another word, which no edge does."""
OF_A_LANGUAGE = "change_case:english_capital"
"""Takes short texts in capitals for another language."""


@pytest.fixture(scope="module")
def checkers():
    return Checkers("ifeval", [str(TOKENIZERS)])


@pytest.mark.parametrize("instruction", INSTRUCTIONS)
def test_an_official_checker_agrees_with_both_sides(checkers, instruction: str) -> None:
    wording = find_wording(instruction)
    asked = [(wording.type, dict(wording.arguments))]
    for edge in make_edges(instruction):
        for text, obeys in ((edge.obeys, True), (edge.breaks, False)):
            if (
                text is not None
                and not (wording.type == OF_A_LANGUAGE and obeys)
                and not (wording.type == WITHIN_WORDS and "un" in text)
            ):
                assert checkers.judge("", asked, text).corrected_strict == (obeys,)


def test_most_official_instructions_are_read() -> None:
    assert sum(bool(make_edges(each)) for each in INSTRUCTIONS) > 0.8 * len(INSTRUCTIONS)
