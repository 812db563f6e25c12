"""JSON lists read one element at a time, since a dump of conversations is larger than memory should be."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from autoif.errors import ConfigError
from autoif.reading.text_lines import TOO_DEEP

MAX_ELEMENT_CHARS = 64_000_000
_CHUNK_CHARS = 1 << 20
_DECODER = json.JSONDecoder()
_SPACE = " \t\r\n"


def cut_elements(file: io.BufferedReader, path: Path, what: str) -> Iterator[object]:
    """Yield the elements of the list in an open text, or all values of a text that has one after another.

    Raises:
        ConfigError: it holds no list, or is broken; `path`, `what` and the line are named.
    """
    with io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        yield from _elements(_Reader(text, path, what))


def broken(path: Path, what: str, line: int, error: Exception) -> ConfigError:
    """Return the error for JSON that can't be parsed."""
    why = TOO_DEEP if isinstance(error, RecursionError) else f"{error}".partition(";")[0]
    why = error.msg if isinstance(error, json.JSONDecodeError) else why
    return ConfigError(f"{what} file {path}, line {line}: broken JSON ({why}); mend or remove it")


def _elements(reader: "_Reader") -> Iterator[object]:
    listed = reader.skip("[")
    if not listed and reader.peek() not in {"{", ""}:
        raise ConfigError(
            f"{reader.what} file {reader.path}: no JSON list; give a list of texts, rows or conversations"
        )
    while reader.peek() not in ({"", "]"} if listed else {""}):
        yield reader.value()
        if not reader.skip(",") and listed and reader.peek() != "]":
            raise reader.broken("the list is cut off" if not reader.peek() else "a comma is missing")
    if listed and not reader.skip("]"):
        raise reader.broken("the list is cut off")
    if reader.peek():
        raise reader.broken("there is more behind the list")


class _Reader:
    """A window on the text of a file: values are decoded at its start, and it grows as long as one is incomplete."""

    def __init__(self, file: TextIO, path: Path, what: str) -> None:
        self.path, self.what = path, what
        self._file = file
        self._text = ""
        self._start = 0
        self._line = 1
        """Of the first character of `_text`."""

    def peek(self) -> str:
        """Return the next character that is no space, "" at the end."""
        while True:
            while self._start < len(self._text) and self._text[self._start] in _SPACE:
                self._start += 1
            if self._start < len(self._text) or not self._grow():
                return self._text[self._start : self._start + 1]

    def skip(self, char: str) -> bool:
        """Go on behind this character, if it is the next one."""
        found = self.peek() == char
        self._start += found
        return found

    def value(self) -> object:
        """Return the next value, whole."""
        while True:
            try:
                value, self._start = _DECODER.raw_decode(self._text, self._start)
                return value
            except json.JSONDecodeError as error:
                if len(self._text) - self._start > MAX_ELEMENT_CHARS or not self._grow():
                    raise broken(self.path, self.what, self._line + error.lineno - 1, error) from error
            except (RecursionError, ValueError) as error:
                raise broken(self.path, self.what, self._current_line(), error) from error

    def broken(self, why: str) -> ConfigError:
        return broken(self.path, self.what, self._current_line(), json.JSONDecodeError(why, "", 0))

    def _current_line(self) -> int:
        return self._line + self._text.count("\n", 0, self._start)

    def _grow(self) -> bool:
        """Read on, dropping what is behind; tell whether there was more."""
        more = self._file.read(max(_CHUNK_CHARS, len(self._text) - self._start))
        if more:
            self._line = self._current_line()
            self._text, self._start = self._text[self._start :] + more, 0
        return bool(more)
