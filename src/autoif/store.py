"""The run folder (contract in docs/records.md): what has been done, in files that exist only if they are complete.

    run.json                          resolved config, versions, models, prompt hashes, sandbox, usage, times, funnel
    completions.sqlite                every model answer (models/cache.py)
    SHA256SUMS                        the digest of every file below, for `sha256sum --check`
    01_self_instruct/ … 07_scoring/   kept-0000.jsonl and dropped-0000.jsonl, one pair a shard
    queries.jsonl  instructions.jsonl  sft.jsonl  preferences.jsonl  rewards.jsonl
    audit.json                        how right its functions are, by `autoif audit`
    decisions.jsonl                   what reviewers decided (autoif.decisions); reviewed.jsonl  what was dropped for it

A file is written under a temporary name, synced, and renamed; its digest is noted after that. So a kill at any point
leaves either no file or a whole one, and a file that was cut or edited later is noticed.
"""

import errno
import fcntl
import hashlib
import itertools
import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from autoif.errors import StoreError
from autoif.reading.jsonl import read_json_lines
from autoif.reading.text_lines import parse_json
from autoif.records import Dropped

Row = TypeVar("Row", bound=BaseModel)

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
DIGESTS = "SHA256SUMS"
DATA_SETS = (SFT, PREFERENCES, REWARDS)
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
    DIGESTS, EVENTS, SLICES, *FOLDERS,
}  # fmt: skip
_LOCK = ".lock"
_SUM_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)\n")


class RunFolder:
    """One run on disk, held by one process at a time."""

    def __init__(self, path: Path, *, claimed: bool = False) -> None:
        """`claimed`: the process holds a claim of the folder (autoif.claims), so its disk may lack locks."""
        self.path = path
        self._claimed = claimed
        self._lock: IO[str] | None = None
        self._digests: dict[str, str] = {}
        self.moved: dict[str, str] = {}
        """Files that somebody had changed by hand, and the names that these versions were given."""

    def __enter__(self) -> "RunFolder":
        with storage_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._refuse_links()
            self._lock = (self.path / _LOCK).open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            self._lock.close()
            raise StoreError(
                f"{self.path} is in use by another process (pid {holder}): wait for it, or choose another --output"
            ) from None
        except OSError as error:
            if not self._claimed:
                self._lock.close()
                raise StoreError(
                    f"the disk of {self.path} keeps no locks ({error.strerror}): use --shards 1/1, which needs none"
                ) from None
        try:
            with storage_errors(self.path):
                os.ftruncate(self._lock.fileno(), 0)
                os.write(self._lock.fileno(), str(os.getpid()).encode())  # no buffer: nothing is left for close()
                self._digests = read_digests(self.path)
                self._rewrite_digests()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._lock
        try:
            if exc[0] is None:
                self._rewrite_digests()
        finally:
            self._lock.close()

    def _refuse_links(self) -> None:
        """Refuse a folder in which writing would change a file elsewhere."""
        stages = [stage for stage in self.path.glob("[0-9][0-9]_*") if stage.is_dir()]
        for folder in (self.path, *stages):
            if link := next(filter(Path.is_symlink, folder.iterdir()), None):
                raise StoreError(
                    f"{link} is a symbolic link, and a run writes to no file outside its folder: put in its place what "
                    "it leads to, or choose another --output"
                )

    @property
    def completions(self) -> Path:
        return self.path / COMPLETIONS

    def read_manifest(self) -> dict[str, JsonValue]:
        """Return run.json, or {} for a new folder."""
        return read_manifest(self.path)

    def write_manifest(self, manifest: Mapping[str, JsonValue]) -> None:
        """Replace run.json; it has no digest, as it changes while the run goes on."""
        _replace(self.path / MANIFEST, [json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"])

    def discard_results(self) -> None:
        """Delete all that this program wrote and can make again from the completions, and nothing else."""
        with storage_errors(self.path):
            for name in self._digests:
                self._set_aside(name)
                (self.path / name).unlink(missing_ok=True)
            for shard in self.path.glob("[0-9][0-9]_*/*-[0-9][0-9][0-9][0-9].jsonl"):
                shard.unlink()
            for stage in self.path.glob("[0-9][0-9]_*"):
                if not any(stage.iterdir()):
                    stage.rmdir()
            (self.path / DIGESTS).unlink(missing_ok=True)
        self._digests.clear()

    def _set_aside(self, name: str, digest: str = "") -> None:
        """Give a file another name if it is neither what was written last nor of this digest, which comes now."""
        path = self.path / name
        if not path.exists() or _digest(path) in {digest, self._digests.get(name)}:
            return
        numbers = itertools.count(1)
        kept = next(
            other for number in numbers if not (other := path.with_name(f"{path.name}.edited{number}")).exists()
        )
        path.rename(kept)
        self.moved[name] = kept.name

    def has(self, name: str) -> bool:
        """Tell whether a file is there and was noted as complete."""
        return name in self._digests and (self.path / name).exists()

    def write_rows(self, name: str, rows: Iterable[BaseModel | Mapping[str, JsonValue]]) -> None:
        """Write a JSONL file, whole or not at all, and note its digest; a version changed by hand is kept aside."""
        path = self.path / name
        digest = _replace(path, (_to_line(row) for row in rows), before=lambda digest: self._set_aside(name, digest))
        self._note(name, digest)

    def _note(self, name: str, digest: str) -> None:
        with storage_errors(self.path), (self.path / DIGESTS).open("a", encoding="utf-8") as sums:
            sums.write(_sum_line((name, digest)))
        self._digests[name] = digest

    def copy(self, name: str, source: Path, digest: str) -> None:
        """Take a file of another run folder over, unless it is here already, or is not of this digest."""
        if self.has(name):
            return
        with reading_errors(source):
            content = source.read_bytes()
        if hashlib.sha256(content).hexdigest() == digest:
            _replace(self.path / name, [content], before=lambda digest: self._set_aside(name, digest))
            self._note(name, digest)

    def read_rows(self, name: str, row: type[Row], known: Mapping[str, BaseModel] | None = None) -> list[Row]:
        """Read a file of the run back; `known` are the records that it may name, by id.

        Raises:
            StoreError: the file is missing, or is not what this program wrote.
        """
        path = self.path / name
        try:
            with reading_errors(path):
                content = path.read_bytes()
        except FileNotFoundError:
            raise StoreError(f"{path} is missing: run again with --resume-with-changes to make it anew") from None
        if hashlib.sha256(content).hexdigest() != self._digests.get(name):
            raise StoreError(_changed(path))
        try:
            return [row.model_validate(json.loads(line), context=known) for line in content.splitlines()]
        except (ValueError, ValidationError):
            raise StoreError(
                f"{path} was written by another version of autoif: run again with --resume-with-changes"
            ) from None

    def write_shard(self, stage: str, index: int, kept: Iterable[BaseModel], dropped: Iterable[Dropped]) -> None:
        """Write what one stage kept and dropped of one shard."""
        self.write_rows(_shard_name(stage, "dropped", index), dropped)
        self.write_rows(_shard_name(stage, "kept", index), kept)

    def has_shard(self, stage: str, index: int) -> bool:
        return all(self.has(_shard_name(stage, kind, index)) for kind in ("kept", "dropped"))

    def read_kept(
        self, stage: str, index: int, row: type[Row], known: Mapping[str, BaseModel] | None = None
    ) -> list[Row]:
        return self.read_rows(_shard_name(stage, "kept", index), row, known)

    def read_dropped(self, stage: str, index: int, known: Mapping[str, BaseModel] | None = None) -> list[Dropped]:
        return self.read_rows(_shard_name(stage, "dropped", index), Dropped, known)

    def shards(self, stage: str) -> list[int]:
        """Return the numbers of a stage's shards, sorted."""
        names = (name.removeprefix(f"{stage}/kept-") for name in self._digests if name.startswith(f"{stage}/kept-"))
        return sorted(int(name.removesuffix(".jsonl")) for name in names)

    def _rewrite_digests(self) -> None:
        """Leave each file's digest once, and no line that a kill has cut."""
        if self._digests:
            _replace(self.path / DIGESTS, map(_sum_line, self._digests.items()))


def read_digests(run: Path) -> dict[str, str]:
    """Return what is noted of each file; of a line that a kill has cut the file is written again."""
    try:
        with reading_errors(run / DIGESTS):
            lines = (run / DIGESTS).read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    except FileNotFoundError:
        return {}
    return {found[2]: found[1] for line in lines if (found := _SUM_LINE.fullmatch(line))}


def read_run(run: Path) -> dict[str, JsonValue]:
    """Return the manifest of a run folder that is there and of this version.

    Raises:
        StoreError: it is neither.
    """
    manifest = read_manifest(run)
    if not manifest:
        raise StoreError(f"{run} is no run folder (it has no {MANIFEST}): name one that `autoif run` made")
    if manifest.get("format") != FORMAT:
        raise StoreError(
            f"{run} was made by another version of autoif: run it again with the same command (model answers are kept)"
        )
    return manifest


def list_shards(run: Path, stage: str, kind: Literal["kept", "dropped"], index: int | None = None) -> list[Path]:
    """Return the files of a stage in a run folder, in order: of all shards, or of one."""
    return sorted((run / stage).glob(f"{kind}-*.jsonl" if index is None else f"{kind}-{index:04d}.jsonl"))


def read_stage(
    run: Path, stage: str, kind: Literal["kept", "dropped"], index: int | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the rows that a stage kept or dropped as they are in the files of a run: of all shards, or of one.

    Raises:
        StoreError: a file can't be read, or was changed after it was written.
    """
    noted = read_digests(run)
    for path in list_shards(run, stage, kind, index):
        with reading_errors(path):
            found = _digest(path)
        if found != noted.get(f"{stage}/{path.name}", found):
            raise StoreError(_changed(path))
        for number, line in read_json_lines(path):
            try:
                yield parse_json(line)
            except ValueError:
                raise StoreError(f"{path}, line {number} is damaged: run the same command again to repair it") from None


def read_manifest(run: Path) -> dict[str, JsonValue]:
    """Return a folder's run.json; {} where there is none.

    Raises:
        StoreError: it is damaged, or can't be read.
    """
    path = run / MANIFEST
    try:
        with reading_errors(path):
            manifest = parse_json(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("identity"), dict):
        raise StoreError(f"{path} is damaged: restore it, or delete it and use --resume-with-changes")
    return manifest


@contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """Turn what the system says of a file that is there into a StoreError; that there is none is left to the caller."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror or error}") from None


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the disk says into what the user can do."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StoreError(f"no space left for {path}: free some, then run the same command again") from None
        named = error.filename if path.is_dir() and error.filename else path
        raise StoreError(f"{named} can't be written or read: {error.strerror or error}") from None
    except sqlite3.Error as error:
        if "full" in str(error):
            raise StoreError(f"no space left for {path}: free some, then run the same command again") from None
        raise StoreError(f"{path} holds a damaged database ({error}): restore it, or choose another --output") from None


def find_rows(path: Path, name: str) -> Path:
    """Return the file of rows that a user means: a file as it is, of a run folder the one of this name.

    Raises:
        StoreError: the folder has no such file.
    """
    if not path.is_dir():
        return path
    if not (path / name).is_file():
        made = f"its run has made none yet: finish it, or name another {name}"
        cause = made if (path / MANIFEST).exists() else "it is no run folder"
        raise StoreError(f"{path} has no {name}: {cause}")
    return path / name


def is_of_run(path: Path) -> bool:
    """Tell whether a path is a run folder, or in one what the run itself writes, whether that is there yet or not."""
    place = Path(os.path.realpath(path))
    if (place / MANIFEST).is_file():
        return True
    run = next((folder for folder in place.parents if (folder / MANIFEST).is_file()), None)
    name = place.relative_to(run).parts[0] if run else ""
    return name.startswith((".", f"{COMPLETIONS}-")) or name.removesuffix(".zst") in _OWN


def write_jsonl(path: Path, rows: Iterable[BaseModel | Mapping[str, JsonValue]]) -> None:
    """Write a JSONL file that a user names, whole or not at all."""
    _replace(path, (_to_line(row) for row in rows))


def write_json(path: Path, content: BaseModel | JsonValue) -> None:
    """Write a JSON file that people read too, whole or not at all."""
    plain = content.model_dump(mode="json") if isinstance(content, BaseModel) else content
    _replace(path, [json.dumps(plain, indent=2) + "\n"])


def _changed(path: Path) -> str:
    return (
        f"{path} was changed after it was written: delete it and run the same command again (it is made again from the "
        "stored answers), or restore it"
    )


def _shard_name(stage: str, kind: str, index: int) -> str:
    return f"{stage}/{kind}-{index:04d}.jsonl"


def _sum_line(noted: tuple[str, str]) -> str:
    """Return a line as `sha256sum` writes it."""
    name, digest = noted
    return f"{digest}  {name}\n"


def _to_line(row: BaseModel | Mapping[str, JsonValue]) -> str:
    """Return one JSON line. ASCII only, so that lone surrogates in model output survive."""
    content = row.model_dump(mode="json") if isinstance(row, BaseModel) else row
    return json.dumps(content) + "\n"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _replace(path: Path, lines: Iterable[str | bytes], before: Callable[[str], None] = lambda digest: None) -> str:
    """Write lines to a temporary file, sync it, rename it; return the SHA-256 of what was written.

    `before` is called with that digest just before the file takes its place.
    """
    digest = hashlib.sha256()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                for line in lines:
                    encoded = line.encode("utf-8") if isinstance(line, str) else line
                    digest.update(encoded)
                    file.write(encoded)
                file.flush()
                os.fsync(file.fileno())
            before(digest.hexdigest())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    return digest.hexdigest()


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
