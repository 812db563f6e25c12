"""The stored records that a sweep needs: drafts with their matrices, labels, responses with verdicts, scores.

    run = read_stored(Path("runs/first"))
    run.shards[0].drafts[0].matrix.verdicts

Only finished shards count. Everything is held in memory: about a gigabyte for 200,000 responses.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from autoif.config import Config
from autoif.decisions import Review, read_review
from autoif.errors import StoreError
from autoif.reading.jsonl import read_jsonl
from autoif.records import (
    BackTranslation,
    Contrast,
    Draft,
    Dropped,
    Function,
    Quality,
    Query,
    Reason,
    Response,
    Verdict,
    VerifiedInstruction,
)
from autoif.runs import store
from autoif.runs.contents import naming_damage, read_dropped, read_kept, read_prompts, refuse_gaps
from autoif.sandbox.outcomes import Outcome

_QUERY_STEP = (store.AUGMENTATION, store.REJECTION_SAMPLING, store.SCORING)
_DECIDED = {Verdict.PASS, Verdict.FAIL}
_NOT_LOADED = "does not load: "
"""Beginning of the detail of a function that can't be loaded."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """One response of the run."""

    response: Response
    dropped: Dropped | None
    """Why no function judged it; None if one did."""


@dataclass(slots=True)
class StoredInstruction:
    """Everything that a run has about one instruction."""

    draft: Draft | None = None
    """With a filled matrix if cross-validation ran; None if the run began with verified instructions."""
    verified: VerifiedInstruction | None = None
    """What cross-validation kept; None if it dropped the instruction."""
    contrast: Contrast | None = None
    answerless: Dropped | None = None
    """How the instruction was dropped, if contrast got no answer for it."""
    labels: dict[str, BackTranslation] = field(default_factory=dict)
    """By function id."""
    undescribed: Dropped | None = None
    """How the instruction was dropped, if the writer described none of its functions."""
    queries: list[Query] = field(default_factory=list)
    """The queries that it was joined with."""
    partners: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By query id, the ids of the other instructions that the prompt has, if any."""
    answers: dict[str, dict[int, StoredAnswer]] = field(default_factory=lambda: defaultdict(dict))
    """By query id and sample index."""
    qualities: dict[tuple[str, int], Quality] = field(default_factory=dict)
    """By query id and sample index."""
    unscored: dict[tuple[str, int], Dropped] = field(default_factory=dict)
    """Responses to which the judge gave no score."""


@dataclass(frozen=True, slots=True)
class StoredShard:
    """The instructions that entered one shard, in order."""

    index: int
    instructions: tuple[StoredInstruction, ...]
    sampled: bool
    """Whether the second step is done, too; always so if no instruction was left for it."""
    lost: tuple[Dropped, ...] = ()
    """What verification dropped."""
    refused: tuple[Dropped, ...] = ()
    """What cross-validation dropped."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """The content of a run folder for a sweep."""

    path: Path
    manifest: Mapping[str, Any]
    config: Config
    begun_verified: bool
    """Whether the run began with verified instructions of another run."""
    shards: tuple[StoredShard, ...]
    known: Mapping[str, Mapping[str, Outcome]]
    """Outcomes of functions, by source and text."""
    review: Review
    """The reviewers' decisions."""

    @property
    def status(self) -> str:
        """The status in run.json."""
        return str(self.manifest.get("status"))

    @property
    def samples(self) -> bool:
        """Whether any responses were sampled."""
        return any(shard.sampled for shard in self.shards)


def read_stored(path: Path) -> StoredRun:
    """Read a run folder.

    Raises:
        StoreError: the folder is no run, is from another version, is damaged (decisions included) or lacks files, or no
            shard is finished.
    """
    manifest: dict[str, Any] = store.read_run(path)
    try:
        config = Config.model_validate(manifest.get("config"))
    except ValidationError:
        raise store.name_other_version(path) from None
    begun_verified = not (path / store.VERIFICATION).is_dir() and (path / store.INSTRUCTIONS).is_file()
    known: dict[str, dict[str, Outcome]] = defaultdict(dict)
    with naming_damage(path):
        shards = tuple(_read_shards(path, begun_verified, known))
    if not shards:
        raise StoreError(
            f"{path} has no finished shard yet ({manifest.get('status')}): run the same command to the end"
        )
    refuse_gaps(path)
    return StoredRun(path, manifest, config, begun_verified, shards, known, read_review(path))


def _read_shards(path: Path, begun_verified: bool, known: dict[str, dict[str, Outcome]]) -> Iterator[StoredShard]:
    first = store.AUGMENTATION if begun_verified else store.BACK_TRANSLATION
    given = read_jsonl(path / store.INSTRUCTIONS, VerifiedInstruction, exact=True) if begun_verified else []
    verified, lost, refused = {each.id: each for each in given}, list[Dropped](), list[Dropped]()
    for index in _list_numbers(path, first):
        found: dict[str, StoredInstruction] = {}
        if not begun_verified:
            verified, lost, refused = _read_instructions(path, index, found, known)
        sampled = all(index in _list_numbers(path, stage) for stage in _QUERY_STEP)
        if sampled:
            _read_samples(path, index, verified, found, known)
        nothing_left = not verified and (path / store.AUGMENTATION).is_dir()
        yield StoredShard(index, tuple(found.values()), sampled or nothing_left, tuple(lost), tuple(refused))


def _list_numbers(path: Path, stage: str) -> list[int]:
    """Return the numbers of a stage's shards that have both files."""
    kinds = (
        {store.shard_number(file) for file in store.list_shards(path, stage, kind)} for kind in ("kept", "dropped")
    )
    return sorted(set.intersection(*kinds))


def _read_instructions(
    path: Path,
    index: int,
    found: dict[str, StoredInstruction],
    known: dict[str, dict[str, Outcome]],
) -> tuple[dict[str, VerifiedInstruction], list[Dropped], list[Dropped]]:
    """Read the first step's records of a shard into `found` and `known`; return its verified instructions by id, what
    verification dropped, and what cross-validation dropped.
    """
    found |= {
        each.instruction.id: StoredInstruction(each) for each in read_kept(path, store.VERIFICATION, Draft, index)
    }
    lost = [*read_dropped(path, store.VERIFICATION, index)]
    kept = [*read_kept(path, store.CROSS_VALIDATION, VerifiedInstruction, index)]
    dropped = [*read_dropped(path, store.CROSS_VALIDATION, index)]
    for verified in kept:
        found[verified.instruction.id].verified = verified
    for each in dropped:
        record = each.record
        if isinstance(record, Draft) and each.reason in _ANSWERLESS:
            found[record.instruction.id].answerless = each
    for record in (*kept, *(each.record for each in dropped)):
        if isinstance(record, Draft | VerifiedInstruction):
            _add_matrix(found[record.instruction.id], record, known)
    last = [*read_kept(path, store.BACK_TRANSLATION, VerifiedInstruction, index)]
    contradicted = [*read_dropped(path, store.BACK_TRANSLATION, index)]
    for each in contradicted:
        if isinstance(each.record, VerifiedInstruction) and not each.record.back_translations:
            found[each.record.instruction.id].undescribed = each
    for record in (*last, *(each.record for each in contradicted)):
        if isinstance(record, VerifiedInstruction):
            found[record.instruction.id].labels = {each.function_id: each for each in record.back_translations}
    return {each.id: each for each in last}, lost, dropped


_ANSWERLESS: Final = {
    Reason.REFUSED_BY_MODEL, Reason.TRUNCATED, Reason.ONLY_REASONING, Reason.EMPTY, Reason.TOO_LONG, Reason.NOT_TEXT,
    Reason.WRONG_LANGUAGE,
}  # fmt: skip
"""Reasons of a drop because contrast got no answer to choose functions by."""


def _add_matrix(
    stored: StoredInstruction, record: Draft | VerifiedInstruction, known: dict[str, dict[str, Outcome]]
) -> None:
    """Add the verdicts of a matrix and of contrast to `known`.

    Skips functions that neither passed nor failed any case and raised no error first: the matrix doesn't tell whether
    they load, so they run again.
    """
    matrix = record.matrix
    assert stored.draft
    stored.draft = stored.draft.model_copy(update={"matrix": matrix})
    for place, function in enumerate(matrix.functions if matrix.verdicts else ()):
        row, detail = matrix.verdicts[place], matrix.details[place]
        first = next((verdict for verdict in row if verdict not in _DECIDED), Verdict.PASS)
        if not _DECIDED.intersection(row) and first is not Verdict.ERROR:
            continue
        loaded = not detail.startswith(_NOT_LOADED)
        for case, verdict in zip(matrix.cases, row, strict=True):
            known[function.source][case.input] = Outcome(verdict, "" if verdict in _DECIDED else detail, loaded=loaded)
    contrast = record.contrast if isinstance(record, VerifiedInstruction) else None
    stored.contrast = contrast
    for function, row in zip(matrix.functions, contrast.asked_verdicts if contrast else (), strict=False):
        if contrast:
            known[function.source].update(
                (each.text, Outcome(verdict)) for each, verdict in zip(contrast.asked, row, strict=True)
            )


def _read_samples(
    path: Path,
    index: int,
    verified: Mapping[str, VerifiedInstruction],
    found: dict[str, StoredInstruction],
    known: dict[str, dict[str, Outcome]],
) -> None:
    """Read the second step's records of a shard into `found` and `known`."""
    prompts = read_prompts(path, verified, index)
    for prompt in prompts.values():
        one, *others = prompt.constraints
        stored = found.setdefault(one.instruction.id, StoredInstruction(verified=one))
        stored.queries.append(prompt.query)
        stored.partners[prompt.query.id] = tuple(each.instruction.id for each in others)
        if not stored.draft:
            stored.labels = {each.function_id: each for each in one.back_translations}
    for response in read_kept(path, store.REJECTION_SAMPLING, Response, index, prompts):
        _add_answer(found, response, None, known)
    for dropped in read_dropped(path, store.REJECTION_SAMPLING, index, prompts):
        if isinstance(dropped.record, Response):
            _add_answer(found, dropped.record, dropped, known)
    for response in read_kept(path, store.SCORING, Response, index, prompts):
        if response.quality:
            find_stored(found, response).qualities[place_of(response)] = response.quality
    for dropped in read_dropped(path, store.SCORING, index, prompts):
        if isinstance(dropped.record, Response):
            stored = find_stored(found, dropped.record)
            if dropped.record.quality:
                stored.qualities[place_of(dropped.record)] = dropped.record.quality
            else:
                stored.unscored[place_of(dropped.record)] = dropped


def _add_answer(
    found: Mapping[str, StoredInstruction],
    response: Response,
    dropped: Dropped | None,
    known: dict[str, dict[str, Outcome]],
) -> None:
    judged = bool(response.verdicts)
    answer = StoredAnswer(response, None if judged else dropped)
    find_stored(found, response).answers[response.prompt.query.id][response.index] = answer
    functions: tuple[Function, ...] = response.prompt.functions if judged else ()
    for function, verdict in zip(functions, response.verdicts, strict=True):
        known[function.source][response.text] = Outcome(verdict)


def find_stored(found: Mapping[str, StoredInstruction], response: Response) -> StoredInstruction:
    """Return the instruction that a response belongs to."""
    return found[response.prompt.constraints[0].instruction.id]


def place_of(response: Response) -> tuple[str, int]:
    """Return the key of a response within its instruction: query id and sample index."""
    return response.prompt.query.id, response.index


def name_stored(stored: StoredInstruction) -> str:
    record = stored.draft or stored.verified
    assert record
    return record.instruction.id
