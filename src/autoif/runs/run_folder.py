"""Writes a run folder, and reads it back: one process holds it, and each file is written whole and its digest recorded.

The folder's contents are listed in `autoif.runs.store`; the counts that are recorded of each file are in
`autoif.runs.counts`.
"""

import fcntl
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Protocol, TypeVar

from pydantic import BaseModel, JsonValue

from autoif.errors import StoreError
from autoif.reading.json_text import parse_json
from autoif.records import Dropped
from autoif.runs.counts import FileCount, read_counts
from autoif.runs.store import (
    COMPLETIONS,
    COUNTS,
    DIGESTS,
    INSTRUCTIONS,
    MANIFEST,
    SEGMENTS,
    SHARD_NAME,
    SLICES,
    check_digest,
    digest_line,
    read_digests,
    read_manifest,
    read_own_lines,
    reading_errors,
    shard_number,
)
from autoif.runs.whole_files import OPEN_FOLDERS, PACKED, NewFile, digest_file, new_file, storage_errors, to_line

Row = TypeVar("Row", bound=BaseModel)
Rows = Iterable[BaseModel | Mapping[str, JsonValue]]
_LOCK = ".lock"


class Elsewhere(Protocol):
    """Another place that has a run's files, too (autoif.runs.mirror)."""

    def note(self, count: FileCount) -> None:
        """Take notice of a file that is complete in the folder."""
        ...

    def bring(self, digests: Mapping[str, str]) -> None:
        """Fetch these files into the folder; `digests` are by file name.
        Raises StoreError: a file is missing, or has another digest."""
        ...


def _digest(path: Path) -> str | None:
    """Return the digest of a file; None if there is no file, but perhaps a folder."""
    return digest_file(path) if path.is_file() else None


def refuse_links(run: Path) -> None:
    """Raise StoreError if a run folder has symbolic links, through which writing would change files elsewhere."""
    for folder in (run, run / SLICES, run / SEGMENTS, *run.glob("[0-9][0-9]_*")):
        links = filter(Path.is_symlink, folder.iterdir() if folder.is_dir() else ())
        if link := next(links, None):
            raise StoreError(
                f"{link} is a symbolic link, and a run writes to no file outside its folder: put in its place what "
                "it leads to, or choose another --output"
            )


class RunFolder:
    """One run on disk, held by one process at a time."""

    def __init__(self, path: Path, *, claimed: bool = False, elsewhere: Elsewhere | None = None) -> None:
        """`claimed`: the process holds a claim on the folder (autoif.runs.claims), so the disk needs no file locks.
        `elsewhere` has the files that are recorded and not in the folder."""
        self.path = path
        self._claimed = claimed
        self._elsewhere = elsewhere
        self._lock: IO[str] | None = None
        self._here = path
        """The path used for writing. It leads to the opened folder even if that is moved, and never to another folder
        that takes its place."""
        self._open = ExitStack()
        self._digests: dict[str, str] = {}
        self._counts: dict[str, FileCount] = {}
        self.moved: dict[str, str] = {}
        """Files that had been changed by hand, and the names under which the changed versions are kept."""

    def __enter__(self) -> "RunFolder":
        with storage_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            refuse_links(self.path)
            self._here = self._follow()
            self._lock = self._open.enter_context((self.path / _LOCK).open("a+", encoding="utf-8"))
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            self._open.close()
            raise StoreError(
                f"{self.path} is in use by another process (pid {holder}): wait for it, or choose another --output"
            ) from None
        except OSError as error:
            if not self._claimed:
                self._open.close()
                raise StoreError(
                    f"the disk of {self.path} keeps no locks ({error.strerror}): use --shards 1/1, which needs none"
                ) from None
        try:
            with storage_errors(self.path):
                os.ftruncate(self._lock.fileno(), 0)
                os.write(self._lock.fileno(), str(os.getpid()).encode())  # unbuffered: nothing is left for close()
                for leftover in itertools.chain(self._here.glob(".*.tmp"), self._here.glob("[0-9][0-9]_*/.*.tmp")):
                    leftover.unlink()  # a file that was being written at a kill
                self._digests = read_digests(self.path)
                found = read_counts(self.path)
                self._counts = {name: each for name, each in found.items() if self._digests.get(name) == each.sha256}
                if self._elsewhere:  # it needs counts: a file that was killed before its count was recorded is remade
                    self._digests = {name: each.sha256 for name, each in self._counts.items()}
                    for count in self._counts.values():
                        self._elsewhere.note(count)
                self._rewrite_notes()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        with self._open:
            if exc[0] is None and not self.is_moved:
                self._rewrite_notes()

    def _follow(self) -> Path:
        """Open the folder and return a path that follows it when it is moved, if the system has such paths."""
        descriptor = os.open(self.path, os.O_RDONLY)
        self._open.callback(os.close, descriptor)
        here = Path(f"{OPEN_FOLDERS}{descriptor}")
        return here if here.is_dir() else self.path

    @property
    def is_moved(self) -> bool:
        """Whether the folder was moved or deleted: if there is one at its path, it is another."""
        if self._claimed or self._lock is None:  # some disks without locks give a file a new number at each look
            return False
        try:
            return not os.path.samestat(os.fstat(self._lock.fileno()), (self.path / _LOCK).stat())
        except OSError:
            return True

    def check_place(self) -> None:
        """Raise StoreError if the folder was moved, deleted or replaced since it was opened."""
        if self.is_moved:
            raise StoreError(
                f"{self.path} was moved, deleted or replaced while its run went on, so it has stopped: run the same "
                "command again with the --output where it is now"
            )

    @property
    def completions(self) -> Path:
        return self.path / COMPLETIONS

    def read_manifest(self) -> dict[str, JsonValue]:
        """Return run.json, or {} for a new folder."""
        return read_manifest(self.path)

    def write_manifest(self, manifest: Mapping[str, JsonValue]) -> None:
        """Replace run.json. Its digest is not recorded, as it changes during the run."""
        self._replace(MANIFEST, [json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"])

    def _replace(self, name: str, lines: Iterable[str]) -> None:
        """Write a file whose digest is not recorded."""
        with self._begin_file(name, before=lambda path, digest: None) as file:
            for line in lines:
                file.add(line)

    def discard_results(self) -> None:
        """Delete everything that autoif wrote and can make again from the completions, and nothing else."""
        self.check_place()
        with storage_errors(self.path):
            for name in self._digests:
                self._set_aside(self._here / name)
                (self._here / name).unlink(missing_ok=True)
            for shard in filter(lambda path: SHARD_NAME.fullmatch(path.name), self._here.glob("[0-9][0-9]_*/*")):
                shard.unlink()
            for stage in self._here.glob("[0-9][0-9]_*"):
                if not any(stage.iterdir()):
                    stage.rmdir()
            for notes in (DIGESTS, COUNTS):
                (self._here / notes).unlink(missing_ok=True)
        self._digests.clear()
        self._counts.clear()

    def _set_aside(self, path: Path, digest: str = "") -> None:
        """Rename a file that was changed by hand, which has neither the recorded digest nor that of the new version."""
        name = str(path.relative_to(self._here))
        if not path.exists() or _digest(path) in {digest, self._digests.get(name)}:
            return
        numbers = itertools.count(1)
        kept = next(
            other for number in numbers if not (other := path.with_name(f"{path.name}.edited{number}")).exists()
        )
        path.rename(kept)
        self.moved[name] = kept.name

    @property
    def has_results(self) -> bool:
        """Whether a stage has finished a shard, even if the model answers have been lost since."""
        return any("/" in name for name in self._digests)

    def has(self, name: str) -> bool:
        """Tell whether a file is recorded as complete, and is in the folder or elsewhere."""
        found = self._find(name)
        return found in self._digests and (self._elsewhere is not None or (self.path / found).exists())

    def bring_all(self) -> None:
        """Fetch all files that another machine has made into the folder. Raises StoreError: one can't be fetched."""
        if self._elsewhere:
            missing = {name: each for name, each in self._digests.items() if not (self.path / name).exists()}
            self._elsewhere.bring(missing)

    def is_made_of(self, name: str, source: str) -> bool:
        """Tell whether a file is unchanged since it was written, and was made of this source."""
        count = self._counts.get(name)
        if not (count and count.made_of == source and self.has(name)):
            return False
        return not (self.path / name).exists() or _digest(self.path / name) == self._digests[name]

    def write_rows(self, name: str, rows: Rows, *, made_of: str = "", pack: bool = False) -> None:
        """Write a JSONL file, whole or not at all, and record its digest; a version changed by hand is kept aside.

        `made_of` identifies the source that `is_made_of` compares. With `pack`, a large file is compressed.
        """
        with self._open_new(name, made_of, pack=pack) as add:
            for row in rows:
                add(row)

    def write_together(self, names: Sequence[str], rows: Iterable[tuple[str, BaseModel]], *, made_of: str = "") -> None:
        """Write several JSONL files in one pass over `rows`, which are pairs of a file name and a row."""
        with ExitStack() as stack:
            add = {name: stack.enter_context(self._open_new(name, made_of)) for name in names}
            for name, row in rows:
                add[name](row)

    @contextmanager
    def _open_new(
        self, name: str, made_of: str, *, pack: bool = False
    ) -> Iterator[Callable[[BaseModel | Mapping[str, JsonValue]], None]]:
        count = FileCount(file=name, made_of=made_of)
        with self._begin_file(name, pack=pack, before=self._set_aside) as file:

            def add(row: BaseModel | Mapping[str, JsonValue]) -> None:
                file.add(to_line(row))
                count.add(row)

            yield add
        self._note(count.of(str(file.path.relative_to(self._here)), file.digest))

    @contextmanager
    def _begin_file(self, name: str, *, pack: bool = False, before: Callable[[Path, str], None]) -> Iterator[NewFile]:
        """Yield a new file to write to; `before` is called with its path and digest just before it takes its place.
        Raises StoreError: the disk refuses it, or the run's folder was moved."""
        self.check_place()
        try:
            with new_file(self._here / name, pack=pack, before=before, shown=self.path / name) as file:
                yield file
        except StoreError:
            self.check_place()
            raise

    def _note(self, count: FileCount) -> None:
        self.check_place()
        name = count.file
        with storage_errors(self.path):
            self.append(DIGESTS, digest_line(name, count.sha256))
            self.append(COUNTS, count.to_line())
            self._digests[name], self._counts[name] = count.sha256, count
            other = name.removesuffix(PACKED) if name.endswith(PACKED) else name + PACKED
            if self._digests.pop(other, None):
                (self._here / other).unlink(missing_ok=True)
        if self._elsewhere:
            self._elsewhere.note(count)

    def append(self, name: str, line: str) -> None:
        """Append a line to a file of the folder. May be called from any thread. Raises OSError."""
        with (self._here / name).open("ab", buffering=0) as file:  # a single write, so that lines don't interleave
            file.write(line.encode("utf-8"))

    def copy(self, count: FileCount, source: Path) -> None:
        """Copy a file from another run folder, unless it is here already, or differs from what was recorded there."""
        if self.has(count.file):
            return
        with reading_errors(source):
            content = source.read_bytes()
        if hashlib.sha256(content).hexdigest() == count.sha256:
            with self._begin_file(count.file, before=self._set_aside) as file:
                file.add(content)
            self._note(count)

    def read_rows(self, name: str, row: type[Row], known: Mapping[str, BaseModel] | None = None) -> list[Row]:
        """Return the rows of a file of the run as a list. Arguments and errors are those of `iterate_rows`."""
        return [*self.iterate_rows(name, row, known)]

    def iterate_rows(self, name: str, row: type[Row], known: Mapping[str, BaseModel] | None = None) -> Iterator[Row]:
        """Yield the rows of a file of the run; `known` has the records that they refer to, by id.
        Raises StoreError: the file is missing, or is not what autoif wrote."""
        path = self._check(name)
        try:
            for _, line in read_own_lines(path):
                yield row.model_validate(parse_json(line), context=known)
        except ValueError:
            raise StoreError(
                f"{path} was written by another version of autoif: run again with --resume-with-changes"
            ) from None

    def _check(self, name: str) -> Path:
        """Return the path of a file, fetched if necessary.
        Raises StoreError: it is missing, or was changed after it was written."""
        found = self._find(name)
        if self._elsewhere and found in self._digests and not (self.path / found).exists():
            self._elsewhere.bring({found: self._digests[found]})
        try:
            check_digest(self.path / found, self._digests.get(found, "none"))
        except FileNotFoundError:
            self.check_place()
            raise StoreError(
                f"{self.path / found} is missing: run again with --resume-with-changes to make it anew"
            ) from None
        return self.path / found

    def _find(self, name: str) -> str:
        """Return the name of a file as it is recorded: with `.zst` if it is compressed."""
        return name + PACKED if name + PACKED in self._digests else name

    def write_shard(self, stage: str, index: int, kept: Iterable[BaseModel], dropped: Iterable[Dropped]) -> None:
        """Write what one stage kept and dropped in one shard."""
        self.write_rows(_shard_name(stage, "dropped", index), dropped, pack=True)
        self.write_rows(_shard_name(stage, "kept", index), kept, pack=True)

    def has_shard(self, stage: str, index: int) -> bool:
        return all(self.has(_shard_name(stage, kind, index)) for kind in ("kept", "dropped"))

    def read_kept(
        self, stage: str, index: int, row: type[Row], known: Mapping[str, BaseModel] | None = None
    ) -> list[Row]:
        return self.read_rows(_shard_name(stage, "kept", index), row, known)

    def read_dropped(self, stage: str, index: int, known: Mapping[str, BaseModel] | None = None) -> list[Dropped]:
        return self.read_rows(_shard_name(stage, "dropped", index), Dropped, known)

    def count_shard(self, stage: str, index: int) -> tuple[int, int]:
        """Return how many records a stage kept and dropped in a shard. Its files are hashed, but not parsed.
        Raises StoreError: a file is missing, or is not what autoif wrote."""
        kept, dropped = (self._count(_shard_name(stage, kind, index)) for kind in ("kept", "dropped"))
        return kept, dropped

    def _count(self, name: str) -> int:
        count = self._counts.get(found := self._find(name))
        if count and self._elsewhere and not (self.path / found).exists():
            return count.rows  # its digest is checked when it is fetched
        path = self._check(name)
        return count.rows if count else sum(1 for _ in read_own_lines(path))

    def shards(self, stage: str) -> list[int]:
        """Return the numbers of a stage's shards, sorted."""
        return sorted(shard_number(name) for name in self._digests if name.startswith(f"{stage}/kept-"))

    def digest_stages(self, begin: str = "") -> list[JsonValue]:
        """Return the digests and names of instructions.jsonl and all files of stages, sorted; with `begin`, only of
        those whose name begins with it."""
        return [
            f"{self._digests[name]} {name}"
            for name in sorted(self._digests)
            if name.startswith(begin) and ("/" in name or name == INSTRUCTIONS)
        ]

    def _rewrite_notes(self) -> None:
        """Rewrite digests and counts with one line per file, without lines that were cut off by a kill."""
        if self._digests:
            self._replace(DIGESTS, (digest_line(name, digest) for name, digest in self._digests.items()))
            self._replace(COUNTS, (each.to_line() for each in self._counts.values()))


def _shard_name(stage: str, kind: str, index: int) -> str:
    return f"{stage}/{kind}-{index:04d}.jsonl"
