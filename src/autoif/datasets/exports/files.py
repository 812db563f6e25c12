"""Writes the files of an export: JSONL, JSON, Parquet and text.

An export is a list of `RowTable`, `TextFile` and `Entries`. Nothing is written until all names are known to be free,
and no file appears under its name until all files are on disk.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from autoif.datasets.rows import Columns, DataRow, Form
from autoif.errors import ConfigError
from autoif.reading.json_text import parse_json
from autoif.runs.whole_files import storage_errors


@dataclass(frozen=True, slots=True)
class RowTable:
    """A file of rows; the suffix of its name, .jsonl or .parquet, says how they are written."""

    name: str
    form: Form
    rows: Iterable[Columns]


@dataclass(frozen=True, slots=True)
class TextFile:
    """A text file that accompanies rows: a config, a module, a description."""

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries to add to the JSON object in a file; other entries that it has already stay."""

    name: str
    entries: Mapping[str, Columns]


File = RowTable | TextFile | Entries
R = TypeVar("R", bound=DataRow)


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that was written; a text file has no form and no rows."""

    path: Path
    form: Form | None = None
    rows: int = 0


def make_files(
    name: str, make: Callable[[R], Columns], rows: Sequence[R], *texts: TextFile
) -> list[RowTable | TextFile]:
    """Return the table of some rows and the texts that accompany it; an empty list if there are no rows."""
    return [RowTable(name, rows[0].form, map(make, rows)), *texts] if rows else []


def write_files(folder: Path, files: Sequence[File], *, overwrite: bool = False) -> list[WrittenFile]:
    """Write files into a folder, which is created if necessary. Without `overwrite`, nothing is replaced.

    Raises:
        ConfigError: a file, or a different entry with the same name, exists already; entries can't be added to an
            existing file; or Parquet is wanted and pyarrow isn't installed.
        StoreError: the disk is full, or the folder can't be written.
    """
    present = [file.name for file in files if not isinstance(file, Entries) and (folder / file.name).exists()]
    if present and not overwrite:
        raise ConfigError(f"{folder} has a {present[0]} already: choose another --output, or use --overwrite")
    whole = [_merge(file, folder / file.name, overwrite) if isinstance(file, Entries) else file for file in files]
    temporary = folder / f".export.{os.getpid()}.tmp"
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            written = [_write(file, temporary / file.name) for file in whole]
            for file in whole:
                (folder / file.name).parent.mkdir(parents=True, exist_ok=True)
                (temporary / file.name).replace(folder / file.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return [
        WrittenFile(folder / file.name, file.form if isinstance(file, RowTable) else None, rows)
        for file, rows in zip(whole, written, strict=True)
    ]


def _merge(file: Entries, path: Path, overwrite: bool) -> TextFile:
    """Return the file with the entries that it has already and the new ones."""
    try:
        existing = parse_json(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        existing = {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} can't be added to: {error}; repair it, or choose another --output") from None
    if not isinstance(existing, dict):
        raise ConfigError(f"{path} can't be added to: it is no JSON object; choose another --output")
    taken = [name for name, entry in file.entries.items() if name in existing and existing[name] != entry]
    if taken and not overwrite:
        raise ConfigError(f"{path} has another {taken[0]}: rename that, choose another --output, or use --overwrite")
    return TextFile(file.name, json.dumps({**existing, **file.entries}, indent=2) + "\n")


def _write(file: RowTable | TextFile, path: Path) -> int:
    """Write a file and return its number of rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(file, TextFile):
        path.write_text(file.content, encoding="utf-8")
        return 0
    if path.suffix == ".parquet":
        return _write_parquet(file.rows, path)
    count = 0
    with path.open("w", encoding="ascii") as lines:  # ASCII escapes Unicode line separators, which could split rows
        for row in file.rows:
            lines.write(json.dumps(row) + "\n")
            count += 1
    return count


def _write_parquet(rows: Iterable[Columns], path: Path) -> int:
    try:
        import pyarrow  # type: ignore[import-untyped]
        from pyarrow import parquet
    except ImportError:
        raise ConfigError('Parquet needs the extra "datasets": pip install "autoif[datasets]"') from None
    try:
        table = pyarrow.Table.from_pylist(list(rows))
    except pyarrow.ArrowException as error:
        raise ConfigError(f"{path.name}: a column holds values of several types: {error}") from None
    parquet.write_table(table, path)
    return int(table.num_rows)
