"""The run folder (format in docs/records.md): the names of its files, and functions that read them.

    run.json                          resolved config, identity, versions, sandbox, usage, times, notes
    completions.sqlite                every model answer (models/cache.py)
    SHA256SUMS                        the digest of every file below, for `sha256sum --check`
    counts.jsonl                      row counts of every file, so that counting needs no reading (autoif.runs.counts)
    01_self_instruct/ … 07_scoring/   kept-0000.jsonl and dropped-0000.jsonl, a pair per shard; large ones packed (.zst)
    queries.jsonl  instructions.jsonl  sft.jsonl  preferences.jsonl  rewards.jsonl
    audit.json                        how correct the functions are, written by `autoif audit`
    decisions.jsonl                   what reviewers decided (autoif.decisions)
    reviewed.jsonl                    what was dropped because of these decisions

A file is written whole or not at all (`whole_files`). Its digest is recorded afterwards, so a file that was truncated
or edited later is noticed. `run_folder` writes the folder.
"""

import io
import itertools
import os
import re
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast

from pydantic import JsonValue

from autoif.errors import ConfigError, StoreError
from autoif.reading.json_text import parse_json
from autoif.reading.text_lines import MAX_ROW_BYTES, UnreadableText, cut_lines
from autoif.runs.whole_files import PACKED, digest_file

COMPLETIONS = "completions.sqlite"
MANIFEST = "run.json"
INSTRUCTIONS = "instructions.jsonl"
QUERIES = "queries.jsonl"
SFT = "sft.jsonl"
PREFERENCES = "preferences.jsonl"
REWARDS = "rewards.jsonl"
FOLDED = "folded.jsonl"
"""Instructions that were left out of the data because a better one behaves alike."""
DECISIONS = "decisions.jsonl"
"""What reviewers decided about the run."""
REVIEWED = "reviewed.jsonl"
"""What the data sets leave out because reviewers rejected it."""
REPLAYED_FROM = "replayed_from"
"""Key in run.json that names the run whose verdicts `autoif replay` judged again. The folder has no model answers."""
AUDIT = "audit.json"
EVENTS = "events.jsonl"
"""What the run did, and when."""
SLICES = "slices"
"""Folder of the parts that the tasks of a batch system run (autoif.runs.slices)."""
SEGMENTS = "segments"
"""Folder of the answers that a run copies to an address (autoif.runs.segments)."""
DIGESTS = "SHA256SUMS"
COUNTS = "counts.jsonl"
DATA_SETS = (SFT, PREFERENCES, REWARDS)
_SAVED_BY_DATASETS = ("dataset_info.json", "dataset_dict.json")
"""Files by which a folder saved by `datasets` is recognised."""
SELF_INSTRUCT = "01_self_instruct"
VERIFICATION = "02_verification"
CROSS_VALIDATION = "03_cross_validation"
BACK_TRANSLATION = "04_back_translation"
AUGMENTATION = "05_augmentation"
REJECTION_SAMPLING = "06_rejection_sampling"
SCORING = "07_scoring"
FOLDERS = (
    SELF_INSTRUCT, VERIFICATION, CROSS_VALIDATION, BACK_TRANSLATION, AUGMENTATION, REJECTION_SAMPLING, SCORING,
)  # fmt: skip
"""The stages' folders, in the paper's order."""
FORMAT = 2
"""Version of the folder's format; raised when the files of stages change their form."""
_RUN_FILES = {
    MANIFEST, COMPLETIONS, INSTRUCTIONS, QUERIES, SFT, PREFERENCES, REWARDS, FOLDED, DECISIONS, REVIEWED, AUDIT,
    DIGESTS, COUNTS, EVENTS, SLICES, SEGMENTS, *FOLDERS,
}  # fmt: skip
SHARD_NAME = re.compile(r"(?:kept|dropped)-\d{4,}\.jsonl(?:\.zst)?")
"""Names of a stage's files. Others are ignored: "kept-0000 (1).jsonl" is a copy that another program made."""
_SUM_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)\n")


def read_digests(run: Path) -> dict[str, str]:
    """Return the recorded digest of each file, by name.

    A line that was cut off when the process was killed is ignored, so its file is written again.
    """
    try:
        with reading_errors(run / DIGESTS):
            lines = (run / DIGESTS).read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    except FileNotFoundError:
        return {}
    return {found[2]: found[1] for line in lines if (found := _SUM_LINE.fullmatch(line))}


def digest_line(name: str, digest: str) -> str:
    """Return a line of SHA256SUMS, in the form of `sha256sum`."""
    return f"{digest}  {name}\n"


def read_run(run: Path) -> dict[str, JsonValue]:
    """Return the manifest of a run folder. Raises StoreError: there is no run, or another version made it."""
    manifest = read_manifest(run)
    if not manifest:
        raise StoreError(f"{run} is no run folder (it has no {MANIFEST}): name one that `autoif run` made")
    if manifest.get("format") != FORMAT:
        raise name_other_version(run)
    return manifest


def name_other_version(run: Path) -> StoreError:
    """Return the error for a run whose settings or files another version of autoif wrote."""
    return StoreError(
        f"{run} was made by another version of autoif: run it again with the same command (model answers are kept)"
    )


def list_shards(run: Path, stage: str, kind: Literal["kept", "dropped"], index: int | None = None) -> list[Path]:
    """Return a stage's files of one kind in the order of their shards: those of all shards, or of shard `index`."""
    name = f"{kind}-{'*' if index is None else format(index, '04d')}.jsonl"
    found = [*(run / stage).glob(name), *(run / stage).glob(name + PACKED)]
    return sorted((path for path in found if SHARD_NAME.fullmatch(path.name)), key=shard_number)


def shard_number(path: Path | str) -> int:
    """Return the number of the shard that a file belongs to, by the file's name."""
    return int(str(path).removesuffix(PACKED).removesuffix(".jsonl").rpartition("-")[2])


def read_stage(
    run: Path,
    stage: str,
    kind: Literal["kept", "dropped"],
    index: int | None = None,
    *,
    places: Container[int] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the rows that a stage kept or dropped, of all shards or of shard `index`.

    With `places`, yield only the rows at these places, counted from 0 over all the files read.
    Raises StoreError: a file can't be read, or was changed after it was written.
    """
    digests, place = read_digests(run), itertools.count()
    for path in list_shards(run, stage, kind, index):
        check_digest(path, digests.get(f"{stage}/{path.name}"))
        for number, line in read_own_lines(path):
            if places is not None and next(place) not in places:
                continue
            try:
                yield parse_json(line)
            except ValueError:
                raise StoreError(f"{path}, line {number} is damaged: run the same command again to repair it") from None


def check_digest(path: Path, noted: str | None) -> str:
    """Return the digest of a file. Raises StoreError if it differs from the one `noted`, unless that is None."""
    with reading_errors(path):
        found = digest_file(path)
    if found != (noted or found):
        raise StoreError(
            f"{path} was changed after it was written: delete it and run the same command again (it is made again from "
            "the stored answers), or restore it"
        )
    return found


def read_own_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, line) of a file that autoif wrote, compressed or not, without blank lines.
    Raises StoreError: it can't be read."""
    try:
        with reading_errors(path), path.open("rb") as file, _unpack(path, file) as lines:
            yield from (each for each in cut_lines(lines, MAX_ROW_BYTES) if each[1].strip())
    except UnreadableText as error:
        raise StoreError(f"{path}: {error}") from None


@contextmanager
def _unpack(path: Path, file: io.BufferedReader) -> Iterator[io.BufferedReader]:
    if path.suffix != PACKED:
        yield file
        return
    import zstandard  # imported here because small runs don't need it

    try:
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        yield io.BufferedReader(cast("io.RawIOBase", reader))
    except zstandard.ZstdError as error:
        raise StoreError(f"{path} can't be unpacked ({error}): run the same command again to repair it") from None


_SHAPES: Mapping[str, type] = MappingProxyType({"identity": dict, "config": dict, "versions": dict, "notes": list})
"""The types of these entries of run.json, where they are present."""


def read_manifest(run: Path) -> dict[str, JsonValue]:
    """Return a folder's run.json; {} if there is none. Raises StoreError: it is damaged, or can't be read."""
    path = run / MANIFEST
    try:
        with reading_errors(path):
            manifest = parse_json(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError:
        manifest = None
    if (
        not isinstance(manifest, dict)
        or "identity" not in manifest
        or not all(isinstance(manifest.get(name, kind()), kind) for name, kind in _SHAPES.items())
        or not is_usage(manifest.get("usage", {}))
    ):
        raise StoreError(f"{path} is damaged: restore it, or delete it and use --resume-with-changes")
    return manifest


def is_usage(found: JsonValue) -> bool:
    """Tell whether a value has the form {stage: {name: number}}, as usage and record counts have."""
    return isinstance(found, dict) and all(
        isinstance(stage, dict) and all(isinstance(spent, int | float) for spent in stage.values())
        for stage in found.values()
    )


@contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """Turn operating-system errors into a StoreError, except for a missing file, which the caller handles."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror or error}") from None


def find_rows(path: Path, name: str) -> Path:
    """Return the file of rows that a user means: `path` itself if it is a file, else the run folder's file `name`.
    Raises StoreError: the folder has no such file."""
    if not path.is_dir():
        return path
    if not is_made(path, name):
        raise StoreError(f"{path} has no {name}: {explain_folder(path)}")
    return path / name


def is_made(folder: Path, name: str) -> bool:
    """Tell whether a run has made one of its files yet. Raises StoreError: it has made the file, which is gone."""
    if (folder / name).is_file():
        return True
    if name in read_digests(folder):
        raise StoreError(f"{folder / name} is missing: restore it, or run the same command again, which makes it anew")
    return False


def explain_folder(path: Path) -> str:
    """Return why a folder has no data set of a run, and what to do about it, for a message."""
    if (path / MANIFEST).exists():
        return "its run has made none yet: finish it"
    if any((path / name).is_file() for name in _SAVED_BY_DATASETS):
        return "it is a data set that `datasets` saved: write its rows by to_parquet, and name that file"
    return "it is no run folder: name one, or a file of rows"


def refuse_run_file(path: Path) -> None:
    """Raise ConfigError if an output path would overwrite a run folder or one of a run's own files."""
    if is_of_run(path):
        raise ConfigError(f"{path} belongs to a run, which would lose what it has there: name another")


def is_of_run(path: Path) -> bool:
    """Tell whether a path is a run folder, or a file in one that the run itself writes, even if it isn't there yet."""
    place = Path(os.path.realpath(path))
    if (place / MANIFEST).is_file():
        return True
    run = next((folder for folder in place.parents if (folder / MANIFEST).is_file()), None)
    name = place.relative_to(run).parts[0] if run else ""
    return name.startswith((".", f"{COMPLETIONS}-")) or name.removesuffix(".zst") in _RUN_FILES
