"""Journals: model answers appended to a file line by line, for network disks, on which no database may be opened.

The files `answers-0001.jsonl`, … in a run folder hold one `CompletionRow` per line. Each process writes a file of its
own, so nothing is locked. The database in which answers are looked up is built from them, on a local disk.
"""

import os
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from pydantic import JsonValue

from autoif.errors import StoreError
from autoif.models.answer_rows import CompletionRow, read_row, write_row
from autoif.models.cache import CompletionCache
from autoif.models.requests import ASKED_FOR
from autoif.reading.json_text import parse_json
from autoif.runs.claims import is_overtaken
from autoif.runs.run_folder import RunFolder
from autoif.runs.store import COMPLETIONS, SLICES, reading_errors
from autoif.runs.whole_files import replacing, storage_errors, write_json

MERGED, MERGING = "merged.json", "merging.json"
"""Lists of the slices' answers that are in the run's file, and that will be in it once the new file is in place."""
_SEALED = ".completions.sealed-"
"""Name prefix of a complete new file of the run that is not in its place yet; the turn number follows."""
_BATCHES = "batches.json"
"""Lists the provider's batches whose answers a slice has all stored."""
_SYNC_S = 5.0
_TAIL_BYTES = 1 << 16


class Journal:
    """A file to which answers are appended; they survive the death of the process once `append` returns.

    A thread syncs the file to disk every few seconds, so a crash of the machine loses only the last few seconds.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o644)
            _cut_torn_end(self._file)
        self._stop = threading.Event()
        self._syncer = threading.Thread(target=self._sync, name="autoif-journal", daemon=True)
        self._syncer.start()

    def append(self, rows: Sequence[CompletionRow]) -> None:
        with storage_errors(self._path):
            _append(self._file, rows)

    def close(self) -> None:
        self._stop.set()
        self._syncer.join()
        with storage_errors(self._path):
            os.fsync(self._file)
            os.close(self._file)

    def _sync(self) -> None:
        synced = 0
        while not self._stop.wait(_SYNC_S):
            if (size := os.fstat(self._file).st_size) != synced:
                with suppress(OSError):  # `append` or `close` will report it
                    os.fdatasync(self._file)
                    synced = size


class ShardJournals:
    """A folder with a journal for each shard, to which the answers that the shard asked for are appended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mended = set[Path]()
        """Files whose torn last line, if any, this process has already cut."""

    def append(self, rows: Sequence[CompletionRow]) -> None:
        """Append rows to the file of the shard for which the calling task works."""
        path = self._folder / f"{ASKED_FOR.get()}.jsonl"
        with storage_errors(path):
            # Opened each time, as the file may have been sealed meanwhile.
            file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o644)
            try:
                if path not in self._mended:
                    _cut_torn_end(file)
                    self._mended.add(path)
                _append(file, rows)
            finally:
                os.close(file)

    def close(self) -> None:
        """Do nothing: no file is left open."""


def open_journal(place: Path) -> Journal | ShardJournals:
    """Return the journal at `place`, or the journals of all shards if it is a folder."""
    return ShardJournals(place) if place.is_dir() else Journal(place)


def _append(file: int, rows: Sequence[CompletionRow]) -> None:
    content = "".join(map(write_row, rows)).encode("ascii")
    end = os.lseek(file, 0, os.SEEK_END)
    try:
        while content:
            content = content[os.write(file, content) :]
    except OSError:  # a full disk may have taken a part
        os.ftruncate(file, end)
        raise


def cut_torn_line(path: Path) -> None:
    """Remove an incomplete last line, left by a killed process, from a journal that nobody writes any more."""
    with storage_errors(path), path.open("rb+") as file:
        _cut_torn_end(file.fileno())


def _cut_torn_end(file: int) -> None:
    """Remove an incomplete last line, left by a killed process, before this process continues the file."""
    size = os.lseek(file, 0, os.SEEK_END)
    end, tail = size, b""
    while end and b"\n" not in tail:
        begin = max(0, end - _TAIL_BYTES)
        tail, end = os.pread(file, end - begin, begin), begin
    whole = end + tail.rfind(b"\n") + 1
    if whole != size:
        os.ftruncate(file, whole)


def list_journals(folder: Path, kind: str = "answers") -> list[Path]:
    """Return the journals in a folder, in order."""
    return sorted(folder.glob(f"{kind}-[0-9][0-9][0-9][0-9].jsonl"))


def read_journal(path: Path) -> Iterator[CompletionRow]:
    """Yield the rows of a file, without an incomplete last line. Raises StoreError: another line is damaged."""
    with reading_errors(path), path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield read_row(line)
            except ValueError:
                if line.endswith(b"\n"):
                    raise StoreError(
                        f"{path}, line {number} is damaged: bring the file back from a copy, or delete the line to ask "
                        "the model again"
                    ) from None


def is_refusal(line: bytes) -> bool:
    """Return whether a line holds a server's refusal; False for a damaged line."""
    try:
        return read_row(line).finish_reason == "refused"
    except ValueError:
        return False


def import_journals(paths: Iterable[Path], cache: CompletionCache) -> None:
    """Add all answers of these files to a cache.

    Where a request has both a refusal and an answer, the answer replaces the refusal, in whatever order they are found:
    it is the newer one.
    """
    paths = [*paths]
    cache.insert_all(_read_all(paths))
    cache.answer_refused(_read_all(paths))


def _read_all(paths: Iterable[Path]) -> Iterator[CompletionRow]:
    for path in paths:
        yield from read_journal(path)


def export_answers(cache: CompletionCache, out: Path, *, but: str) -> None:
    """Write all answers to a journal, except those of the stage `but`."""
    with closing(Journal(out)) as journal:
        for row in cache.rows():
            if row.stage != but:
                journal.append([row])


@contextmanager
def open_answers(folder: RunFolder, turn: int, run: Path) -> Iterator[tuple[Path, Path | None]]:
    """Yield the database of a run folder's answers, and the journal to which new answers must be appended, if any.

    With `turn` 0 that is the folder's own file, and there is no journal. Otherwise the folder may be on a network disk,
    or be a slice of `run`: the database is then a temporary one on a local disk, built from the folder's file and
    journals. At the end, a whole run's answers are written into its file; a slice leaves its journals.
    """
    if not turn:
        yield folder.completions, None
        return
    whole = folder.path == run
    journals = run / SLICES if whole else folder.path
    if whole:
        _put_sealed(folder.completions, journals)
    kind = "whole" if whole else "answers"
    with tempfile.TemporaryDirectory(prefix="autoif-", ignore_cleanup_errors=True) as scratch:
        path = Path(scratch) / COMPLETIONS
        with storage_errors(path.parent):
            for suffix in ("", "-wal"):
                if (found := folder.completions.with_name(COMPLETIONS + suffix)).exists():
                    shutil.copyfile(found, path.with_name(COMPLETIONS + suffix))
        written, journal = list_journals(journals, kind), journals / f"{kind}-{turn:04d}.jsonl"
        (merging := journals / MERGING).unlink(missing_ok=True)
        with CompletionCache(path) as cache:
            import_journals(written if whole else [*list_journals(run / SLICES), *written], cache)
            for batch in () if whole else _read_batches(journals / _BATCHES):
                cache.note_collected(batch)
        try:
            yield path, journal
        finally:
            if not whole:
                _write_batches(path, journals / _BATCHES)
            elif not is_overtaken(journals, turn):  # else another process has taken over the journal
                _seal(path, folder.completions, turn)
                _put_sealed(folder.completions, journals)
                if merging.exists():
                    merging.replace(journals / MERGED)


def _read_batches(path: Path) -> list[str]:
    try:
        return [str(each) for each in parse_json(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):  # without the list, batches are just read again
        return []


def _write_batches(database: Path, place: Path) -> None:
    with CompletionCache(database) as cache:
        if batches := sorted(cache.collected()):
            write_json(place, list[JsonValue](batches))


def _seal(database: Path, place: Path, turn: int) -> None:
    """Copy a database next to its place, whole or not at all; a writer that is about to end may still have it open."""
    with CompletionCache(database) as cache:
        cache.empty_log()
    with storage_errors(place), replacing(place.with_name(f"{_SEALED}{turn:04d}")) as temporary:
        shutil.copyfile(database, temporary)


def _put_sealed(place: Path, journals: Path) -> None:
    """Move a sealed database to its place.

    First delete the journals that it includes, which would bring back refusals deleted from it, and the log of the
    previous database, which SQLite would apply to this one.
    """
    with storage_errors(place):
        for sealed in sorted(place.parent.glob(f"{_SEALED}*")):
            for each in list_journals(journals, "whole"):
                if each.stem[-4:] <= sealed.name[-4:]:
                    each.unlink()
            for suffix in ("-wal", "-shm"):
                place.with_name(place.name + suffix).unlink(missing_ok=True)
            sealed.replace(place)
