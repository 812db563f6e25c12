"""docs/records.md: its examples are made again by the code, and its lists are whole."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from autoif.config import load_config
from autoif.datasets.preferences import instruction_pairs, query_pairs
from autoif.datasets.rewards import reward_rows
from autoif.datasets.sft import sft_rows
from autoif.instructions.answers import FormatLoss
from autoif.instructions.cross_validation import cross_validate
from autoif.instructions.deduplication import fold_duplicates
from autoif.instructions.json_reading import FormatRepair
from autoif.instructions.verification import read_function_answers
from autoif.models.requests import Completion
from autoif.pipeline import STAGES
from autoif.queries.augmentation import augment
from autoif.queries.rejection_sampling import verify_responses
from autoif.records import (
    BackTranslation,
    Draft,
    Instruction,
    Prompt,
    Quality,
    Reason,
    Response,
    Verdict,
    VerifiedInstruction,
    content_id,
)
from autoif.runs.manifest import new_manifest
from autoif.runs.store import FOLDERS, REPLAYED_FROM, read_manifest
from conftest import MakeTools
from support.records import answer

PAGE = (Path(__file__).parent.parent / "docs" / "records.md").read_text(encoding="utf-8")
EXAMPLES = {
    name: json.loads(block)
    for name, block in re.findall(r"^### (\S+)\n.*?```json\n(.*?)\n```", PAGE, re.DOTALL | re.MULTILINE)
}
WORD = "def evaluate(response):\n    return 'tea' in response.split()"
PART = "def evaluate(response):\n    return 'tea' in response.lower()"


@pytest.fixture
async def story(make_tools: MakeTools) -> dict[str, Any]:
    """Make the records and rows of the page from what the models said."""
    tools = make_tools(queries=["What do people drink in the afternoon?"])
    instruction = Instruction.of("Use the word 'tea'.", "seed")
    fenced = (
        answer(PART, ("Tea for two", True), ("I drink milk", False))
        .replace("true", '"True"')
        .replace("false", '"False"')
    )
    draft = read_function_answers(
        instruction,
        [
            Completion(answer(WORD, ("I drink tea", True), ("I drink milk", False)), "stop"),
            Completion(f"```json\n{fenced}\n```", "stop"),
        ],
    )
    assert isinstance(draft, Draft)
    [verified] = await cross_validate(draft, tools)
    assert isinstance(verified, VerifiedInstruction)
    verified = verified.model_copy(
        update={
            "back_translations": tuple(
                BackTranslation(function_id=one.id, text=text, label="entailment", score=0.93, source="chat/logprobs")
                for one, text in zip(
                    verified.functions,
                    ("The text must contain the word 'tea'.", "The text must contain 'tea', in capitals or not."),
                    strict=True,
                )
            )
        }
    )
    [prompt] = await augment(verified, tools)
    assert isinstance(prompt, Prompt)
    texts = ("Many drink tea with milk.", "Coffee, mostly.")
    good, bad = await verify_responses(
        [
            Response(id=content_id("response", prompt.id, index, text), prompt=prompt, index=index, text=text)
            for index, text in enumerate(texts)
        ],
        tools,
    )
    quality = Quality(scores=(9.0,), mean=9.0, analyses=("It answers the question.\nScore: 9",))
    good = good.model_copy(update={"quality": quality})
    _, [dropped] = fold_duplicates([instruction, Instruction.of("use the word 'tea'", "self_instruct")], 90.0)
    [pair] = query_pairs([prompt], [good, bad], [good], tools.config.preferences)
    [sft], [reward] = sft_rows([good]), reward_rows([prompt])
    return {
        "Instruction": instruction,
        "Draft": draft,
        "VerifiedInstruction": verified,
        "Query": prompt.query,
        "Prompt": prompt,
        "Response": good,
        "Dropped": dropped,
        "sft.jsonl": sft,
        "preferences.jsonl": pair,
        "rewards.jsonl": reward,
        "instruction pair": next(instruction_pairs([verified], tools.config.preferences)),
    }


@pytest.mark.parametrize("name", EXAMPLES)
async def test_every_example_is_what_the_code_makes(story: dict[str, Any], name: str) -> None:
    made = story[name]
    made = made.model_dump(mode="json")
    assert EXAMPLES[name] == made
    assert list(EXAMPLES[name]) == list(made)


async def test_there_is_an_example_of_everything(story: dict[str, Any]) -> None:
    assert {*EXAMPLES, "instruction pair"} == set(story)
    assert {stage.makes.__name__ for stages in STAGES.values() for stage in stages} < set(EXAMPLES)
    assert list(story["instruction pair"].columns()) == list(EXAMPLES["preferences.jsonl"])


def test_the_folders_are_named_with_what_they_hold() -> None:
    made = {stage.folder: stage.makes.__name__ for stages in STAGES.values() for stage in stages}
    rows = dict(re.findall(r"^\| `(\d\d_\w+)` \| \[(\w+)\]", PAGE, re.MULTILINE))
    assert tuple(rows) == FOLDERS
    assert rows == {FOLDERS[0]: "Instruction", **made}


def test_every_reason_verdict_repair_and_loss_is_listed() -> None:
    table = PAGE.split("| stage | reasons |")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`[,:| ]", re.sub(r"^\| `?\w[\w ]*`? \|", "|", table, flags=re.MULTILINE))) == {
        str(reason) for reason in Reason
    }
    for kind in (Verdict, FormatRepair, FormatLoss):
        for value in kind:
            assert f"`{value}`" in PAGE


def test_the_keys_of_run_json_are_named(replayed: Path) -> None:
    paragraph = PAGE[PAGE.index("`run.json` has the keys") :].split("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", paragraph))
    assert named == {*new_manifest(load_config("paper"), {}), *read_manifest(replayed), REPLAYED_FROM}
