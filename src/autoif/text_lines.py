"""The lines of a text file that a user gave: decoded, numbered, and refused with one sentence if they can't be read."""

from collections.abc import Iterator
from pathlib import Path

from autoif.errors import ConfigError

MAX_LINE_BYTES = 1_000_000
"""A longer line of plain text is no query and no instruction, but a file of another kind."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_lines(path: Path, what: str, *, max_bytes: int = MAX_LINE_BYTES) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end) for each line of a UTF-8 file, blank ones too.

    A byte order mark and carriage returns are removed. `what` names the file's purpose in errors, as in "seeds".

    Raises:
        ConfigError: no such file, a directory, unreadable, not UTF-8, or a line of more than `max_bytes`.
    """
    number = 0
    try:
        with path.open("rb") as file:
            # Bounded, so that a file without line ends is refused before it fills the memory.
            while line := file.readline(max_bytes + len(BYTE_ORDER_MARK) + len(b"\r\n")):
                number += 1
                yield number, _decode(line, path, what, number, max_bytes)
    except OSError as error:
        raise unreadable(path, what, error) from error


def unreadable(path: Path, what: str, error: OSError) -> ConfigError:
    """Return the error for a file that the system doesn't let us read."""
    match error:
        case FileNotFoundError():
            return ConfigError(f"{what} file {path}: no such file; check the path")
        case IsADirectoryError():
            return ConfigError(f"{what} file {path}: a directory; name a file in it")
    return ConfigError(f"{what} file {path}: {error.strerror or error}")


def not_utf8(path: Path, what: str, line: int | None = None) -> ConfigError:
    """Return the error for a file in another encoding."""
    place = f", line {line}" if line else ""
    return ConfigError(f"{what} file {path}{place}: not UTF-8; save the file as UTF-8")


def _decode(line: bytes, path: Path, what: str, number: int, max_bytes: int) -> str:
    line = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
    line = line.removesuffix(b"\n").removesuffix(b"\r")
    if len(line) > max_bytes:
        raise ConfigError(f"{what} file {path}, line {number}: longer than {max_bytes:,} bytes; split or remove it")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(path, what, number) from error
