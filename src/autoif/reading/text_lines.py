"""Reads the text of a user's file: unpacks it, decodes it and cuts it into lines, or refuses it with one sentence.

    plain, .gz, .bz2, .xz, .zst   known by the first bytes, whatever the name says
    UTF-8, UTF-16, UTF-32         known by the byte order mark, which is removed

A packed file may unpack to at most `MAX_UNPACKED_BYTES`, so that a small file can't fill the memory.
"""

import bz2
import codecs
import gzip
import io
import itertools
import lzma
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast

from autoif.errors import ConfigError, StoreError

MAX_LINE_BYTES = 1_000_000
"""A longer line of plain text is no query and no instruction, but a file of another kind."""
MAX_ROW_BYTES = 256_000_000
"""A longer line of a JSONL file is refused before it fills the memory."""
MAX_UNPACKED_BYTES = 1_000_000_000
"""What a packed file may unpack to."""
MAX_RATIO = 200
"""A packed file may unpack to this many times its size, or to `_SMALL_BYTES`; rows of text unpack to 3 to 50 times."""
_SMALL_BYTES = 20_000_000
_CHUNK_BYTES = 1 << 16

_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins like the mark of UTF-16, so it comes first
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NO_TEXT: Final = {
    b"PAR1": "a Parquet file: unpack it if it is packed, or write its rows as JSON lines",
    b"ARROW1": "an Arrow file: write its rows as Parquet or JSON lines",
    b"\xff\xff\xff\xff": "an Arrow file: write its rows as Parquet or JSON lines",
    b"PK\x03\x04": "a zip archive or a spreadsheet: unpack it, or save it as CSV",
    b"\xd0\xcf\x11\xe0": "a document of an office program: save it as text or CSV",
    b"%PDF": "a PDF: save it as text",
    b"SQLite format 3\x00": "a database: write its rows to a JSONL or CSV file",
    b"7z\xbc\xaf": "a 7z archive: unpack it",
    b"PK\x05\x06": "an empty zip archive",
    b"{\\rtf": "a document in rich text: save it as plain text",
    b"version https://git-lfs": "a pointer of Git LFS and not the file itself: fetch it with git lfs pull",
    b"<!doctype html": "a web page: download the file itself",
    b"<html": "a web page: download the file itself",
}
_LONGEST_MAGIC = 32
_TAR_PLACE = 257
"""Offset of the signature of a tar archive."""


class UnreadableText(Exception):
    """A file that is no text, is damaged, or unpacks to too much; says why, without naming the file."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.line = line
        """The line that is to blame, from 1, if there is one."""


@contextmanager
def naming(path: Path, what: str) -> Iterator[None]:
    """Turn errors of reading a text into a ConfigError that names the file."""
    try:
        yield
    except UnreadableText as error:
        place = f", line {error.line}" if error.line else ""
        raise ConfigError(f"{what} file {path}{place}: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what} file {path}: not UTF-8; save the file as UTF-8") from error
    except FileNotFoundError as error:
        raise ConfigError(f"{what} file {path}: no such file; check the path") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{what} file {path}: a directory; name a file in it") from error
    except OSError as error:
        raise ConfigError(f"{what} file {path}: {error.strerror or error}") from error


@contextmanager
def open_text(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file to read its text as UTF-8 bytes, unpacked and without a byte order mark.

    Raises:
        OSError: from the operating system.
        UnreadableText: it is no text, is damaged, or unpacks to too much. May also be raised later, while reading.
    """
    with path.open("rb") as file:
        head = file.peek(_LONGEST_MAGIC)
        unpack = next((open_ for magic, open_ in _PACKED.items() if head.startswith(magic)), None)
        limit = limit_unpacked(path.stat().st_size) if unpack else None
        chunks = _read_chunks(unpack(file) if unpack else file, limit)
        yield io.BufferedReader(_Chunks(_end_lines(_as_utf8(chunks))), _CHUNK_BYTES)


def _refuse_no_text(head: bytes) -> None:
    """Refuse a file, packed or not, that begins like one of another kind. Raises UnreadableText."""
    kind = next((kind for magic, kind in _NO_TEXT.items() if _begins(head, magic)), "")
    if head[_TAR_PLACE:].startswith(b"ustar"):
        kind = "a tar archive: unpack it"
    if head.startswith((*_PACKED,)):
        kind = "packed more than once: unpack it"
    if kind:
        raise UnreadableText(kind)


def _begins(head: bytes, magic: bytes) -> bool:
    """Tell whether a file begins like this; a web page also after blanks and in any letter case."""
    return head.startswith(magic) or (magic.startswith(b"<") and head[:64].lstrip().lower().startswith(magic))


def cut_lines(file: io.BufferedReader, max_bytes: int) -> Iterator[tuple[int, str]]:
    r"""Yield (line number from 1, line without its end) for each line of an open text, blank ones too.

    Lines end with "\n" or "\r\n" and with nothing else. Byte order marks are removed, also where files were joined.

    Raises:
        UnreadableText: not UTF-8, or a line of more than `max_bytes`; names the line.
    """
    number = 0
    # Bounded, so that a file without line ends is refused before it fills the memory.
    while line := file.readline(max_bytes + len(b"\r\n")):
        number += 1
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        if len(line) > max_bytes:
            raise UnreadableText(f"longer than {max_bytes:,} bytes; split or remove it", number)
        try:
            yield number, line.decode("utf-8").lstrip("\ufeff")
        except UnicodeDecodeError:
            raise UnreadableText("not UTF-8; save the file as UTF-8", number) from None


def expand_home(path: str | os.PathLike[str]) -> Path:
    """Return a path with "~" expanded, which shells don't do after a "=" and programs never do.
    Raises ConfigError: no file can have this name, or it stands for standard input. Rows may be read twice, and the
    file is recorded, so standard input isn't possible."""
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise ConfigError(f"a file or folder is named by a text or a Path, not by {path!r:.80}")
    if os.fspath(path) == "-":
        raise ConfigError("- is not taken for standard input or output: name a file (./- is one of that name)")
    if isinstance(path, str) and "\0" in path:
        raise ConfigError(f"{path!r} has a NUL in it: name another file")
    return Path(os.path.expanduser(path))  # noqa: PTH111  # unlike Path's, it leaves what has no home folder


def refuse_repeats(paths: Sequence[Path]) -> None:
    """Refuse inputs of which one is named twice, by whatever path. Raises StoreError: names it."""
    seen = set[Path]()
    for path in paths:
        if path.resolve() in seen:
            raise StoreError(f"{path} is there twice: name each input once")
        seen.add(path.resolve())


def _open_zstd(file: IO[bytes]) -> IO[bytes]:
    try:
        import pyarrow  # type: ignore[import-untyped]
    except ImportError:
        raise UnreadableText(
            "zstd needs the extra \"datasets\": pip install 'autoif[datasets]', or unpack it"
        ) from None
    return cast("IO[bytes]", pyarrow.CompressedInputStream(pyarrow.PythonFile(file, mode="r"), "zstd"))


_PACKED: Final[dict[bytes, Callable[[Any], IO[bytes]]]] = {
    b"\x1f\x8b": lambda file: cast("IO[bytes]", gzip.GzipFile(fileobj=file)),
    **{f"BZh{level}1AY&SY".encode(): lambda file: cast("IO[bytes]", bz2.BZ2File(file)) for level in range(1, 10)},
    b"\xfd7zXZ\x00": lambda file: cast("IO[bytes]", lzma.LZMAFile(file)),  # noqa: SIM115 - closed with what it reads
    b"\x28\xb5\x2f\xfd": _open_zstd,
}


def limit_unpacked(packed_bytes: int) -> int:
    """Return how many bytes a packed file of this size may unpack to."""
    return min(MAX_UNPACKED_BYTES, max(_SMALL_BYTES, MAX_RATIO * packed_bytes))


def _read_chunks(file: IO[bytes], limit: int | None) -> Iterator[bytes]:
    """Yield the bytes of a file, at most `limit` of them."""
    total = 0
    try:
        while chunk := file.read(_CHUNK_BYTES):
            total += len(chunk)
            if limit is not None and total > limit:
                raise UnreadableText(
                    f"unpacks to more than {limit:,} bytes; unpack it yourself, and name the part that you mean"
                )
            yield chunk
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise UnreadableText(f"can't be unpacked ({error}); bring it back from a copy") from None
    except OSError as error:
        if limit is None or error.errno:
            raise
        raise UnreadableText(f"can't be unpacked ({error}); bring it back from a copy") from None


def _as_utf8(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a text as UTF-8, without a byte order mark at its beginning."""
    head = next(chunks, b"")
    _refuse_no_text(head)
    encoding = next((encoding for mark, encoding in _MARKS.items() if head.startswith(mark)), None)
    if encoding is None:
        if head.count(0) * 4 > len(head):
            raise UnreadableText("no text, or UTF-16 without its mark; save the file as UTF-8")
        yield head
        yield from chunks
        return
    if encoding == "utf-8-sig":
        yield head.removeprefix(codecs.BOM_UTF8)
        yield from chunks
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        yield decoder.decode(head).encode("utf-8")
        for chunk in chunks:
            yield decoder.decode(chunk).encode("utf-8")
        yield decoder.decode(b"", final=True).encode("utf-8")
    except UnicodeError:
        raise UnreadableText(f"begins as {encoding.upper()} and isn't; save the file as UTF-8") from None


def _end_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a text with LF for CR if its lines end with CR alone, as spreadsheets on a Mac may write them."""
    head = next(chunks, b"")
    is_cr = b"\r" in head[:-1] and b"\n" not in head
    for chunk in itertools.chain([head], chunks):
        yield chunk.replace(b"\r", b"\n") if is_cr else chunk


class _Chunks(io.RawIOBase):
    """A readable file over chunks of bytes."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
