"""Rows of JSON lines that a user names: typed, or refused with the file and the line."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from autoif.errors import ConfigError, StoreError
from autoif.reading.json_lists import cut_elements
from autoif.reading.json_text import load_json, parse_json
from autoif.reading.row_files import is_parquet, read_rows
from autoif.reading.text_lines import MAX_ROW_BYTES, UnreadableText, cut_lines, open_text

Row = TypeVar("Row", bound=BaseModel)


def read_jsonl(
    path: Path, row: type[Row], *, exact: bool = False, check: Callable[[Row], None] = lambda row: None
) -> list[Row]:
    """Return what `iterate_jsonl` yields."""
    return [*iterate_jsonl(path, row, exact=exact, check=check)]


def iterate_jsonl(
    path: Path, row: type[Row], *, exact: bool = False, check: Callable[[Row], None] = lambda row: None
) -> Iterator[Row]:
    """Yield the rows of a JSONL file that a user names, also packed; blank lines are nothing.

    `exact` leaves half characters (lone surrogates) as they are, where a text is judged and not handed on; `check`
    raises ValueError for a row that can't be used. Raises StoreError: it can't be read, or a line, which is named, is
    no such row.
    """
    load: Callable[[str], Any] = partial(parse_json, unique=True) if exact else load_json
    for number, line in read_json_lines(path):
        try:
            content = load(line)
        except ValueError as error:
            why = error.msg if isinstance(error, json.JSONDecodeError) else error
            raise StoreError(f"{path}, line {number}: broken JSON ({why})") from None
        try:
            found = row.model_validate(content)
            check(found)
        except ValidationError as error:
            raise StoreError(f"{path}, line {number}: no {row.__name__} row ({name_problem(error)})") from None
        except ValueError as error:
            raise StoreError(f"{path}, line {number}: {error}") from None
        yield found


def read_json_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (number, row) of a file of rows that a user names: the lines of JSON lines, blank ones left out, and as
    such lines the elements of a JSON list and the rows of a Parquet file.

    Raises:
        StoreError: it can't be read, is no text, or a list is broken.
        ConfigError: a Parquet file is broken.
    """
    if is_parquet(path):
        for row in read_rows(path, "data"):
            yield row.number, json.dumps(row.value, default=str)
        return
    try:
        with open_text(path) as file:
            if file.peek().lstrip().startswith(b"["):
                yield from _read_list(cut_elements(file, path, "data"))
                return
            for number, line in cut_lines(file, MAX_ROW_BYTES):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror or error}") from None
    except UnreadableText as error:
        place = f", line {error.line}" if error.line else ""
        raise StoreError(f"{path}{place}: {error}") from None


def _read_list(elements: Iterator[object]) -> Iterator[tuple[int, str]]:
    try:
        for number, value in enumerate(elements, 1):
            yield number, json.dumps(value)
    except ConfigError as error:
        raise StoreError(str(error)) from None


def name_problem(error: ValidationError) -> str:
    """Return the first thing that is wrong with a row, and where in it."""
    problem = error.errors()[0]
    where = ".".join(map(str, problem["loc"]))
    said = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {said}" if where else said
