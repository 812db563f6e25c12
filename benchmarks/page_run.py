"""A run folder of any size, in the files that a run writes, without a model or a sandbox: for benchmark and tests."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from autoif.config import load_config
from autoif.records import (
    Answer,
    BackTranslation,
    Case,
    Draft,
    Dropped,
    Function,
    Instruction,
    Matrix,
    Prompt,
    Quality,
    Query,
    Reason,
    Response,
    Verdict,
    VerifiedInstruction,
    content_id,
)
from autoif.runs.manifest import new_manifest
from autoif.runs.run_folder import RunFolder
from autoif.runs.store import (
    AUGMENTATION,
    BACK_TRANSLATION,
    CROSS_VALIDATION,
    PREFERENCES,
    REJECTION_SAMPLING,
    SCORING,
    SELF_INSTRUCT,
    SFT,
    VERIFICATION,
)

_WORDS = (
    "answer with at least three short lines and end each of them in a word that names colour fruit river stone light "
    "music garden winter letter comma number bullet paragraph quote capital question bridge morning spoon paper"
).split()
_RULES = ("Use at least {} words.", "Write the word {1} {0} times.", "Begin with {1}.", "Use no comma; {1} is allowed.")


@dataclass(frozen=True, slots=True)
class MadeRun:
    """How large a run is, and what its texts are."""

    instructions: int = 8
    prompts_each: int = 2
    responses_each: int = 4
    """Of a prompt."""
    shard: int = 64
    spoil: Callable[[str], str] = lambda text: text
    """Is given every text of a model, and returns what stands in its place."""


def make_run(folder: Path, size: MadeRun, seed: int = 0) -> None:
    """Write a complete run: a third of its instructions is dropped by cross-validation, a third of responses twice."""
    random_ = random.Random(seed)
    config = load_config("quickstart")
    with RunFolder(folder) as run:
        rows: list[dict[str, JsonValue]] = []
        pairs: list[dict[str, JsonValue]] = []
        for shard, numbers in enumerate(_cut(size.instructions, size.shard)):
            instructions = [_make_instruction(number, size) for number in numbers]
            run.write_shard(SELF_INSTRUCT, shard, instructions, [])
            _write_shard(run, shard, instructions, size, random_, rows, pairs)
        run.write_rows(SFT, rows)
        run.write_rows(PREFERENCES, pairs)
        usage: JsonValue = {"verification": {"requests": size.instructions, "completions": 4 * size.instructions}}
        run.write_manifest({**new_manifest(config, {"seed": 0}), "status": "complete", "usage": usage, "seconds": 60.0})


def _cut(count: int, size: int) -> Iterator[range]:
    for start in range(0, count, size):
        yield range(start, min(count, start + size))


def _make_instruction(number: int, size: MadeRun) -> Instruction:
    rule = _RULES[number % len(_RULES)].format(number, f"{_WORDS[number % len(_WORDS)]}{number}")
    return Instruction.of(size.spoil(rule), "seed" if number % 2 else "self_instruct")


def _write_shard(
    run: RunFolder,
    shard: int,
    instructions: list[Instruction],
    size: MadeRun,
    random_: random.Random,
    *made: list[dict[str, JsonValue]],
) -> None:
    rows, pairs = made
    drafts = [_make_draft(instruction, size, random_) for instruction in instructions]
    run.write_shard(VERIFICATION, shard, drafts, [])
    verified = [_verify(draft, size) for place, draft in enumerate(drafts) if place % 3]
    lost = [
        Dropped.of("cross_validation", Reason.NO_CASE_AGREED, _refuse(draft), size.spoil("0 of 4 cases"))
        for draft in drafts[::3]
    ]
    run.write_shard(CROSS_VALIDATION, shard, verified, lost)
    run.write_shard(BACK_TRANSLATION, shard, verified, [])
    prompts = [_make_prompt(each, number, size) for each in verified for number in range(size.prompts_each)]
    run.write_shard(AUGMENTATION, shard, prompts, [])
    responses = [_make_response(p, n, size, random_) for p in prompts for n in range(size.responses_each)]
    passed = [each for each in responses if each.pass_rate > 0.5]
    failed = [each for each in responses if each.pass_rate <= 0.5]
    run.write_shard(
        REJECTION_SAMPLING, shard, passed,
        [Dropped.of("rejection_sampling", Reason.FAILED_FUNCTIONS, each, "1 of 3 functions") for each in failed],
    )  # fmt: skip
    scored = [_score(each, size) for each in passed]
    good = [each for each in scored if each.quality and each.quality.mean >= 8]
    poor = [Dropped.of("scoring", Reason.LOW_QUALITY, each, "4") for each in scored if each not in good]
    run.write_shard(SCORING, shard, good, poor)
    rows += [{"messages": [{"role": "assistant", "content": each.text}], "response_id": each.id} for each in good]
    by_prompt = {each.prompt.id: each for each in failed}
    pairs += [_make_pair(each, by_prompt[each.prompt.id]) for each in good if each.prompt.id in by_prompt]


def _make_draft(instruction: Instruction, size: MadeRun, random_: random.Random) -> Draft:
    functions = tuple(
        Function.of(
            size.spoil(f"def evaluate(response):\n    # {number}\n    return '{instruction.id}' not in response\n")
        )
        for number in range(3)
    )
    cases = tuple(Case(input=size.spoil(_write(random_, 12)), expected=bool(number % 2)) for number in range(4))
    draft_id = content_id("draft", instruction.id)
    answers = (Answer(index=0), Answer(index=1, loss=size.spoil("truncated"), repairs=(size.spoil("json syntax"),)))
    return Draft(id=draft_id, instruction=instruction, matrix=Matrix(functions=functions, cases=cases), answers=answers)


def _refuse(draft: Draft) -> Draft:
    """Return a draft whose functions accept no case, right or wrong."""
    verdicts = tuple(tuple(Verdict.FAIL for _ in draft.matrix.cases) for _ in draft.matrix.functions)
    matrix = draft.matrix.model_copy(update={"verdicts": verdicts, "details": ("",) * len(verdicts)})
    return draft.model_copy(update={"matrix": matrix})


def _verify(draft: Draft, size: MadeRun) -> VerifiedInstruction:
    matrix = draft.matrix
    right = [Verdict.PASS if case.expected else Verdict.FAIL for case in matrix.cases]
    wrong = [Verdict.PASS, Verdict.ERROR, *right[2:]]
    back = tuple(
        BackTranslation(function_id=each.id, text=size.spoil("Says no."), label="neutral", score=0.5, source="judge")
        for each in matrix.functions[:2]
    )
    return VerifiedInstruction(
        id=content_id("verified", draft.id),
        instruction=draft.instruction,
        matrix=Matrix(
            functions=matrix.functions,
            cases=matrix.cases,
            verdicts=(tuple(right), tuple(right), tuple(wrong)),
            details=("", "", size.spoil("ValueError: it raised")),
        ),
        kept_functions=(0, 1),
        kept_cases=(0, 1, 2, 3),
        back_translations=back,
    )


def _make_prompt(verified: VerifiedInstruction, number: int, size: MadeRun) -> Prompt:
    query = Query.of(size.spoil(f"What is question {number} about {verified.instruction.id}?"))
    text = f"{query.text} {verified.instruction.text}"
    return Prompt(id=content_id("prompt", text), constraints=(verified,), query=query, text=text)


def _make_response(prompt: Prompt, index: int, size: MadeRun, random_: random.Random) -> Response:
    text = size.spoil(_write(random_, random_.randint(20, 90)))
    verdicts = random_.choice(
        [(Verdict.PASS, Verdict.PASS), (Verdict.PASS, Verdict.FAIL), (Verdict.PASS, Verdict.PASS)]
    )
    return Response(
        id=content_id("response", prompt.id, index),
        prompt=prompt,
        index=index,
        text=text,
        verdicts=verdicts,
        pass_rate=verdicts.count(Verdict.PASS) / 2,
    )


def _score(response: Response, size: MadeRun) -> Response:
    score = float(len(response.text) % 11)
    quality = Quality(scores=(score,), mean=score, analyses=(size.spoil("It answers the question."),))
    return response.model_copy(update={"quality": quality})


def _make_pair(chosen: Response, rejected: Response) -> dict[str, JsonValue]:
    constraints: list[JsonValue] = [
        {
            "instruction_id": each.instruction.id,
            "instruction": each.instruction.text,
            "functions": [function.source for function in each.functions],
            "chosen_verdicts": list(chosen.verdicts),
            "rejected_verdicts": list(rejected.verdicts),
        }
        for each in chosen.prompt.constraints
    ]
    return {
        "prompt": [{"role": "user", "content": chosen.prompt.text}],
        "chosen": [{"role": "assistant", "content": chosen.text}],
        "rejected": [{"role": "assistant", "content": rejected.text}],
        "level": "query",
        "constraints": constraints,
        "chosen_pass_rate": chosen.pass_rate,
        "rejected_pass_rate": rejected.pass_rate,
        "query_id": chosen.prompt.query.id,
    }


def _write(random_: random.Random, words: int) -> str:
    return " ".join(random_.choices(_WORDS, k=words))
