"""The strict operating points: what every behaviour cluster says of a text, and of the same text typed otherwise."""

from collections.abc import Sequence
from pathlib import Path

import pytest

import autoif
from autoif.config import load_config
from autoif.datasets.preferences import instruction_pairs, query_pairs
from autoif.datasets.sft import sft_rows
from autoif.datasets.strictness import find_clusters, find_strictness, make_variants
from autoif.records import Prompt, Query, Response, Verdict, VerifiedInstruction
from autoif.sandbox import Sandbox
from support.records import ACCEPT, REFUSE, accepts, verified
from support.small_world import run_small_world

SETTINGS = load_config("paper").preferences
PASS, FAIL, ERROR = Verdict.PASS, Verdict.FAIL, Verdict.ERROR
ENDS = "def evaluate(response):\n    return response.endswith('tea')"
CONTAINS = accepts("tea")


def prompt_of(instruction: VerifiedInstruction) -> Prompt:
    return Prompt(id="prompt", constraints=(instruction,), query=Query.of("Why?"), text="Why? Use tea.")


def responses_of(asked: Prompt, *texts: tuple[str, Sequence[Verdict]]) -> list[Response]:
    return [
        Response(id=f"r{index}", prompt=asked, index=index, text=text, verdicts=tuple(verdicts), pass_rate=0.5)
        for index, (text, verdicts) in enumerate(texts)
    ]


def test_clusters_are_over_cases_and_responses_and_constant_ones_have_no_say() -> None:
    on_the_case = [(PASS,), (PASS,), (PASS,), (PASS,), (FAIL,)]
    instruction = verified([CONTAINS, CONTAINS + " ", ENDS, ACCEPT, REFUSE], on_the_case, [("tea", True)])
    responses = responses_of(
        prompt_of(instruction), ("tea!", (PASS, PASS, FAIL, PASS, FAIL)), ("no", (FAIL,) * 3 + (PASS, FAIL))
    )
    assert find_clusters([instruction], responses) == {instruction.id: [(0, 1), (2,)]}


@pytest.mark.parametrize(
    ("verdicts", "strictly"),
    [
        ((PASS, PASS, FAIL), True),
        ((PASS, FAIL, FAIL), False),
        ((FAIL, PASS, FAIL), False),
        ((ERROR, PASS, FAIL), False),
    ],
)
async def test_an_sft_row_is_one_that_every_cluster_with_a_say_accepts(
    verdicts: Sequence[Verdict], strictly: bool
) -> None:
    instruction = verified(
        [CONTAINS, ENDS, REFUSE], [(PASS, FAIL), (FAIL, FAIL), (FAIL, FAIL)], [("tea!", True), ("", False)]
    )
    responses = responses_of(
        prompt_of(instruction), ("tea", (PASS, PASS, FAIL)), ("other", verdicts), ("no", (FAIL,) * 3)
    )
    strictness = await find_strictness([instruction], responses, None)
    kept = [row.response_id for row in sft_rows(responses[1:2], strictness)]
    assert kept == (["r1"] if strictly else [])
    assert [row.response_id for row in sft_rows(responses)] == ["r0", "r1", "r2"]


async def test_an_instruction_whose_functions_are_all_constant_gives_no_strict_row() -> None:
    instruction = verified([ACCEPT], [(PASS,)], [("tea", True)])
    responses = responses_of(prompt_of(instruction), ("tea", (PASS,)))
    strictness = await find_strictness([instruction], responses, None)
    assert list(sft_rows(responses, strictness)) == []
    assert not strictness.accepts([instruction], ())


async def test_what_is_refused_only_as_it_is_typed_is_not_rejected() -> None:
    quoted = "def evaluate(response):\n    return '“' in response or response.endswith('\\n')"
    instruction = verified([quoted], [(PASS, FAIL, FAIL)], [("“tea”", True), ('"tea"', False), ("tea", False)])
    responses = responses_of(prompt_of(instruction), ("“yes”", (PASS,)), ("no", (FAIL,)))
    async with Sandbox(workers=1) as sandbox:
        strictness = await find_strictness([instruction], responses, sandbox)
    assert [pair.level for pair in instruction_pairs([instruction], SETTINGS)] == ["instruction"]
    assert list(instruction_pairs([instruction], SETTINGS, strictness)) == []
    loose = SETTINGS.model_copy(update={"scored_only": False})
    asked = [responses[0].prompt]
    assert len(list(query_pairs(asked, responses, [], loose))) == 1
    assert list(query_pairs(asked, responses, [], loose, strictness)) == []


async def test_a_pair_is_kept_whose_sides_are_steady_and_an_error_refuses_nothing() -> None:
    instruction = verified([CONTAINS, CONTAINS + " "], [(PASS, FAIL), (PASS, FAIL)], [("tea", True), ("jam", False)])
    responses = responses_of(
        prompt_of(instruction), ("broken", (FAIL, ERROR)), ("tea", (PASS, PASS)), ("jam", (FAIL, FAIL))
    )
    async with Sandbox(workers=1) as sandbox:
        strictness = await find_strictness([instruction], responses, sandbox)
    loose = SETTINGS.model_copy(update={"scored_only": False})
    [pair] = query_pairs([responses[0].prompt], responses, [], loose, strictness)
    assert (pair.chosen[0].content, pair.rejected[0].content) == ("tea", "jam")
    assert len(list(instruction_pairs([instruction], SETTINGS, strictness))) == 1


def test_variants_change_what_no_rule_is_about() -> None:
    assert make_variants('Say "tea".', "Use no full stop.") == ('Say "tea". ', 'Say "tea".\n', "Say ”tea”.")
    assert make_variants("tea\n", "Use no full stop.") == ("tea\n ", "tea\n\n", "tea")
    assert make_variants("We end. Bye.", 'Say "END".')[2:] == ("We end. Bye", "We END. Bye.")
    assert make_variants("We end.", 'Say "END" in capitals, and use no full stop.') == ("We end. ", "We end.\n")
    assert make_variants("I see you soon", 'End with "See you soon."')[2:] == ("I See you soon.",)
    assert make_variants("Enjoy? Bye", 'Use the word "Enjoy!"')[2:] == ("Enjoy! Bye",)
    assert make_variants("Enjoy", 'End with "Enjoy!", an exclamation mark behind it.') == ("Enjoy ", "Enjoy\n")
    assert make_variants("“It’s”", "Use no full stop.") == ("“It’s” ", "“It’s”\n", '"It\'s"')


def test_a_run_with_both_settings_makes_fewer_rows_and_says_how_many_it_left_out(
    small_world: Path, tmp_path: Path
) -> None:
    strictly = run_small_world(small_world, tmp_path, {"sft.strict": True, "preferences.strict": True})
    made = [autoif.load_run(small_world / "run"), strictly]
    loose, strict = ([[dict(row) for row in rows] for rows in (run.sft, run.preferences)] for run in made)
    assert all(row in loose[0] for row in strict[0])
    for pair in strict[1]:
        assert all(set(each["rejected_verdicts"]) <= {"fail", "error"} for each in pair["constraints"])
    lost = len(loose[0]) - len(strict[0])
    assert lost > 0
    assert f"sft.strict left out {lost} of {len(loose[0])} responses that had passed" in made[1].manifest["notes"]
    assert list(made[0].rewards) == list(made[1].rewards)
