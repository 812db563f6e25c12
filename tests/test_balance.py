"""The balanced operating point of rewards, and how reliable a constraint is said to be."""

from pathlib import Path

import pytest
from pydantic import ValidationError

import autoif
from autoif.datasets.balance import balance_functions, draw_responses
from autoif.datasets.exports import trl, verl
from autoif.datasets.rewards import reward_rows
from autoif.datasets.rows import Constraint, RewardRow, Turn, describe_reliability
from autoif.records import Instruction, Prompt, Query, Response, Verdict, VerifiedInstruction, content_id
from autoif.sandbox import Sandbox
from support.records import ACCEPT, accepts, verified

PASS, FAIL = Verdict.PASS, Verdict.FAIL
WORD = accepts("xylophone")


def responses_of(instruction: VerifiedInstruction, *texts: str) -> list[Response]:
    asked = Prompt(id=instruction.id, constraints=(instruction,), query=Query.of("Why?"), text="Why?")
    return [
        Response(id=content_id(instruction.id, index), prompt=asked, index=index, text=text)
        for index, text in enumerate(texts)
    ]


async def test_rows_have_the_functions_of_the_likeliest_behaviour_and_say_how_likely_it_is() -> None:
    verdicts = [(PASS, FAIL), (PASS, PASS), (PASS, FAIL)]
    instruction = verified([WORD, ACCEPT, WORD + "\n"], verdicts, [("a xylophone", True), ("a drum", False)])
    instruction = instruction.model_copy(update={"instruction": Instruction.of("Mention a xylophone.", "seed")})
    own = responses_of(instruction, "my xylophone", "no drum")
    other = verified([ACCEPT]).model_copy(update={"instruction": Instruction.of("Sing.", "seed")})
    foreign = [each.model_copy(update={"id": f"{each.id}x"}) for each in responses_of(other, "tea", "milk")]
    async with Sandbox(workers=1) as sandbox:
        found = [
            await balance_functions([instruction], own, [*own, *foreign], sandbox, balanced=balanced)
            for balanced in (True, False)
        ]
    chosen, whole = (each[instruction.id] for each in found)
    assert (chosen.functions, whole.functions) == ((0, 2), (0, 1, 2))
    assert 0.5 < whole.reliability < chosen.reliability < 1
    [row] = reward_rows([own[0].prompt], lambda each: chosen.describe(each, reliability=True))
    assert row.columns()["constraints"] == [
        {
            "instruction_id": instruction.instruction.id,
            "instruction": instruction.instruction.text,
            "functions": [WORD, WORD + "\n"],
            "reliability": chosen.reliability,
        }
    ]
    [row] = reward_rows([own[0].prompt], lambda each: chosen.describe(each, reliability=False))
    assert "reliability" not in row.model_dump(mode="json")["constraints"][0]


def test_a_sample_of_responses_does_not_depend_on_their_order() -> None:
    responses = responses_of(verified([WORD]), *(f"text {number}" for number in range(30)))
    assert draw_responses(responses, 5) == draw_responses(responses[::-1], 5)
    assert len(draw_responses(responses, 5)) == 5
    assert draw_responses([], 5) == []


def row_of(*reliabilities: float | None) -> RewardRow:
    constraints = tuple(Constraint(functions=(WORD,), reliability=each) for each in reliabilities)
    return RewardRow(prompt=(Turn(role="user", content="Why?"),), constraints=constraints)


def test_exports_carry_the_reliability_of_the_least_reliable_constraint_where_all_say_theirs() -> None:
    assert describe_reliability(row_of(0.9, 0.4)) == {"reliability": 0.4}
    assert describe_reliability(row_of(0.9, None)) == {}
    assert trl.rl_row(row_of(0.7))["reliability"] == 0.7
    assert verl.rl_row(0, row_of(0.7))["extra_info"]["reliability"] == 0.7
    assert "reliability" not in trl.rl_row(row_of(None))


def test_a_reliability_is_a_share() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        row_of(1.2)


def test_a_run_writes_the_same_prompts_with_fewer_functions_and_their_reliability(
    replayed: Path, tmp_path: Path
) -> None:
    plain, settings = autoif.load_run(replayed), {"rewards.balanced": True, "rewards.reliability": True}
    rated = autoif.run("quickstart", recorded=True, output=tmp_path, set=settings, progress=False)
    assert [row["prompt"] for row in plain.rewards] == [row["prompt"] for row in rated.rewards]
    for before, after in zip(plain.rewards, rated.rewards, strict=True):
        [kept], [chosen] = before["constraints"], after["constraints"]
        assert set(chosen["functions"]) <= set(kept["functions"])
        assert 0 < chosen["reliability"] < 1
        assert "reliability" not in kept
    assert list(plain.sft) == list(rated.sft)
