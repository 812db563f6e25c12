"""Reads the records of a run, kept and dropped, without writing anything; the run may still be at work.

    read_kept, read_dropped    the records of a stage, typed
    read_records               its rows as plain JSON, for pages and comparisons that look at some hundred thousand

Inside `naming_damage`, a record that doesn't have the form of `autoif.records` becomes a one-line error for the user.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from autoif.errors import StoreError
from autoif.reading.json_text import parse_json
from autoif.reading.jsonl import read_json_lines
from autoif.records import Dropped, Prompt, Record, VerifiedInstruction
from autoif.runs.store import (
    AUDIT,
    AUGMENTATION,
    BACK_TRANSLATION,
    FOLDERS,
    INSTRUCTIONS,
    REVIEWED,
    read_digests,
    read_manifest,
    read_stage,
    reading_errors,
)

R = TypeVar("R", bound=Record)


class StageRow(NamedTuple):
    """What a stage kept or dropped."""

    record: dict[str, Any] | None
    """None if the thing was dropped before it became a record."""
    id: str
    reason: str = ""
    """Why it was dropped; "" if it was kept."""
    detail: str = ""


def read_kept(
    run: Path, stage: str, row: type[R], index: int | None = None, known: Mapping[str, Record] | None = None
) -> Iterator[R]:
    """Yield the records that a stage kept, of all shards or of shard `index`.

    `known` has the records that these refer to, by id.

    Raises:
        StoreError: a file can't be read, or was changed after it was written.
        ValueError: a record is not of the form of `row`.
    """
    return (row.model_validate(each, context=known) for each in read_stage(run, stage, "kept", index))


def read_dropped(
    run: Path, stage: str, index: int | None = None, known: Mapping[str, Record] | None = None
) -> Iterator[Dropped]:
    """Yield what a stage dropped. Arguments and errors are those of `read_kept`."""
    return (Dropped.model_validate(each, context=known) for each in read_stage(run, stage, "dropped", index))


def read_prompts(run: Path, verified: Mapping[str, VerifiedInstruction], index: int | None = None) -> dict[str, Prompt]:
    """Return the prompts of a run, or of shard `index`, by id. Raises what `read_kept` raises."""
    return {each.id: each for each in read_kept(run, AUGMENTATION, Prompt, index, verified)}


def read_records(run: Path, stage: str) -> Iterator[StageRow]:
    """Yield what a stage kept, then what it dropped.

    In a run that began with verified instructions, these count as kept by the back-translation.
    Raises StoreError: a file can't be read, or was changed after it was written.
    """
    if stage == BACK_TRANSLATION and not (run / stage).is_dir() and (run / INSTRUCTIONS).exists():
        kept: Iterator[Any] = (parse_json(line) for _, line in read_json_lines(run / INSTRUCTIONS))
    else:
        kept = read_stage(run, stage, "kept")
    yield from (StageRow(row, row["id"]) for row in kept)
    for row in read_stage(run, stage, "dropped"):
        yield StageRow(row["record"], row["record_id"], row["reason"], row["detail"])


def read_reviewed(run: Path) -> Iterator[StageRow]:
    """Yield what was left out of a run's data because of reviewers' decisions.
    Raises StoreError: the file can't be read, or is damaged."""
    path = run / REVIEWED
    if path.exists():
        with naming_damage(path):
            for _, line in read_json_lines(path):
                row = parse_json(line)
                yield StageRow(row["record"], str(row["record_id"]), str(row["reason"]), str(row["detail"]))


def read_verified(run: Path) -> Iterator[VerifiedInstruction]:
    """Yield the verified instructions of a run, whether it made them or began with them.
    Raises StoreError: a file can't be read, or is damaged."""
    with naming_damage(run):
        for each in read_records(run, BACK_TRANSLATION):
            if not each.reason:
                yield VerifiedInstruction.model_validate(each.record)


def read_audit(run: Path) -> dict[str, Any] | None:
    """Return the content of audit.json; None if the run was not audited.
    Raises StoreError: it can't be read, or is damaged."""
    path = run / AUDIT
    try:
        with reading_errors(path), naming_damaged_audit(run):
            return dict(parse_json(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None


def list_scores(audit: dict[str, Any]) -> dict[tuple[str, str], float]:
    """Return the score that an audit gives each function, by (instruction id, function id)."""
    return {
        (instruction["instruction_id"], function["function_id"]): float(function["score"])
        for instruction in audit["scores"]["instructions"]
        for function in instruction["functions"]
    }


def refuse_gaps(run: Path) -> None:
    """Raise StoreError if a file of a stage has disappeared: what is made without it would look complete."""
    recorded = (name for name in read_digests(run) if name.partition("/")[0] in FOLDERS)
    missing = next((name for name in recorded if not (run / name).exists()), None)
    empty = not any((run / folder).is_dir() for folder in FOLDERS)
    if missing is None and not (empty and read_manifest(run).get("status") == "complete"):
        return
    what = f"{run / missing} is missing" if missing else f"{run} is marked complete and holds no stage"
    raise StoreError(f"{what}: run the same command again, which makes it anew from the stored answers, or restore it")


@contextmanager
def naming_damage(path: Path, mend: str = "run the same command again (model answers are kept)") -> Iterator[None]:
    """Turn errors from reading damaged records into a StoreError of one line, which ends with `mend`: what to do."""
    try:
        yield
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        detail = str(error).partition("\n")[0]
        raise StoreError(
            f"{path} holds a record of another form ({type(error).__name__}: {detail}), damaged or by another version "
            f"of autoif: {mend}"
        ) from None


def naming_damaged_audit(run: Path) -> AbstractContextManager[None]:
    """Do what `naming_damage` does, for audit.json."""
    return naming_damage(run / AUDIT, f"`autoif audit {run}` makes it anew")
