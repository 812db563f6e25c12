"""What a run has stored, as a sweep needs it: drafts with their matrices, labels, responses with verdicts, scores.

    run = read_stored(Path("runs/first"))
    run.shards[0].drafts[0].matrix.verdicts

Only shards that are done count. All of it is in memory: about a gigabyte for 200,000 responses.
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
_SAID = {Verdict.PASS, Verdict.FAIL}
_NOT_LOADED = "does not load: "
"""How the detail of a function that can't be loaded begins."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """One response of the run."""

    response: Response
    dropped: Dropped | None
    """Where no function saw it: why not."""


@dataclass(slots=True)
class StoredInstruction:
    """All that a run has about one instruction."""

    draft: Draft | None = None
    """Its matrix is filled where cross-validation ran; None where the run began with verified instructions."""
    verified: VerifiedInstruction | None = None
    """What cross-validation kept; None of what it dropped."""
    contrast: Contrast | None = None
    answerless: Dropped | None = None
    """Where contrast got no answer: what became of it."""
    labels: dict[str, BackTranslation] = field(default_factory=dict)
    """By function id."""
    undescribed: Dropped | None = None
    """Where the writer described no function: what became of it."""
    queries: list[Query] = field(default_factory=list)
    """Those that it was joined with."""
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
    """Whether the second step is done, too; it is where no instruction was left for it."""
    lost: tuple[Dropped, ...] = ()
    """What verification dropped."""
    refused: tuple[Dropped, ...] = ()
    """What cross-validation dropped."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run folder as a sweep sees it."""

    path: Path
    manifest: Mapping[str, Any]
    config: Config
    begun_verified: bool
    """Whether the run began with verified instructions of another."""
    shards: tuple[StoredShard, ...]
    known: Mapping[str, Mapping[str, Outcome]]
    """What functions said of texts: by source and text."""
    review: Review
    """What reviewers decided of it."""

    @property
    def status(self) -> str:
        """As run.json has it."""
        return str(self.manifest.get("status"))

    @property
    def samples(self) -> bool:
        """Whether responses were sampled at all."""
        return any(shard.sampled for shard in self.shards)


def read_stored(path: Path) -> StoredRun:
    """Read a run folder.

    Raises:
        StoreError: it is none, is of another version, damaged (its decisions, too) or lacks files, or nothing is done.
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
    """Return the numbers of a stage's shards of which both files are there."""
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
    """Read what the first step left of a shard; return its verified instructions by id, what verification dropped, and
    what cross-validation did.
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
"""Why contrast had no answer to choose functions by."""


def _add_matrix(
    stored: StoredInstruction, record: Draft | VerifiedInstruction, known: dict[str, dict[str, Outcome]]
) -> None:
    """Note the verdicts of a matrix and of contrast.

    Of one that gave no verdict at all and raised nothing it isn't stored whether it loads: it runs again.
    """
    matrix = record.matrix
    assert stored.draft
    stored.draft = stored.draft.model_copy(update={"matrix": matrix})
    for place, function in enumerate(matrix.functions if matrix.verdicts else ()):
        row, detail = matrix.verdicts[place], matrix.details[place]
        first = next((verdict for verdict in row if verdict not in _SAID), Verdict.PASS)
        if not _SAID.intersection(row) and first is not Verdict.ERROR:
            continue
        loaded = not detail.startswith(_NOT_LOADED)
        for case, verdict in zip(matrix.cases, row, strict=True):
            known[function.source][case.input] = Outcome(verdict, "" if verdict in _SAID else detail, loaded=loaded)
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
    """Read what the second step left of a shard."""
    prompts = read_prompts(path, verified, index)
    for prompt in prompts.values():
        [one] = prompt.constraints
        stored = found.setdefault(one.instruction.id, StoredInstruction(verified=one))
        stored.queries.append(prompt.query)
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
    """Return where a response is among those to its instruction: its query and its number."""
    return response.prompt.query.id, response.index


def name_stored(stored: StoredInstruction) -> str:
    record = stored.draft or stored.verified
    assert record
    return record.instruction.id
