"""Reads rows of JSONL files that a user names: validated, or refused with the file and the line."""

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
    """Yield the rows of a JSONL file that a user names, also a packed one; blank lines are skipped.

    `exact` keeps lone surrogates, for texts that are only judged and not passed on. `check` raises ValueError for a row
    that can't be used. Raises StoreError: the file can't be read, or a line, which is named, is no such row.
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
    """Yield (number, row as JSON) for each row of a file that a user names: the lines of a JSONL file, but blank ones,
    the elements of a JSON list, or the rows of a Parquet file.

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
    """Describe the first problem of a row, and where in the row it is."""
    problem = error.errors()[0]
    where = ".".join(map(str, problem["loc"]))
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
