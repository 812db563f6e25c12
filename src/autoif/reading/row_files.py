"""Reads rows from any file of texts; used for seeds and for queries.

    | what it holds          | read as                                                      | a row is            |
    |------------------------|--------------------------------------------------------------|---------------------|
    | JSON lines             | a value a line                                               | any JSON value      |
    | JSON                   | the elements of a list, or values one after another; the     | any JSON value      |
    |                        | rows within one object, as {"data": [row, …]}                |                     |
    | CSV, TSV, Markdown     | a table whose first line names the columns                   | an object           |
    | Parquet                | a table (extra `datasets`)                                   | an object           |
    | text                   | a row a line; lines that begin with "#" are comments         | a text              |

The content decides where it can: JSON is read as JSON whatever the file is called. Any of these files may be packed
(text_lines.py).
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Any

from autoif.errors import ConfigError, in_one_line, needing_extra
from autoif.reading.json_lists import broken, cut_elements, unfold_rows
from autoif.reading.json_text import load_json
from autoif.reading.text_lines import (
    MAX_LINE_BYTES,
    UnreadableText,
    cut_lines,
    expand_home,
    limit_unpacked,
    naming,
    open_text,
)

MAX_JSON_LINE_BYTES = 16_000_000
"""A line may hold a whole conversation, of which only the first turn is read."""
COLUMNS = (
    "query", "prompt", "question", "instruction", "text", "seed", "constraint", "input", "inputs", "queries", "prompts",
    "questions", "instructions", "texts", "seeds", "constraints", "rule", "rules", "content", "user",
)  # fmt: skip
"""Names of columns that hold a query or an instruction, in small letters."""
SUFFIXES = (".txt", ".md", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
PACKED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
_TEXT = {"", ".txt", ".text", ".md", ".lst", ".list"}
_JSON_LINES = {".jsonl", ".ndjson", ".jl"}
_DELIMITERS = ",\t;|"
_BATCH_ROWS = 1_000
_FEW_ROWS = 10
_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""A first line that names the delimiter, as Excel writes it."""
_RULE = re.compile(r":?-*:?")
"""A cell that is empty, or part of the line below the header of a Markdown table."""
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
_PARQUET = b"PAR1"
_OPENS_JSON = re.compile(r'\{\s*["}]|\[\s*["{\[\]]')
_DECODER = json.JSONDecoder()
_NONE = object()


class FileForm(StrEnum):
    """How a file is read."""

    TEXT = "text"
    JSON_LINES = "JSON lines"
    JSON = "JSON"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row and its place in the file."""

    place: str
    """As in "line 3", for errors."""
    value: object
    """A text, or a value of JSON or of a table."""
    written: bool = False
    """Whether it is a line of a plain text file, where people number, quote and mark what they list."""

    @property
    def number(self) -> int:
        """The number in `place`, from 1."""
        return int(self.place.split()[1])


def read_rows(path: Path, what: str, *, max_line_bytes: int = MAX_JSON_LINE_BYTES) -> Iterator[SourceRow]:
    """Yield the rows of a file, without blank lines and comments. A line of JSON has at most `max_line_bytes`.

    Raises:
        ConfigError: the file is missing, unreadable, broken, or in no form that is supported; names the line.
    """
    if is_parquet(path):
        yield from _read_parquet(path, what)
        return
    with naming(path, what), open_text(path) as file:
        head = file.peek().decode("utf-8", errors="replace")
        suffix = name_suffix(path)
        match find_form(head, suffix):
            case FileForm.TEXT:
                yield from _read_text(file, path, what)
            case FileForm.JSON_LINES:
                yield from _read_json_lines(file, path, what, max_line_bytes)
            case FileForm.JSON:
                yield from _read_json(file, path, what)
            case FileForm.TABLE:
                yield from _read_table(file, path, what, suffix)
            case None:
                if suffix == ".parquet":
                    raise ConfigError(f"{what} file {path}: no Parquet file, whatever its name says; fetch it again")
                kinds = ", ".join(SUFFIXES)
                raise ConfigError(f"{what} file {path}: give a {kinds} file, also with {', '.join(PACKED_SUFFIXES)}")


def name_suffix(path: Path) -> str:
    """Return the suffix that tells the form, in small letters: ".csv" of rows.CSV.gz."""
    inner = path.with_suffix("") if path.suffix.lower() in PACKED_SUFFIXES else path
    return inner.suffix.lower()


def find_form(head: str, suffix: str) -> FileForm | None:
    """Return how a file with this beginning and suffix is read; None if it can't be."""
    lines = [line for line in head.splitlines() if line.strip() and not line.startswith("#")]
    first = lines[0].strip() if lines else ""
    if suffix == ".json":
        return FileForm.JSON
    if _OPENS_JSON.match(head[head.find(first) :]):
        return _json_form(head[head.find(first) :], first, suffix)
    if suffix in _JSON_LINES:
        return FileForm.JSON_LINES
    if suffix in {".csv", ".tsv"} or (suffix in _TEXT and _is_header(first)):
        return FileForm.TABLE
    return FileForm.TEXT if suffix in _TEXT else None


def known_columns(names: Mapping[str, object] | list[str]) -> list[str]:
    """Return those of the names that are in `COLUMNS`, whatever their case and the spaces around them."""
    return [name for name in names if isinstance(name, str) and name.strip().casefold() in COLUMNS]


def _json_form(text: str, first: str, suffix: str) -> FileForm:
    """Tell JSON lines from one list, or from values that span several lines."""
    if text.startswith("["):
        try:
            element, _ = _DECODER.raw_decode(text[1:].lstrip())
        except (ValueError, RecursionError):
            return FileForm.JSON_LINES if suffix in _JSON_LINES else FileForm.JSON
        is_turn = isinstance(element, Mapping) and ({"role", "from"} & element.keys())
        return FileForm.JSON_LINES if is_turn else FileForm.JSON
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        cut = "\n" not in text.strip()
        return FileForm.JSON_LINES if cut and suffix in _JSON_LINES else FileForm.JSON
    return FileForm.JSON_LINES


def _is_header(line: str) -> bool:
    """Tell whether a line is the header of a table: several short names, of which one is known."""
    for delimiter in _DELIMITERS:
        names = [name for cell in line.split(delimiter) if (name := cell.strip().strip('"'))]
        if len(names) > 1 and all(re.fullmatch(r"[\w-]{1,30}|[#№]", name) for name in names) and known_columns(names):
            return True
    return False


def _read_text(file: io.BufferedReader, path: Path, what: str) -> Iterator[SourceRow]:
    for number, whole in cut_lines(file, MAX_LINE_BYTES):
        for line in whole.split("\r"):
            text = re.sub(r"[\v\f\x85\u2028\u2029]+", " ", line).strip()
            if _OPENS_JSON.match(text) and _is_json(text):
                raise ConfigError(
                    f"{what} file {path}, line {number}: JSON between lines of text; name a file of JSON lines .jsonl"
                )
            if text.startswith(("{'", "[{'", "['")):
                raise ConfigError(
                    f"{what} file {path}, line {number}: a value as Python writes it; write the rows as JSON lines"
                )
            if text and not text.startswith("#"):
                yield SourceRow(f"line {number}", text, written=True)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _read_json_lines(file: io.BufferedReader, path: Path, what: str, max_bytes: int) -> Iterator[SourceRow]:
    for number, line in cut_lines(file, max_bytes):
        if line.strip() and not line.startswith("#"):
            try:
                yield SourceRow(f"line {number}", _unpack_json(load_json(line)))
            except ValueError as error:
                raise broken(path, what, number, error) from error


def _read_json(file: io.BufferedReader, path: Path, what: str) -> Iterator[SourceRow]:
    values = cut_elements(file, path, what)
    first, second = next(values, _NONE), next(values, _NONE)
    inner = unfold_rows(first) if second is _NONE and not _has_text(first) else None
    found = inner if inner is not None else chain([first, second], values)
    for number, value in enumerate((each for each in found if each is not _NONE), 1):
        yield SourceRow(f"element {number}", _unpack_json(value))


def _unpack_json(value: object) -> object:
    """Parse a row that is a string of JSON, as in files whose rows were encoded twice."""
    if isinstance(value, str) and _OPENS_JSON.match(value.strip()):
        with suppress(ValueError):
            return load_json(value.strip())
    return value


def _has_text(value: object) -> bool:
    """Tell whether an object is a row: it has a text in a known column."""
    return isinstance(value, dict) and any(isinstance(value[name], str) for name in known_columns(value))


def _read_table(file: io.BufferedReader, path: Path, what: str, suffix: str) -> Iterator[SourceRow]:
    """Yield the rows of a table, each a mapping of columns to texts."""
    lines = _Lines(file)
    csv.field_size_limit(MAX_JSON_LINE_BYTES)  # for a cell that holds a conversation
    try:
        header = lines.first()
        if separator := _SEPARATOR.fullmatch(header.strip()):
            next(lines)
            header = lines.first()
        is_tsv = suffix == ".tsv" and "\t" in header
        delimiter = separator[1] if separator else "\t" if is_tsv else _find_delimiter(header)
        lines.delimiter = delimiter
        table = csv.reader(lines, delimiter=delimiter, strict=True)
        names = [name.strip() for name in next(table, [])]
        _refuse_twins(names, path, what)
        for cells in table:
            while len(cells) > len(names) and not cells[-1].strip():
                cells.pop()
            if len(cells) > len(names):
                raise ConfigError(
                    f"{what} file {path}, line {lines.number}: {len(cells)} columns, and the first line names "
                    f"{len(names)} ({', '.join(names)[:200]}); put texts that hold {delimiter!r} in quotation marks"
                )
            if not all(_RULE.fullmatch(cell.strip()) for cell in cells):
                yield SourceRow(f"line {lines.number}", dict(zip(names, cells, strict=False)))
    except csv.Error as error:
        raise ConfigError(f"{what} file {path}, line {lines.number}: no table ({error})") from None


def _refuse_twins(names: list[str], path: Path, what: str) -> None:
    """Refuse a table in which one column would hide another."""
    if twice := next((name for name in names if name and names.count(name) > 1), None):
        raise ConfigError(f"{what} file {path}: two columns are named {twice!r}; rename one")


class _Lines:
    """The lines of a table, without comments and blank lines; a quoted cell, which may span lines, keeps them."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._lines = cut_lines(file, MAX_JSON_LINE_BYTES)
        self._held: str | None = None
        self._quoted = False
        self.delimiter = ","
        self.number = 0

    def first(self) -> str:
        """Return the first line that is no comment, without consuming it."""
        self._held = next(self, "")
        return self._held

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._held is not None:
            line, self._held = self._held, None
            return line
        for number, line in self._lines:
            self.number = number
            # A line such as "#1,Use no commas." is a row; "# a note, for readers" is a comment.
            comment = line.startswith("# ") or (line.startswith("#") and self.delimiter not in line)
            if self._quoted or not (comment or not line.strip()):
                self._quoted ^= line.count('"') % 2 == 1
                return line + "\n"
        raise StopIteration


def _find_delimiter(header: str) -> str:
    """Return the delimiter of a header: the first that gives a known name, else the most frequent."""
    for delimiter in _DELIMITERS:
        names = [name.strip().strip('"') for name in header.split(delimiter)]
        if len(names) > 1 and known_columns(names):
            return delimiter
    return max(_DELIMITERS, key=header.count)


def is_parquet(path: Path) -> bool:
    """Tell by its first bytes whether a file is Parquet; a file that can't be read is not."""
    try:
        if not path.is_file():  # a pipe can be read only once
            return False
        with path.open("rb") as file:
            return file.read(len(_PARQUET)) == _PARQUET
    except OSError:
        return False  # reported when it is read as text


def _read_parquet(path: Path, what: str) -> Iterator[SourceRow]:
    with needing_extra("datasets", f"{what} file {path}: Parquet"):
        from pyarrow import ArrowException, parquet  # type: ignore[import-untyped]
    try:
        with parquet.ParquetFile(path) as table:
            _refuse_twins(table.schema_arrow.names, path, what)
            for number, row in enumerate(_unpack_table(table, path, limit_unpacked(path.stat().st_size)), 1):
                yield SourceRow(f"row {number}", row)
    except UnreadableText as error:
        raise ConfigError(f"{what} file {path}: {error}") from None
    except (ArrowException, OSError) as error:
        raise ConfigError(f"{what} file {path}: a Parquet file that can't be read ({in_one_line(error)})") from None


def _unpack_table(table: Any, path: Path, most_bytes: int) -> Iterator[Any]:
    """Yield the rows of an open Parquet file. Their bytes are counted before unpacking, while rows share equal texts.
    Raises UnreadableText: it unpacks to too much."""
    from pyarrow import ArrowException, parquet

    columns = (table.metadata.schema.column(index) for index in range(table.metadata.num_columns))
    texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
    unpacked = 0

    def count(batch: Any) -> None:
        nonlocal unpacked
        unpacked += sum(map(_count_bytes, batch.columns))
        if unpacked > most_bytes:
            raise UnreadableText(f"unpacks to more than {most_bytes:,} bytes; give a part of it")

    with parquet.ParquetFile(path, read_dictionary=texts) as shared:
        for group in range(table.num_row_groups):
            counted, rows, before = True, _BATCH_ROWS, unpacked
            try:
                for batch in shared.iter_batches(rows, [group]):
                    count(batch)
            except (ArrowException, OSError):  # as for delta-encoded texts: a few rows of these take little
                counted, rows, unpacked = False, _FEW_ROWS, before
            for batch in table.iter_batches(rows, [group]):
                if not counted:
                    count(batch)
                yield from batch.to_pylist()


def _count_bytes(values: Any) -> int:
    """Return how many bytes an Arrow array takes once its dictionaries are expanded."""
    from pyarrow import compute, types

    if types.is_dictionary(values.type):
        lengths = compute.binary_length(values.dictionary)
        return compute.sum(lengths.take(values.indices)).as_py() or 0
    if types.is_nested(values.type) and not types.is_union(values.type):
        inner = [values.keys, values.items] if types.is_map(values.type) else values.flatten()
        return sum(map(_count_bytes, inner if isinstance(inner, list) else [inner]))
    return int(values.nbytes)


def split_column(source: str) -> tuple[Path, str | None]:
    """Split FILE:COLUMN into file and column; a file whose own name has a colon is taken as it is.
    Raises ConfigError: it is an address, or `expand_home` refuses it."""
    if _ADDRESS.match(source) and not Path(source).exists():
        raise ConfigError(f"{source} is an address: download the file, and name that")
    name, colon, column = source.rpartition(":")
    if colon and column and not Path(source).exists() and (Path(name).exists() or is_file_name(name)):
        return expand_home(name), column
    return expand_home(source), None


def is_file_name(name: str) -> bool:
    """Tell whether a name has the suffix of a file that can be read here."""
    return name.lower().endswith((*SUFFIXES, *PACKED_SUFFIXES))
