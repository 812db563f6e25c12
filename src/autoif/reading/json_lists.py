"""Reads JSON lists one element at a time, as a dump of conversations may be too large for memory."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from autoif.errors import ConfigError
from autoif.reading.json_text import TOO_DEEP, refuse_two_values

MAX_ELEMENT_CHARS = 64_000_000
_CHUNK_CHARS = 1 << 20
_DECODER = json.JSONDecoder(object_pairs_hook=refuse_two_values)
_SPACE = " \t\r\n"


def cut_elements(file: io.BufferedReader, path: Path, what: str) -> Iterator[object]:
    """Yield the elements of the list in an open file, or the values of a file that has one after another.
    Raises ConfigError: it holds no list, or is broken; names `path`, `what` and the line."""
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
    """A window on the text of a file. Values are decoded at its start; it grows while a value is incomplete."""

    def __init__(self, file: TextIO, path: Path, what: str) -> None:
        self.path, self.what = path, what
        self._file = file
        self._text = ""
        self._start = 0
        self._line = 1
        """The line of the first character of `_text`."""

    def peek(self) -> str:
        """Return the next character that isn't white space, "" at the end."""
        while True:
            while self._start < len(self._text) and self._text[self._start] in _SPACE:
                self._start += 1
            if self._start < len(self._text) or not self._grow():
                return self._text[self._start : self._start + 1]

    def skip(self, char: str) -> bool:
        """Move past this character if it is the next one; tell whether it was."""
        found = self.peek() == char
        self._start += found
        return found

    def value(self) -> object:
        """Return the next complete value."""
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
        """Read more text and drop what has been decoded; tell whether there was more."""
        more = self._file.read(max(_CHUNK_CHARS, len(self._text) - self._start))
        if more:
            self._line = self._current_line()
            self._text, self._start = self._text[self._start :] + more, 0
        return bool(more)


_ROW_LISTS = (
    "data", "rows", "train", "items", "examples", "records", "results", "samples", "queries", "prompts", "questions",
    "instructions", "seeds", "constraints", "conversations",
)  # fmt: skip


def unfold_rows(value: object) -> list[object] | None:
    """Return the rows within one object, as exports hold them; None if the object is itself a row.

    {"data": [row, …], "version": …}            a list beside metadata; a split of a data set, such as "train"
    {"0": row, "1": row}                        pandas, row by row
    {"query": {"0": …}, "id": {"0": …}}         pandas, column by column; also {"query": […], "id": […]}
    {"columns": ["query"], "data": [[…], …]}    pandas, split
    """
    if not isinstance(value, dict) or not value:
        return None
    columns, rows = value.get("columns"), value.get("data")
    if isinstance(columns, list) and isinstance(rows, list) and all(isinstance(row, list) for row in rows):
        return [dict(zip(map(str, columns), row, strict=False)) for row in rows]
    if len(value) == 1 and _is_row_list(only := next(iter(value.values()))):
        return [_unwrap_row(each) for each in only]
    if all(name.isdigit() for name in value):
        return list(value.values())
    by_column = [_read_column(each) for each in value.values()]
    lengths = {len(each) for each in by_column if each is not None}
    if None not in by_column and len(lengths) == 1:
        cells = [each for each in by_column if each is not None]
        return [dict(zip(value, row, strict=True)) for row in zip(*cells, strict=True)]
    lists = {name: each for name, each in value.items() if _is_row_list(each)}
    if any(_is_conversation(each) for each in value.values()):
        return None
    object_lists = [name for name, each in lists.items() if isinstance(each[0], dict)]
    only_list = object_lists[0] if len(object_lists) == 1 else ""
    found = lists.get(next((name for name in _ROW_LISTS if name in lists), only_list))
    return [_unwrap_row(each) for each in found] if found else None


def _read_column(value: object) -> list[object] | None:
    """Return the cells of a column; None if the value isn't a column."""
    if isinstance(value, dict):
        return list(value.values()) if value and all(name.isdigit() for name in value) else None
    if isinstance(value, list) and len(value) > 1 and not any(isinstance(each, dict) for each in value):
        return value
    return None


def _is_row_list(value: object) -> bool:
    if not isinstance(value, list) or not value or _is_conversation(value):
        return False
    return all(isinstance(each, str) for each in value) or all(isinstance(each, dict) for each in value)


def _is_conversation(value: object) -> bool:
    """Tell whether a list holds the turns of one conversation."""
    return isinstance(value, list) and any(isinstance(each, dict) and {"role", "from"} & each.keys() for each in value)


def _unwrap_row(row: object) -> object:
    """Return the inner row of {"row_idx": 0, "row": {…}, …}, as the Hugging Face data set server sends it."""
    inner = row.get("row") if isinstance(row, dict) else None
    return inner if isinstance(inner, dict) else row
