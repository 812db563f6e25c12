"""A small run folder for audits, made of records: one instruction of two functions, one that was dropped."""

from collections.abc import Sequence
from pathlib import Path

from autoif.benchmark_wordings import find_wording
from autoif.config import Config
from autoif.datasets.preferences import query_pairs
from autoif.datasets.rewards import reward_rows
from autoif.datasets.sft import sft_rows
from autoif.records import Draft, Dropped, Instruction, Prompt, Query, Reason, Response, Verdict, VerifiedInstruction
from autoif.runs.manifest import new_manifest
from autoif.runs.run_folder import RunFolder
from autoif.runs.store import (
    AUGMENTATION,
    BACK_TRANSLATION,
    CROSS_VALIDATION,
    INSTRUCTIONS,
    PREFERENCES,
    REJECTION_SAMPLING,
    REWARDS,
    SCORING,
    SFT,
    VERIFICATION,
)
from support.records import REFUSE, accepts, draft

TEA = "Use the word 'tea'."
WORD = "Answer with a single word."
CASES = (("tea please", True), ("no", False), ("teacup", True))
RESPONSES = (("hot tea", 2), ("teapot", 2), ("coffee", 0), ("Tea!", 0))
"""Texts, and how many of the two functions that were kept accept each."""


def make_draft(text: str, functions: Sequence[str], cases: Sequence[tuple[str, bool]] = CASES) -> Draft:
    made = draft(functions, cases)
    return made.model_copy(update={"instruction": Instruction.of(text, "seed"), "id": f"draft of {text}"})


def write_run(folder: Path, *, instruction: str = TEA, status: str = "complete", steps: int = 2) -> Path:
    """Write the run: of the first step alone, of both, or (0) one that has no functions yet."""
    kept = make_draft(instruction, [accepts("tea"), accepts("te"), REFUSE])
    lost = make_draft(WORD, [REFUSE])
    passed, failed = Verdict.PASS, Verdict.FAIL
    verdicts = ((passed, failed, passed), (passed, failed, passed), (failed,) * 3)
    matrix = kept.matrix.model_copy(update={"verdicts": verdicts})
    verified = VerifiedInstruction(
        id="verified tea", instruction=kept.instruction, matrix=matrix, kept_functions=(0, 1), kept_cases=(0, 1)
    )
    with RunFolder(folder) as run:
        run.write_manifest({**new_manifest(Config(), {}), "status": status})
        if not steps:
            return folder
        run.write_shard(VERIFICATION, 0, [kept, lost], [])
        run.write_shard(
            CROSS_VALIDATION, 0, [verified], [Dropped.of("cross_validation", Reason.ONE_SIDED_CASES, lost, "none")]
        )
        run.write_shard(BACK_TRANSLATION, 0, [verified], [])
        run.write_rows(INSTRUCTIONS, [verified])
        if steps > 1:
            _write_second_step(run, verified)
    return folder


def _write_second_step(run: RunFolder, verified: VerifiedInstruction) -> None:
    prompt = Prompt(
        id="prompt", constraints=(verified,), query=Query.of("What is hot?"), text=f"What is hot? {verified.id}"
    )
    responses = [
        Response(
            id=f"response {index}",
            prompt=prompt,
            index=index,
            text=text,
            verdicts=(Verdict.PASS,) * passed + (Verdict.FAIL,) * (2 - passed),
            pass_rate=passed / 2,
        )
        for index, (text, passed) in enumerate(RESPONSES)
    ]
    accepted = [each for each in responses if each.pass_rate > 0.5]
    refused = [
        Dropped.of("rejection_sampling", Reason.FAILED_FUNCTIONS, each, "0 of 2")
        for each in responses
        if each.pass_rate <= 0.5
    ]
    run.write_shard(AUGMENTATION, 0, [prompt], [])
    run.write_shard(REJECTION_SAMPLING, 0, accepted, refused)
    run.write_shard(SCORING, 0, accepted, [])
    trained = find_wording(verified.instruction.text) is None
    run.write_rows(SFT, sft_rows(accepted) if trained else ())
    run.write_rows(PREFERENCES, query_pairs([prompt], responses, accepted, Config().preferences) if trained else ())
    run.write_rows(REWARDS, reward_rows([prompt]) if trained else ())
