"""Prompts with several constraints: each is followed or not; the functions of one never outvote those of another."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from autoif.config import load_config
from autoif.contamination.training_rows import read_rows
from autoif.datasets.preferences import query_pairs
from autoif.datasets.reviewed_rows import RowReview, review_row
from autoif.datasets.reviewing import review_answers, review_prompts
from autoif.datasets.rows import SftRow
from autoif.datasets.sft import sft_rows
from autoif.datasets.strictness import find_strictness
from autoif.datasets.writing import SampledShard
from autoif.decisions import Decision, settle_decisions
from autoif.evaluation.pass_rate import judge_answers, read_prompts
from autoif.evaluation.provenance import Seen
from autoif.evaluation.responses import SubjectResponse
from autoif.queries.rejection_sampling import verify_responses
from autoif.records import Prompt, Query, Response, Verdict, VerifiedInstruction
from autoif.reward import VerificationReward
from autoif.reward_parts import RewardParts
from autoif.sampling import Sample
from autoif.training.online_pairs import OnlineSettings, judge_samples, make_prompts, pair_samples
from conftest import MakeTools
from support.command import run_here
from support.pass_rate_data import reward_row
from support.records import ACCEPT, REFUSE, accepts, verified
from support.training_data import write_rows

PASS, FAIL = Verdict.PASS, Verdict.FAIL
MANY = [accepts("tea"), accepts("te"), accepts("t")]
ONE = [accepts("milk")]
BOTH, FIRST, SECOND, NEITHER = "tea with milk", "tea", "milk", "juice"
RATES = {BOTH: 1.0, FIRST: 0.0, SECOND: 0.0, NEITHER: 0.0}
"""Three functions of four accept FIRST, and it breaks a rule all the same."""


def row_of(*functions: list[str]) -> dict:
    constraints = [
        {"instruction_id": f"i{at}", "instruction": "", "functions": each} for at, each in enumerate(functions)
    ]
    return {**reward_row("tea", 1), "constraints": constraints}


def prompt_of(*instructions: VerifiedInstruction) -> Prompt:
    return Prompt(id="p", constraints=instructions, query=Query.of("What to drink?"), text="What to drink? Tea, milk.")


def responses_to(asked: Prompt, *texts: str) -> list[Response]:
    return [Response(id=f"r{index}", prompt=asked, index=index, text=text) for index, text in enumerate(texts)]


@pytest.mark.parametrize("column", ["constraints", "functions"])
def test_the_binary_reward_wants_every_constraint_followed(column):
    given = {"constraints": [{"functions": MANY}, {"functions": ONE}], "functions": [MANY, ONE]}[column]
    with VerificationReward(workers=1) as reward:
        assert reward([*RATES], **{column: [given] * len(RATES)}) == [*RATES.values()]
        assert reward([FIRST], functions=[[*MANY, *ONE]]) == [1]  # of one constraint, functions vote
    with RewardParts({"verification": 1.0, "constraints": 1.0}, workers=1) as parts:
        assert parts([*RATES], **{column: [given] * len(RATES)}) == [2, 0.5, 0.5, 0]


def test_an_answer_is_accepted_that_follows_every_constraint(tmp_path, sandbox):
    prompts = read_prompts(write_rows(tmp_path / "rewards.jsonl", row_of(MANY, ONE)))
    answers = [SubjectResponse(text, False) for text in RATES]
    [result] = judge_answers([(prompts.rows[0], answers)], Seen(), sandbox, print).results
    assert result.scores["pass_rate"] == tuple(100 * rate for rate in RATES.values())
    assert result.cluster == "i0"


def test_a_round_of_online_dpo_rejects_what_breaks_one_rule_and_chooses_what_keeps_all(sandbox):
    prompts = make_prompts([row_of(MANY, ONE)])
    samples = [
        Sample(prompt_id=prompts[0].id, index=index, text=text, finish_reason="stop")
        for index, text in enumerate([FIRST, BOTH])
    ]
    judged = judge_samples(prompts, samples, sandbox)
    [pair], counts = pair_samples(prompts, samples, judged, OnlineSettings())
    assert (pair.chosen[0].content, pair.rejected[0].content) == (BOTH, FIRST)
    assert (pair.chosen_pass_rate, pair.rejected_pass_rate) == (1, 0)
    assert [each.rejected_verdicts for each in pair.constraints] == [(PASS,) * 3, (FAIL,)]
    assert counts.paired == 1


async def test_responses_have_the_pass_rate_of_the_constraint_that_they_follow_least(make_tools: MakeTools) -> None:
    asked = prompt_of(verified(MANY), verified([*ONE, ACCEPT, REFUSE]))
    judged = await verify_responses(responses_to(asked, *RATES), make_tools())
    assert [each.pass_rate for each in judged] == [0.6667, 0.3333, 0.0, 0.0]
    [chosen, *_] = query_pairs(
        [asked], judged, [], load_config("paper").preferences.model_copy(update={"scored_only": False})
    )
    assert (chosen.chosen[0].content, chosen.rejected[0].content) == (BOTH, SECOND)
    assert (chosen.chosen_pass_rate, chosen.rejected_pass_rate) == (0.6667, 0.0)


async def test_strict_pairs_reject_what_some_constraint_steadily_refuses(make_tools: MakeTools) -> None:
    on_cases = [(PASS, FAIL)] * 3
    first = verified(MANY, on_cases, [("tea", True), ("jam", False)])
    second = verified(ONE, [(PASS, FAIL)], [("milk", True), ("jam", False)])
    asked = prompt_of(first, second)
    tools = make_tools()
    judged = await verify_responses(responses_to(asked, *RATES), tools)
    strictness = await find_strictness([first, second], judged, tools.sandbox)
    loose = load_config("paper").preferences.model_copy(update={"scored_only": False, "negatives_per_prompt": 8})
    pairs = list(query_pairs([asked], judged, [], loose, strictness))
    assert [(each.chosen[0].content, each.rejected[0].content) for each in pairs] == [
        (BOTH, FIRST), (BOTH, SECOND), (BOTH, NEITHER),
    ]  # fmt: skip
    assert [row.answer for row in sft_rows(judged, strictness)] == [BOTH]


def test_a_recorded_pass_rate_is_that_of_the_constraint_that_is_followed_least(tmp_path: Path) -> None:
    rows = [
        {
            "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": text}],
            "constraints": row_of(MANY, ONE)["constraints"],
            "pass_rate": rate,
        }
        for text, rate in RATES.items()
    ]
    (tmp_path / "sft.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run_here("verify", "--dataset", "sft.jsonl", cwd=tmp_path)
    assert "4 of 4 rows hold" in done.stdout, done.stderr


def test_what_reviewers_leave_of_a_constraint_decides_alone_on_it() -> None:
    asked = prompt_of(verified(MANY), verified([*ONE, ACCEPT]))
    [rejected] = [each for each in asked.functions if each.source == ACCEPT]
    said = Decision(target="function", id=rejected.id, decision="reject", author="ada", time=datetime.now(UTC))
    review = settle_decisions([said])
    [found] = [
        each.model_copy(update={"verdicts": (PASS, PASS, PASS, FAIL, PASS)}) for each in responses_to(asked, FIRST)
    ]
    left = {each.id: each for each in review_prompts([asked], review)}
    [reviewed] = review_answers([found], left, review)
    assert (reviewed.verdicts, reviewed.pass_rate) == ((PASS, PASS, PASS, FAIL), 0.0)
    assert SampledShard([asked], [found], [found]).reviewed(review, "> 0.5").scored == []
    [row] = sft_rows([found])
    assert isinstance(row, SftRow)
    assert review_row(row, RowReview(review)) is None


def test_functions_of_an_export_are_looked_through_whatever_constraint_they_are_of(tmp_path: Path) -> None:
    exported = {"prompt": "x", "functions": [MANY, ONE]}
    [row] = read_rows([write_rows(tmp_path / "rl.jsonl", exported)])
    assert row.constraints == (("", (*MANY, *ONE)),)
