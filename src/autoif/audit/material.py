"""Reads a run for an audit: its instructions with all functions that were written, their cases and their responses.

A run that began with the verified instructions of another has only these, each with its whole matrix. What reviewers
rejected (`autoif.decisions`) counts as dropped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autoif.datasets.reviewing import read_acceptance, review_answers, review_verified
from autoif.datasets.writing import SampledShard
from autoif.decisions import Review, read_review
from autoif.errors import StoreError
from autoif.records import Draft, Function, Instruction, Matrix, Prompt, Reason, Response, VerifiedInstruction
from autoif.runs import store
from autoif.runs.contents import naming_damage, read_dropped, read_kept, read_prompts, read_verified, refuse_gaps
from autoif.settings import Preferences
from autoif.thresholds import Threshold


@dataclass(slots=True)
class WrittenInstruction:
    """An instruction with all functions that were written for it, kept or not."""

    instruction: Instruction
    matrix: Matrix
    """All functions and all cases; has verdicts only if cross-validation ran."""
    cross_validated: tuple[int, ...] = ()
    """Indices of the functions that cross-validation kept; empty if it dropped the instruction."""
    back_translated: tuple[int, ...] = ()
    """Indices of the functions that judge responses: those that back-translation and reviewers kept."""
    dropped: str = ""
    """Why the instruction was dropped, as a `Reason` value; "" if it was kept."""
    responses: list[Response] = field(default_factory=list)
    """All responses to it that were sampled and got verdicts, whether accepted or not."""

    @property
    def functions(self) -> tuple[Function, ...]:
        """All functions that were written."""
        return self.matrix.functions

    @property
    def sources(self) -> list[str]:
        return [function.source for function in self.matrix.functions]


@dataclass(frozen=True, slots=True)
class Material:
    """A run as an audit sees it."""

    run: Path
    status: str
    """As run.json has it: "complete", "running" or "interrupted"."""
    pass_rate: Threshold
    """The share of functions that must accept a response for the run to accept it."""
    instructions: tuple[WrittenInstruction, ...]
    scored: tuple[Response, ...] = ()
    """The responses that passed all stages."""
    verified: tuple[VerifiedInstruction, ...] = ()
    preferences: Preferences = field(default_factory=Preferences)
    """Settings of the pairs that the run makes."""

    @property
    def functions(self) -> int:
        """How many functions were written."""
        return sum(len(each.functions) for each in self.instructions)


def read_material(run: Path) -> Material:
    """Return what a run has made so far.

    Raises:
        StoreError: it is no run folder, is of another version, is damaged, lacks files, or has no functions yet.
    """
    manifest = store.read_run(run)
    accepted, pairs = read_acceptance(manifest, run)
    refuse_gaps(run)
    with naming_damage(run):
        written = {each.instruction.id: each for each in _read_written(run)}
        verified = {each.id: each for each in read_verified(run)}
        prompts = read_prompts(run, verified)
        scored = [*read_kept(run, store.SCORING, Response, known=prompts)]
        for response in _read_responses(run, prompts):
            for constraint in response.prompt.constraints:
                written[constraint.instruction.id].responses.append(response)
    if review := read_review(run):
        left = SampledShard(list(prompts.values()), [], scored).reviewed(review, accepted)
        scored, prompts = list(left.scored), {each.id: each for each in left.prompts}
        verified = {name: kept for name, each in verified.items() if (kept := review_verified(each, review))}
        for each in written.values():
            _leave_out_rejected(each, prompts, review)
    if not any(each.functions for each in written.values()):
        raise StoreError(
            f"{run} has no functions yet ({manifest.get('status')}): run the same command again to the end"
        )
    return Material(
        run,
        str(manifest.get("status")),
        accepted,
        tuple(written.values()),
        tuple(scored),
        tuple(verified.values()),
        pairs,
    )


def _leave_out_rejected(written: WrittenInstruction, prompts: Mapping[str, Prompt], review: Review) -> None:
    """Remove what reviewers rejected from the kept functions and the responses; `prompts` are those they left."""
    gone = review.rejects("instruction", written.instruction.id)
    left = tuple(
        place
        for place in written.back_translated
        if not gone and not review.rejects("function", written.functions[place].id)
    )
    if written.back_translated and not left:
        written.dropped = Reason.REJECTED_BY_REVIEWER.value
    written.back_translated = left
    written.responses = review_answers(written.responses, prompts, review)


def _read_written(run: Path) -> Iterator[WrittenInstruction]:
    """Yield the instructions that functions were written for, in the order of the run."""
    found = {}
    for draft in read_kept(run, store.VERIFICATION, Draft):
        found[draft.instruction.id] = WrittenInstruction(draft.instruction, draft.matrix)
    for dropped in read_dropped(run, store.CROSS_VALIDATION):
        if isinstance(dropped.record, Draft | VerifiedInstruction):
            instruction = dropped.record.instruction
            found[instruction.id] = WrittenInstruction(instruction, dropped.record.matrix, dropped=dropped.reason.value)
    for verified in read_kept(run, store.CROSS_VALIDATION, VerifiedInstruction):
        found[verified.instruction.id] = WrittenInstruction(
            verified.instruction, verified.matrix, verified.kept_functions
        )
    for dropped in read_dropped(run, store.BACK_TRANSLATION):
        if isinstance(dropped.record, VerifiedInstruction):
            found[dropped.record.instruction.id].dropped = dropped.reason.value
    for verified in read_verified(run):
        written = found.setdefault(verified.instruction.id, WrittenInstruction(verified.instruction, verified.matrix))
        written.cross_validated = written.cross_validated or verified.kept_functions
        written.back_translated = verified.kept_functions
    yield from found.values()


def _read_responses(run: Path, prompts: Mapping[str, Prompt]) -> Iterator[Response]:
    yield from read_kept(run, store.REJECTION_SAMPLING, Response, known=prompts)
    for dropped in read_dropped(run, store.REJECTION_SAMPLING, known=prompts):
        if dropped.reason is Reason.FAILED_FUNCTIONS and isinstance(dropped.record, Response):
            yield dropped.record
