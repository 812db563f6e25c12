"""Preference pairs (§3.4): which texts are chosen and rejected, at both levels and in both presets."""

from collections.abc import Iterable, Sequence

import pytest
from datasets import Dataset

from autoif.config import load_config
from autoif.datasets.preferences import Candidate, instruction_pairs, make_pair, query_pairs
from autoif.datasets.rows import Constraint, PreferenceRow, Turn
from autoif.records import Response, Verdict
from autoif.settings import Preferences
from support.records import ACCEPT, accepts, response, verified

PAPER = load_config("paper").preferences
RELEASED = load_config("released").preferences
PASS, FAIL, ERROR = Verdict.PASS, Verdict.FAIL, Verdict.ERROR


def texts(rows: Iterable[PreferenceRow]) -> list[tuple[str, str]]:
    """Return the (chosen, rejected) texts of rows."""
    return [(row.chosen[0].content, row.rejected[0].content) for row in rows]


def from_cases(settings: Preferences, *cases: tuple[str, Sequence[Verdict]]) -> list[tuple[str, str]]:
    """Pair case inputs, given with the verdict of each function."""
    functions = [accepts(str(number)) for number in range(len(cases[0][1]))]
    rows = list(zip(*(verdicts for _, verdicts in cases), strict=True))
    record = verified(functions, rows, [(text, True) for text, _ in cases])
    return texts(instruction_pairs([record], settings))


def from_responses(
    settings: Preferences, *responses: tuple[str, Sequence[Verdict]], scores: Sequence[float | None] = ()
) -> list[tuple[str, str]]:
    """Pair responses, given with their verdicts; those with a score have passed quality verification."""
    made: list[Response] = []
    for index, (text, verdicts) in enumerate(responses):
        quality = scores[index] if scores else None
        made.append(response(text, verdicts, quality, index))
    scored = [one for one in made if one.quality]
    return texts(query_pairs([made[0].prompt], made, scored, settings))


@pytest.mark.parametrize(
    ("settings", "verdicts", "paired"),
    [
        (PAPER, (PASS, FAIL), False),
        (PAPER, (PASS, PASS, FAIL), True),
        (PAPER, (PASS, FAIL, FAIL), False),
        (PAPER.model_copy(update={"positive": RELEASED.positive}), (PASS, FAIL), True),
        (PAPER.model_copy(update={"positive": RELEASED.positive}), (PASS, FAIL, FAIL), False),
    ],
)
def test_a_case_is_chosen_if_enough_functions_accept_it(
    settings: Preferences, verdicts: tuple[Verdict, ...], paired: bool
) -> None:
    pairs = from_cases(settings, ("good", verdicts), ("bad", (FAIL,) * len(verdicts)))
    assert pairs == ([("good", "bad")] if paired else [])


@pytest.mark.parametrize(
    ("settings", "verdicts", "paired"),
    [
        (PAPER, (PASS, FAIL), False),
        (PAPER, (PASS, PASS, FAIL), True),
        (RELEASED, (PASS, FAIL), True),
        (RELEASED, (PASS, FAIL, FAIL), False),
    ],
)
def test_a_response_is_chosen_if_enough_functions_accept_it(
    settings: Preferences, verdicts: tuple[Verdict, ...], paired: bool
) -> None:
    pairs = from_responses(settings, ("good", verdicts), ("bad", (FAIL,) * len(verdicts)), scores=(9, None))
    assert pairs == ([("good", "bad")] if paired else [])


@pytest.mark.parametrize(
    ("verdicts", "rejected"),
    [((FAIL, FAIL, FAIL), True), ((FAIL, ERROR, Verdict.TIMEOUT), True), ((FAIL, FAIL, PASS), False)],
)
def test_only_what_no_function_accepts_is_rejected(verdicts: tuple[Verdict, ...], rejected: bool) -> None:
    for settings in (PAPER, RELEASED):
        assert bool(from_cases(settings, ("good", (PASS,) * 3), ("bad", verdicts))) is rejected
        assert bool(from_responses(settings, ("good", (PASS,) * 3), ("bad", verdicts), scores=(9, None))) is rejected


def test_the_paper_chooses_only_what_passed_quality_verification_too() -> None:
    responses = (("unscored", (PASS,)), ("scored", (PASS,)), ("bad", (FAIL,)))
    assert from_responses(PAPER, *responses, scores=(None, 8, None)) == [("scored", "bad")]
    assert from_responses(PAPER, *responses) == []
    assert from_responses(RELEASED, *responses) == [("unscored", "bad"), ("scored", "bad")]


def test_without_quality_verification_all_that_passed_may_be_chosen() -> None:
    made = [response("good", (PASS,), None, 0), response("bad", (FAIL,), None, 1)]
    pairs = list(query_pairs([made[0].prompt], made, made[:1], PAPER))
    assert texts(pairs) == [("good", "bad")]  # type: ignore[arg-type]


def test_the_best_is_chosen_by_pass_rate_then_by_quality_then_by_order() -> None:
    bad = ("bad", (FAIL,) * 3)
    most, fewer = (PASS,) * 3, (PASS, PASS, FAIL)
    assert from_responses(PAPER, ("a", fewer), ("b", most), bad, scores=(10, 8, None)) == [("b", "bad")]
    assert from_responses(PAPER, ("a", most), ("b", most), bad, scores=(8, 9, None)) == [("b", "bad")]
    assert from_responses(PAPER, ("a", most), ("b", most), bad, scores=(9, 9, None)) == [("a", "bad")]


@pytest.mark.parametrize(
    ("settings", "pairs"),
    [
        (PAPER, [("a", "x")]),
        (RELEASED, [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]),
    ],
)
def test_a_prompt_gives_positives_times_negatives_pairs(settings: Preferences, pairs: list[tuple[str, str]]) -> None:
    responses = [(text, (PASS,)) for text in "abc"] + [(text, (FAIL,)) for text in "xyz"]
    assert from_responses(settings, *responses, scores=(9, 9, 9, None, None, None)) == pairs


@pytest.mark.parametrize("blank", ["", " \n\t"])
def test_a_blank_text_is_neither_chosen_nor_rejected(blank: str) -> None:
    for settings in (PAPER, RELEASED):
        assert from_cases(settings, (blank, (PASS,)), ("bad", (FAIL,))) == []
        assert from_cases(settings, ("good", (PASS,)), (blank, (FAIL,))) == []
        assert from_responses(settings, ("good", (PASS,)), (blank, (FAIL,)), scores=(9, None)) == []


def test_a_text_is_used_once_on_each_side() -> None:
    cases = [("a", (PASS,)), ("a", (PASS,)), ("x", (FAIL,)), ("x", (FAIL,))]
    assert from_cases(RELEASED, *cases) == [("a", "x")]


def test_the_functions_that_were_dropped_have_no_say_in_the_pairs() -> None:
    record = verified(
        [accepts("a"), accepts("b"), ACCEPT], [(PASS, FAIL), (PASS, FAIL), (FAIL, PASS)], [("a", True), ("b", False)]
    )
    kept = record.model_copy(update={"kept_functions": (0, 1)})
    [row] = instruction_pairs([kept], PAPER)
    assert texts([row]) == [("a", "b")]
    [asked] = row.constraints
    assert asked.functions == (accepts("a"), accepts("b"))
    assert (asked.chosen_verdicts, asked.rejected_verdicts) == ((PASS, PASS), (FAIL, FAIL))
    assert (row.chosen_pass_rate, row.rejected_pass_rate) == (1.0, 0.0)


def test_responses_without_verdicts_are_no_candidates() -> None:
    assert from_responses(RELEASED, ("good", (PASS,)), ("cut off", ())) == []


def test_pairs_are_in_the_order_of_prompts_and_name_their_level() -> None:
    good, bad = response("good", (PASS,), 9), response("bad", (FAIL,), index=1)
    [query_row] = query_pairs([good.prompt], [good, bad], [good], PAPER)
    [instruction_row] = instruction_pairs([verified([ACCEPT], [(PASS, FAIL)], [("a", True), ("b", False)])], PAPER)
    assert (query_row.level, query_row.query_id) == ("query", good.prompt.query.id)
    assert (instruction_row.level, instruction_row.query_id) == ("instruction", "")
    rows = [query_row.columns(), instruction_row.columns()]
    assert rows[0]["prompt"] == [{"role": "user", "content": good.prompt.text}]
    assert rows[1]["prompt"] == [{"role": "user", "content": "Use the word 'tea'."}]
    assert list(rows[0]) == list(rows[1])
    assert Dataset.from_list(rows)[0]["chosen"] == [{"role": "assistant", "content": "good"}]


def test_a_prompt_without_a_pair_gives_none() -> None:
    good = response("good", (PASS,), 9)
    assert list(query_pairs([good.prompt], [good], [good], PAPER)) == []
    assert list(query_pairs([good.prompt], [], [], PAPER)) == []
    assert list(instruction_pairs([], PAPER)) == []


def test_verdicts_go_to_the_constraint_whose_functions_gave_them() -> None:
    asked = (Constraint(functions=("f", "g")), Constraint(functions=("h",)))
    pair = Candidate("good", ((PASS, FAIL), (PASS,))), Candidate("bad", ((FAIL, FAIL), (ERROR,)))
    row = make_pair([Turn(role="user", content="Tea?")], asked, pair, level="query")
    assert [each.chosen_verdicts for each in row.constraints] == [(PASS, FAIL), (PASS,)]
    assert [each.rejected_verdicts for each in row.constraints] == [(FAIL, FAIL), (ERROR,)]
    assert (row.chosen_pass_rate, row.rejected_pass_rate) == (0.5, 0.0)


def test_with_the_gate_a_case_that_is_no_answer_is_not_chosen() -> None:
    cases = [("Use the word 'tea'.", True), ("A pot of tea.", True), ("milk", False)]
    record = verified([ACCEPT], [(PASS, PASS, FAIL)], cases)
    assert texts(instruction_pairs([record], PAPER)) == [("Use the word 'tea'.", "milk")]
    assert texts(instruction_pairs([record], PAPER, gate=True)) == [("A pot of tea.", "milk")]
