"""Writes files atomically: each is written under a temporary name, synced, and then renamed.

A kill at any point leaves either the file that was there before or the new one.

    write_jsonl(path, rows)            rows as JSON lines
    with new_file(path) as file: …     lines, one after another, optionally compressed
    with replacing(path) as name: …    files that a library writes, or that are copied
"""

import fcntl
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, JsonValue

from autoif.errors import StoreError
from autoif.models.disks import explain_full_disk

OPEN_FOLDERS = "/proc/self/fd/"
"""Here Linux has paths to open folders, which stay valid when these are moved. Other systems may lack them."""
PACKED = ".zst"
"""Suffix of a stage's file that is packed (compressed)."""
PACKED_FROM = 4_000_000
"""Size in bytes from which on it is packed."""


def write_jsonl(path: Path, rows: Iterable[BaseModel | Mapping[str, JsonValue]]) -> None:
    """Write a JSONL file, whole or not at all. Raises StoreError: the disk refuses it."""
    replace_file(path, (to_line(row) for row in rows))


def write_json(path: Path, content: BaseModel | JsonValue) -> None:
    """Write an indented JSON file, whole or not at all. Raises StoreError: the disk refuses it."""
    plain = content.model_dump(mode="json") if isinstance(content, BaseModel) else content
    replace_file(path, [json.dumps(plain, indent=2) + "\n"])


def to_line(row: BaseModel | Mapping[str, JsonValue]) -> str:
    """Return a row as one JSON line. It is ASCII only, so that lone surrogates in model output survive."""
    content = row.model_dump(mode="json") if isinstance(row, BaseModel) else row
    return json.dumps(content) + "\n"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; when the block ends without an error, its file is synced and replaces `path`.

    For files that a library writes, or that are copied; use `new_file` for lines. Raises OSError.
    """
    temporary = _name_temporary(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """Lock a file or a folder while the block runs; on a disk without locks, do nothing.

    `what` says in the error what the other process does with it, as in "writes".
    Raises StoreError: another process holds the lock, or the path doesn't exist.
    """
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"another process {what} {path}: wait for it, or choose another --output") from None
        except OSError:
            pass
        yield
    finally:
        os.close(descriptor)


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file. Raises StoreError: it is a pipe, which gives what it holds only once."""
    if path.is_fifo():
        raise StoreError(f"{path} is a pipe, which can be read only once, and its digest is noted: name a file")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class NewFile:
    """A file that is written under a temporary name, and synced and renamed by `finish`.

    With `pack`, it is compressed from `PACKED_FROM` bytes on, and `path` then ends in `.zst`.
    """

    def __init__(self, path: Path, *, pack: bool = False) -> None:
        self.path = path
        self._temporary = _name_temporary(path)
        self._file = self._temporary.open("wb")
        self._digest = hashlib.sha256()
        self._held: bytearray | None = bytearray() if pack else None
        """Content that is held back until it is known whether the file will be packed; None if that is settled."""
        self._packer: Any = None

    @property
    def digest(self) -> str:
        """SHA-256 of what has been written."""
        return self._digest.hexdigest()

    def add(self, line: str | bytes) -> None:
        """Write a line, or bytes as they are."""
        content = line.encode("utf-8") if isinstance(line, str) else line
        if self._held is None:
            self._write(content)
            return
        self._held += content
        if len(self._held) >= PACKED_FROM:
            import zstandard  # imported here because small runs don't need it

            self.path = self.path.with_name(self.path.name + PACKED)
            self._packer = zstandard.ZstdCompressor().compressobj()
            held, self._held = self._held, None
            self._write(bytes(held))

    def finish(self, before: Callable[[Path, str], None]) -> None:
        """Put the file in its place; just before, call `before` with the place and the digest."""
        if self._held is not None:
            held, self._held = self._held, None
            self._write(bytes(held))
        if self._packer:
            rest, self._packer = self._packer.flush(), None
            self._write(rest)
        self._file.flush()
        os.fsync(self._file.fileno())
        before(self.path, self.digest)
        self._temporary.replace(self.path)
        _sync_folder(self.path.parent)

    def close(self) -> None:
        """Close the file and delete what isn't finished."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def _write(self, content: bytes) -> None:
        content = self._packer.compress(content) if self._packer else content
        self._digest.update(content)
        self._file.write(content)


@contextmanager
def new_file(
    path: Path,
    *,
    pack: bool = False,
    before: Callable[[Path, str], None] = lambda path, digest: None,
    shown: Path | None = None,
) -> Iterator[NewFile]:
    """Yield a file to write to, which takes its place when the block ends without an error.

    `before` is called with its path and digest just before that. Errors name the file as `shown`, if that is given.
    Raises StoreError: the disk refuses it.
    """
    with storage_errors(shown or path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(NewFile(path, pack=pack)) as file:
            yield file
            file.finish(before)


def replace_file(path: Path, lines: Iterable[str | bytes]) -> None:
    """Write a file of lines, whole or not at all. Raises StoreError: the disk refuses it."""
    with new_file(path) as file:
        for line in lines:
            file.add(line)


def _name_temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn errors of the disk or of SQLite into a StoreError that says what the user can do."""
    try:
        yield
    except OSError as error:
        if full := explain_full_disk(error, path):
            raise StoreError(full) from None
        named = (error.filename2 or error.filename or path) if path.is_dir() else path
        if str(named).startswith(OPEN_FOLDERS):
            named = os.path.realpath(named)
        is_file = isinstance(error, FileExistsError | NotADirectoryError)
        hint = "; a file is where a folder should be: choose another path" if is_file else ""
        if isinstance(error, PermissionError):
            hint = ": it is not yours to use; give your user the right to it, or choose another path"
        raise StoreError(f"{named} can't be written or read: {error.strerror or error}{hint}") from None
    except sqlite3.Error as error:
        if full := explain_full_disk(error, path):
            raise StoreError(full) from None
        raise StoreError(f"{path} holds a damaged database ({error}): restore it, or choose another --output") from None
