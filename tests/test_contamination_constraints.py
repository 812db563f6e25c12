"""Constraints that training functions check as a benchmark's checkers do: found by verdicts and not by words."""

import pytest

from autoif.contamination.constraint_trials import (
    PARAMETERISED,
    VERDICTS,
    list_pool,
    load_examples,
    make_pool_trials,
    make_trials,
    read_parameters,
)
from autoif.contamination.constraint_types import TrainedInstruction, correlate, find_types
from support.ifeval_data import load_checkers
from write_constraint_verdicts import make_verdicts

NUMBER, WORD = 6, "tea"
ARGUMENTS = {
    "length_constraints:number_words": {"num_words": NUMBER, "relation": "at least"},
    "length_constraints:number_sentences": {"num_sentences": NUMBER, "relation": "at least"},
    "detectable_format:number_bullet_lists": {"num_bullets": NUMBER},
    "detectable_content:number_placeholders": {"num_placeholders": NUMBER},
    "detectable_format:number_highlighted_sections": {"num_highlights": NUMBER},
    "detectable_format:multiple_sections": {"section_spliter": "Section", "num_sections": NUMBER},
    "count:numbers": {"N": NUMBER},
    "keywords:existence": {"keywords": [WORD]},
    "keywords:forbidden_words": {"forbidden_words": [WORD]},
    "keywords:frequency": {"keyword": WORD, "frequency": NUMBER, "relation": "at least"},
    "keywords:letter_frequency": {"letter": "q", "let_frequency": NUMBER, "let_relation": "at least"},
    "startend:end_checker": {"end_phrase": WORD},
}
SLOW = {"language:response_language"}
"""Whose checker takes longer than all others together."""
OTHERWISE = {"length_constraints:number_paragraphs"}
"""The checker divides paragraphs at ***, and everybody else at a blank line."""


def judge(benchmark: str, name: str, arguments: dict, text: str) -> bool:
    return load_checkers(benchmark).judge("", [(name, arguments)], text).strict == (True,)


def test_the_texts_made_for_a_number_or_a_word_are_judged_so_by_the_official_checkers():
    tried = set()
    for trial in make_trials([NUMBER], [WORD, "q"]):
        if trial.type in OTHERWISE:
            continue
        arguments = dict(ARGUMENTS[trial.type])
        if any("q" in text.split() for text in trial.texts) and "letter" not in arguments:
            continue  # the same types with the other word
        if len(trial.breaks[0]) > len(trial.follows[0]) and trial.type in {
            "length_constraints:number_words", "length_constraints:number_sentences",
        }:  # fmt: skip
            arguments["relation"] = "less than"
        verdicts = [judge(trial.benchmark, trial.type, arguments, text) for text in trial.texts]
        assert verdicts == [True] * len(trial.follows) + [False] * len(trial.breaks), trial.type
        tried.add(trial.type)
    assert tried | OTHERWISE == PARAMETERISED


def test_the_verdicts_on_the_pool_that_come_with_the_package_are_those_of_the_checkers():
    assert VERDICTS.read_text(encoding="ascii") == make_verdicts()


@pytest.mark.parametrize("benchmark", ["ifeval", "ifbench"])
def test_the_pool_has_texts_that_follow_and_texts_that_break_what_is_tried(benchmark):
    examples = load_examples().of(benchmark)
    trials = make_pool_trials(benchmark, examples)
    assert len(trials) >= {"ifeval": 11, "ifbench": 30}[benchmark]
    for trial in trials:
        assert examples[trial.type].follows in trial.follows
        assert examples[trial.type].breaks in trial.breaks
        assert not set(trial.follows) & set(trial.breaks)
        assert set(trial.texts) <= set(list_pool())


ALL = frozenset(load_examples().ifeval.keys() - SLOW)
SOME = ("punctuation:no_comma", "change_case:english_lowercase", "keywords:existence")


def find(sandbox, types=ALL, **functions: str | tuple[str, ...]) -> dict[str, list[str]]:
    """Return the types that instructions train, by the instruction's name; a function is written as an expression."""
    given = [
        TrainedInstruction(f"train.jsonl:{number}", text.replace("_", " "), _define(expressions))
        for number, (text, expressions) in enumerate(functions.items(), 1)
    ]
    asked = {"ifeval": dict.fromkeys(types, 1)}
    found: dict[str, list[str]] = {each.text: [] for each in given}
    for coverages in find_types(given, asked, sandbox, print).values():
        for kind, coverage in coverages.items():
            for each in coverage.instructions:
                assert each.agreement >= 0.9
                found[each.text].append(kind)
    return found


def _define(expressions: str | tuple[str, ...]) -> tuple[str, ...]:
    several = (expressions,) if isinstance(expressions, str) else expressions
    return tuple(f"import re, json\ndef evaluate(response):\n    return {expression}" for expression in several)


def test_a_paraphrased_constraint_is_found_by_what_its_functions_accept(sandbox):
    found = find(
        sandbox,
        Let_no_comma_slip_in="response.count(',') == 0",
        All_letters_small="response == response.lower() and response.islower()",
        Shout="response.isupper()",
        Keep_it_under_20_words="len(response.split()) <= 20",
        Not_less_than_8_phrases="len([s for s in re.split('[.!?]', response) if s.strip()]) >= 8",
        Name_the_drink_tea="'tea' in response.lower()",
        Never_name_the_drink_tea="'tea' not in response.lower()",
        Five_points="sum(line.lstrip().startswith(('* ', '- ')) for line in response.splitlines()) == 5",
        In_quotes="len(response) > 1 and response.strip()[0] == response.strip()[-1] == '\"'",
    )
    assert found == {
        "Let no comma slip in": ["punctuation:no_comma"],
        "All letters small": ["change_case:english_lowercase"],
        "Shout": ["change_case:english_capital"],
        "Keep it under 20 words": ["length_constraints:number_words"],
        "Not less than 8 phrases": ["length_constraints:number_sentences"],
        "Name the drink tea": ["keywords:existence"],
        "Never name the drink tea": ["keywords:forbidden_words"],
        "Five points": ["detectable_format:number_bullet_lists"],
        "In quotes": ["startend:quotation"],
    }


def test_what_accepts_anything_or_nothing_or_checks_something_else_is_no_match(sandbox):
    found = find(
        sandbox,
        Anything="True",
        Nothing="False",
        Raises="1 / 0",
        More_than_4_characters="len(response) > 4",
        Exactly_12_lines="response.count('\\n') == 11",
        Words_of_6_letters="all(len(word) >= 6 for word in response.split())",
        Ends_with_a_stop="response.endswith('.')",
    )
    assert set(map(tuple, found.values())) == {()}


def test_the_functions_of_an_instruction_judge_together(sandbox):
    comma, anything = "',' not in response", "True"
    found = find(sandbox, SOME, most=(comma, f"not ({comma}) or {comma}", comma), few=(comma, anything, anything))
    assert found == {"most": ["punctuation:no_comma"], "few": []}


def test_a_function_that_hangs_costs_one_time_out_and_matches_nothing(sandbox):
    hangs = "[None for _ in iter(int, 1)] == []"
    assert find(sandbox, SOME, hangs=hangs) == {"hangs": []}


def test_numbers_and_words_come_from_the_instruction_and_else_from_the_functions():
    assert read_parameters('Use "deep sea" and ‘blue’ twice in 40 words.', []) == ((2, 40), ("deep sea", "blue"))
    source = "def evaluate(response):\n    return response.count('wave') >= 3"
    assert read_parameters("Let it rise and fall.", [source]) == ((3,), ("wave",))


def test_correlation_is_one_for_the_same_and_zero_for_what_does_not_tell():
    assert correlate([True] * 3, [False] * 9) == 1
    assert correlate([True] * 3, [True] * 9) == 0
    assert correlate([False] * 3, [True] * 9) == -1
    assert correlate([True] * 3, [True, *[False] * 99]) == pytest.approx(0.8617, abs=1e-3)
