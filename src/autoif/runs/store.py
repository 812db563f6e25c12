"""The run folder (contract in docs/records.md): what has been done, in files that exist only if they are complete.

    run.json                          resolved config, identity, versions, sandbox, usage, times, notes
    completions.sqlite                every model answer (models/cache.py)
    SHA256SUMS                        the digest of every file below, for `sha256sum --check`
    counts.jsonl                      what is in them, so that nobody must read them to count (autoif.runs.counts)
    01_self_instruct/ … 07_scoring/   kept-0000.jsonl and dropped-0000.jsonl, one pair a shard; large ones packed (.zst)
    queries.jsonl  instructions.jsonl  sft.jsonl  preferences.jsonl  rewards.jsonl
    audit.json                        how right its functions are, by `autoif audit`
    decisions.jsonl                   what reviewers decided (autoif.decisions); reviewed.jsonl  what was dropped for it

A file is written whole or not at all (`whole_files`), and its digest is noted after that, so a file that was cut or
edited later is noticed. `run_folder` writes the folder; this module has its names, and what reads it.
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
"""Instructions that behave alike a better one, where data was made of that alone."""
DECISIONS = "decisions.jsonl"
"""What reviewers decided about the run."""
REVIEWED = "reviewed.jsonl"
"""What the data sets lack as reviewers rejected it."""
REPLAYED_FROM = "replayed_from"
"""In run.json: the run that the folder was judged again from; it has no model answers."""
AUDIT = "audit.json"
EVENTS = "events.jsonl"
"""What the run did and when."""
SLICES = "slices"
"""What tasks of a batch system made of a run."""
SEGMENTS = "segments"
"""Answers that are on their way to another place, of a run whose output is there (autoif.runs.segments)."""
DIGESTS = "SHA256SUMS"
COUNTS = "counts.jsonl"
DATA_SETS = (SFT, PREFERENCES, REWARDS)
_SAVED_DATA = ("dataset_info.json", "dataset_dict.json")
"""What is in a folder that `datasets` saved."""
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
"""Of the stages, in the paper's order."""
FORMAT = 2
"""Of the folder; raised when the files of stages change their form."""
_OWN = {
    MANIFEST, COMPLETIONS, INSTRUCTIONS, QUERIES, SFT, PREFERENCES, REWARDS, FOLDED, DECISIONS, REVIEWED, AUDIT,
    DIGESTS, COUNTS, EVENTS, SLICES, SEGMENTS, *FOLDERS,
}  # fmt: skip
SHARD_NAME = re.compile(r"(?:kept|dropped)-\d{4,}\.jsonl(?:\.zst)?")
"""Of a stage's own files: "kept-0000 (1).jsonl" is a copy that somebody's program made."""
_SUM_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)\n")


def read_digests(run: Path) -> dict[str, str]:
    """Return the digest noted of each file. A line that a kill has cut is ignored, and its file written again."""
    try:
        with reading_errors(run / DIGESTS):
            lines = (run / DIGESTS).read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    except FileNotFoundError:
        return {}
    return {found[2]: found[1] for line in lines if (found := _SUM_LINE.fullmatch(line))}


def digest_line(name: str, digest: str) -> str:
    """Return what is noted of a file, as `sha256sum` writes it."""
    return f"{digest}  {name}\n"


def read_run(run: Path) -> dict[str, JsonValue]:
    """Return the manifest of a run folder that is there and of this version. Raises StoreError: it is neither."""
    manifest = read_manifest(run)
    if not manifest:
        raise StoreError(f"{run} is no run folder (it has no {MANIFEST}): name one that `autoif run` made")
    if manifest.get("format") != FORMAT:
        raise name_other_version(run)
    return manifest


def name_other_version(run: Path) -> StoreError:
    """Return the error of a run whose settings or files are not as this version has them."""
    return StoreError(
        f"{run} was made by another version of autoif: run it again with the same command (model answers are kept)"
    )


def list_shards(run: Path, stage: str, kind: Literal["kept", "dropped"], index: int | None = None) -> list[Path]:
    """Return the files of a stage in a run folder, in order: of all shards, or of one."""
    name = f"{kind}-{'*' if index is None else format(index, '04d')}.jsonl"
    found = [*(run / stage).glob(name), *(run / stage).glob(name + PACKED)]
    return sorted((each for each in found if SHARD_NAME.fullmatch(each.name)), key=shard_number)


def shard_number(path: Path | str) -> int:
    """Return the number of a shard by the name of one of its files."""
    return int(str(path).removesuffix(PACKED).removesuffix(".jsonl").rpartition("-")[2])


def read_stage(
    run: Path,
    stage: str,
    kind: Literal["kept", "dropped"],
    index: int | None = None,
    *,
    places: Container[int] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the rows that a stage kept or dropped, of one shard or all; only those at `places`, from 0, if given.
    Raises StoreError: a file can't be read, or was changed after it was written."""
    noted, place = read_digests(run), itertools.count()
    for path in list_shards(run, stage, kind, index):
        check_digest(path, noted.get(f"{stage}/{path.name}"))
        for number, line in read_own_lines(path):
            if places is not None and next(place) not in places:
                continue
            try:
                yield parse_json(line)
            except ValueError:
                raise StoreError(f"{path}, line {number} is damaged: run the same command again to repair it") from None


def check_digest(path: Path, noted: str | None) -> str:
    """Return the digest of a file. Raises StoreError if it is another than what was noted of it, if anything was."""
    with reading_errors(path):
        found = digest_file(path)
    if found != (noted or found):
        raise StoreError(
            f"{path} was changed after it was written: delete it and run the same command again (it is made again from "
            "the stored answers), or restore it"
        )
    return found


def read_own_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (number, line) of a file that this program wrote, packed or not; blank lines are left out.
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
    import zstandard  # here, as small runs need none

    try:
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        yield io.BufferedReader(cast("io.RawIOBase", reader))
    except zstandard.ZstdError as error:
        raise StoreError(f"{path} can't be unpacked ({error}): run the same command again to repair it") from None


_SHAPES: Mapping[str, type] = MappingProxyType({"identity": dict, "config": dict, "versions": dict, "notes": list})
"""What run.json has to hold by these names, where it has them."""


def read_manifest(run: Path) -> dict[str, JsonValue]:
    """Return a folder's run.json; {} where there is none. Raises StoreError: it is damaged, or can't be read."""
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
    """Tell whether this is what stages spent, or kept and dropped: numbers by name, by stage."""
    return isinstance(found, dict) and all(
        isinstance(stage, dict) and all(isinstance(spent, int | float) for spent in stage.values())
        for stage in found.values()
    )


@contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """Turn what the system says of a file that is there into a StoreError; that there is none is left to the caller."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror or error}") from None


def find_rows(path: Path, name: str) -> Path:
    """Return the file of rows that a user means: a file as it is, of a run folder the one of this name.
    Raises StoreError: the folder has no such file."""
    if not path.is_dir():
        return path
    if not is_made(path, name):
        raise StoreError(f"{path} has no {name}: {explain_folder(path)}")
    return path / name


def is_made(folder: Path, name: str) -> bool:
    """Tell whether a run has made one of its files yet. Raises StoreError: it has, and the file is gone."""
    if (folder / name).is_file():
        return True
    if name in read_digests(folder):
        raise StoreError(f"{folder / name} is missing: restore it, or run the same command again, which makes it anew")
    return False


def explain_folder(path: Path) -> str:
    """Return why a folder has no data set of a run, and what to do."""
    if (path / MANIFEST).exists():
        return "its run has made none yet: finish it"
    if any((path / name).is_file() for name in _SAVED_DATA):
        return "it is a data set that `datasets` saved: write its rows by to_parquet, and name that file"
    return "it is no run folder: name one, or a file of rows"


def refuse_run_file(path: Path) -> None:
    """Raise ConfigError for a place of output that a run keeps for itself."""
    if is_of_run(path):
        raise ConfigError(f"{path} belongs to a run, which would lose what it has there: name another")


def is_of_run(path: Path) -> bool:
    """Tell whether a path is a run folder, or in one what the run itself writes, whether that is there yet or not."""
    place = Path(os.path.realpath(path))
    if (place / MANIFEST).is_file():
        return True
    run = next((folder for folder in place.parents if (folder / MANIFEST).is_file()), None)
    name = place.relative_to(run).parts[0] if run else ""
    return name.startswith((".", f"{COMPLETIONS}-")) or name.removesuffix(".zst") in _OWN
