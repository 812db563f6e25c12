"""Instructions whose functions behave alike are one constraint in other words: data is made of the best alone."""

from pathlib import Path

import pytest

import autoif
from autoif.datasets.folding import fold_alike
from autoif.reading.jsonl import read_jsonl
from autoif.records import (
    Dropped,
    Instruction,
    Prompt,
    Query,
    Reason,
    Response,
    Verdict,
    VerifiedInstruction,
    content_id,
)
from autoif.runs.store import FOLDED
from autoif.sandbox import Sandbox
from support.records import ACCEPT, REFUSE, accepts, verified

SHORT = "def evaluate(response):\n    return len(response.split()) <= 15"
SHORT_AGAIN = (
    "def evaluate(response):\n    count = 0\n    for _ in response.split():\n        count += 1\n    return count < 16"
)
SHORTER = "def evaluate(response):\n    return len(response.split()) <= 14"


def make(text: str, *functions: str, cases: tuple[tuple[str, bool], ...] = ()) -> VerifiedInstruction:
    rows = [tuple(Verdict.PASS if expected else Verdict.FAIL for _, expected in cases)] * len(functions)
    made = verified(functions, rows, cases)
    return made.model_copy(update={"instruction": Instruction.of(text, "seed"), "id": content_id("verified", text)})


def answer_to(instruction: VerifiedInstruction, text: str, verdict: Verdict = Verdict.PASS) -> Response:
    asked = Prompt(id=instruction.id, constraints=(instruction,), query=Query.of("Why?"), text="Why?")
    verdicts = (verdict,) * len(instruction.kept_functions)
    return Response(id=content_id(instruction.id, text), prompt=asked, index=0, text=text, verdicts=verdicts)


async def fold(
    *instructions: VerifiedInstruction, responses: tuple[Response, ...] = (), alike: str = ">= 1"
) -> list[tuple[str, str]]:
    """Return the texts of those that are folded, with what is said of each."""
    async with Sandbox(workers=1) as sandbox:
        dropped = await fold_alike(instructions, responses, sandbox, alike)
    assert {(each.stage, each.reason) for each in dropped} <= {("folding", Reason.DUPLICATE_BEHAVIOUR)}
    return [(each.record.instruction.text, each.detail.split(": ", 1)[1]) for each in dropped]


async def test_other_words_and_other_code_for_the_same_rule_are_folded_into_the_better_one() -> None:
    cases = (("one two three", True), ("a " * 30, False))
    first = make("At most 15 words.", SHORT)
    better = make("Use no more than fifteen words.", SHORT_AGAIN, cases=cases)
    assert await fold(first, better) == [("At most 15 words.", "Use no more than fifteen words.")]
    assert await fold(better, first) == [("At most 15 words.", "Use no more than fifteen words.")]


@pytest.mark.parametrize("alike", [">= 1", ">= 0.995"])
async def test_a_limit_of_one_word_less_is_another_rule(alike: str) -> None:
    assert await fold(make("15", SHORT), make("14", SHORTER), alike=alike) == []


async def test_a_share_below_one_folds_what_differs_on_few_texts() -> None:
    assert len(await fold(make("15", SHORT), make("14", SHORTER), alike=">= 0.9")) == 1


async def test_rules_that_no_probe_obeys_are_told_apart_by_their_own_texts() -> None:
    first, second = (make(f"Use the hashtag #{tag}.", accepts(f"#{tag}")) for tag in ("xylophone", "marimba"))
    again = make("Put #marimba in.", accepts("#marimba"))
    responses = (answer_to(first, "I play. #xylophone"), answer_to(second, "I play. #marimba"))
    assert await fold(first, second, responses=responses) == []
    assert await fold(first, second) == []  # nothing that either accepts is known
    [(folded, into)] = await fold(first, second, again, responses=responses)
    assert {folded, into} == {"Use the hashtag #marimba.", "Put #marimba in."}


async def test_functions_that_say_one_thing_of_everything_are_not_folded() -> None:
    assert await fold(make("a", ACCEPT), make("b", ACCEPT), make("c", REFUSE), make("d", REFUSE)) == []


async def test_a_third_one_is_folded_into_the_same_as_the_second() -> None:
    texts = [into for _, into in await fold(*(make(name, SHORT) for name in "abc"))]
    assert len(texts) == 2
    assert len(set(texts)) == 1


def test_a_run_makes_no_row_of_what_is_folded_and_names_it(tmp_path: Path) -> None:
    made = autoif.run(
        "quickstart", recorded=True, output=tmp_path, progress=False,
        set={"deduplication.behaviour": True, "deduplication.alike": ">= 0"},
    )  # fmt: skip
    folded = [each.record.instruction.text for each in read_jsonl(tmp_path / FOLDED, Dropped) if each.record]
    assert folded
    left = {each["instruction"] for rows in (made.sft, made.rewards) for row in rows for each in row["constraints"]}
    assert left
    assert not left & set(folded)
    said = (
        f"{len(folded)} of {len(made.instructions)} instructions behave as better ones do, and no row is made of them"
    )
    assert f"{said}: {FOLDED}" in made.manifest["notes"]
