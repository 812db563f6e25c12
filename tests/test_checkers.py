"""Each checker of IFEval and IFBench, with a response that passes and one that fails; and no verdict by chance."""

import json
import random

import pytest

from autoif.evaluation.benchmarks import list_instructions, read_questions
from autoif.evaluation.checkers import Unjudgeable
from autoif.evaluation.contamination.constraint_examples import EXAMPLES, IFEVAL
from autoif.evaluation.corrections import CORRECTIONS
from following import load_checkers
from packing import unpack

CASES = [(benchmark, name) for benchmark, table in EXAMPLES.items() for name in table]


def test_the_table_has_every_checker_of_both_benchmarks():
    assert {benchmark: len(table) for benchmark, table in EXAMPLES.items()} == {"ifeval": 25, "ifbench": 58}
    for benchmark, names in list_instructions().items():
        assert set(EXAMPLES[benchmark]) == names == load_checkers(benchmark).names


@pytest.mark.parametrize(("benchmark", "name"), CASES, ids=[name for _, name in CASES])
def test_a_checker_passes_what_follows_and_fails_what_does_not(benchmark, name):
    arguments, follows, fails = EXAMPLES[benchmark][name]
    checkers = load_checkers(benchmark)
    passed = checkers.judge("A prompt.", [(name, arguments)], follows)
    assert (passed.strict, passed.loose, passed.corrected_strict) == ((True,), (True,), (True,))
    failed = checkers.judge("A prompt.", [(name, arguments)], fails)
    assert (failed.strict, failed.corrected_strict) == ((False,), (False,))
    assert not any((*passed.drawn, *passed.raised, *failed.drawn, *failed.raised))
    assert checkers.judge("A prompt.", [(name, arguments)], " \n").loose == (False,)


@pytest.mark.parametrize(("benchmark", "name"), CASES, ids=[name for _, name in CASES])
def test_no_argument_that_lacks_is_drawn_at_random(benchmark, name):
    arguments, follows, _ = EXAMPLES[benchmark][name]
    for key in arguments:
        rest = {other: value for other, value in arguments.items() if other != key}
        try:
            judged = load_checkers(benchmark).judge("A prompt.", [(name, rest)], follows)
        except Unjudgeable as error:
            assert name in str(error)
        else:
            assert judged.drawn == (False,)


@pytest.mark.parametrize(
    ("benchmark", "name"),
    [("ifeval", "input_data.jsonl"), ("ifeval", "input_data_v1_2023-12.jsonl"), ("ifbench", "IFBench_test.jsonl")],
)
def test_of_the_official_prompts_only_two_are_decided_by_chance(benchmark, name):
    questions = read_questions(benchmark, unpack(benchmark) / name)
    checkers = load_checkers(benchmark)
    drawn = [row.key for row in questions.rows for each in row.instructions if checkers.build(*each, row.prompt)[1]]
    assert drawn == (["1122", "1129"] if benchmark == "ifeval" else [])
    assert questions.version.startswith("IFEval of" if benchmark == "ifeval" else "IFBench")


def test_verdicts_do_not_depend_on_the_state_of_chance_or_on_what_was_judged_before():
    row = [("keywords:letter_frequency", {"letter": "#", "let_frequency": 2, "let_relation": "at least"})]
    mixed = "Tee ist tea und le thé is hot oder chaud, nicht wahr, isn't it?"
    languages = [("language:response_language", {"language": code}) for code in ("de", "en", "fr")]
    checkers = load_checkers("ifeval")
    found = set()
    for seed in range(5):
        random.seed(seed)
        checkers.judge("", languages, f"Something else {seed}")
        found.add((checkers.judge("", row, "abcabc").strict, checkers.judge("", languages, mixed).strict))
    assert len(found) == 1
    assert checkers.judge("", row, "abcabc").drawn == (True,)


def test_an_argument_of_zero_is_zero():
    checkers = load_checkers("ifbench")
    arguments = {"prompt_to_repeat": "one two three four", "n_start": 0, "n_end": 1}
    assert checkers.judge("", [("repeat:repeat_span", arguments)], "one").strict == (True,)
    wanted = {"num_words": 0, "relation": "less than"}
    assert load_checkers("ifeval").judge("", [("length_constraints:number_words", wanted)], "one").strict == (False,)


def test_a_checker_that_raises_is_told_and_counts_as_not_followed():
    judged = load_checkers("ifbench").judge("", [("format:quote_unquote", {})], "...")
    assert judged.raised == (True,)
    assert judged.strict == judged.loose == (False,)


FAULTY = {
    "keywords:letter_frequency": ({"letter": "#", "let_frequency": 1, "let_relation": "at least"}, "1 2 3 #"),
    "length_constraints:nth_paragraph_first_word": (
        {"num_paragraphs": 2, "nth_paragraph": 1, "first_word": "tea"}, "\n\nTea.\n\nMilk.",
    ),
    "language:response_language": ({"language": "de"}, "1 2 3"),
    "ratio:sentence_type": ({}, "Tea!"),
    "format:line_indent": ({}, "tea"),
    "format:sub-bullets": ({}, "tea"),
    "format:quote_unquote": ({}, "tea"),
}  # fmt: skip


@pytest.mark.parametrize("name", CORRECTIONS)
def test_a_known_fault_decides_the_official_verdict_and_not_the_corrected_one(name):
    arguments, response = FAULTY[name]
    benchmark = "ifeval" if name in IFEVAL else "ifbench"
    judged = load_checkers(benchmark).judge("A prompt.", [(name, arguments)], response)
    assert judged.strict != judged.corrected_strict, json.dumps(CORRECTIONS[name].fault)
