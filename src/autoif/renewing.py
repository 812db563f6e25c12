"""Decides which existing file a command may replace: only an earlier result of the same kind.

A command that is run again replaces its earlier result. Before any work it refuses to replace a file that it did not
make or that it reads. An empty file may always be replaced. Of a link, the target is replaced. Most results
are renamed into place once they are whole, so they can't go into a pipe or a device.

The content of a file tells its kind, not its name. What can't be made again for free, such as a recording of answers
that were paid for, is replaced only with `--overwrite`.
"""

import lzma
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoif.errors import ConfigError
from autoif.reading.json_text import parse_json

_MAX_HEAD_BYTES = 64_000_000
"""Far more than a figure, a sweep or a row needs."""
_MAX_HEADER_BYTES = 1_000
"""More than the first line of a recording needs."""
_PAGE = (
    b'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    b'<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; script-src '
)
"""How every page begins (page/assets/page.html)."""
_FIGURES = {
    b"<?xml": b"<dc:title>autoif</dc:title>",
    b"\x89PNG": b"Software\0autoif",
    b"%PDF": b"/Creator (autoif)",
}
"""The mark of autoif's figures (figures/style.py), by how the file begins."""
_MARKDOWN, _MARKDOWN_LINES = b"**Scores", (b"**", b"|", b"* ")
_LATEX, _LATEX_END = b"% Needs \\usepackage{booktabs}.\n\\begin{table*}", b"\\end{itemize}\n"
"""How files of tables begin, continue and end (report/tables.py). A file with anything else in it is not replaced."""


@dataclass(frozen=True, slots=True)
class ResultKind:
    """One kind of result."""

    name: str
    """As in "no figure of autoif"."""
    is_own: Callable[[bytes], bool]
    """Recognises it by a file's beginning, at most `_MAX_HEAD_BYTES`."""
    flows: bool = False
    """Whether it is written piece by piece, so that it can go into a pipe or a device, too."""


def _is_object(text: bytes, names: frozenset[str]) -> bool:
    found: Any = None
    with suppress(ValueError):
        found = parse_json(text.decode("utf-8"))
    return isinstance(found, dict) and found.keys() >= names


def _whole_with(*names: str) -> Callable[[bytes], bool]:
    """Return a test for a file that is a JSON object with these keys."""
    return lambda head: _is_object(head, frozenset(names))


def _rows_with(*names: str) -> Callable[[bytes], bool]:
    """Return a test for a file whose first line is a JSON object with these keys."""
    return lambda head: _is_object(head.partition(b"\n")[0], frozenset(names))


def _is_figure(head: bytes) -> bool:
    return any(head.startswith(start) and maker in head for start, maker in _FIGURES.items())


def _is_recording(head: bytes) -> bool:
    try:
        text = lzma.LZMADecompressor().decompress(head, max_length=_MAX_HEADER_BYTES)
    except (lzma.LZMAError, EOFError):
        return False
    return text.startswith(b'{"format": "autoif-recording"')


def _is_table(head: bytes) -> bool:
    if head.startswith(_MARKDOWN):
        return all(not line or line.startswith(_MARKDOWN_LINES) for line in head.split(b"\n"))
    return head.startswith(_PAGE) or (head.startswith(_LATEX) and head.endswith(_LATEX_END))


FIGURE = ResultKind("figure of autoif", _is_figure)
PAGE = ResultKind("page of autoif", lambda head: head.startswith(_PAGE))
PAGE_DATA = ResultKind("data of a page of autoif", lambda head: head.startswith(b'autoif.give("'))
TABLES = ResultKind("file of `autoif compare`", _is_table)
SWEEP = ResultKind("file of `autoif replay`", _whole_with("run", "status", "keys", "own", "points"))
VERDICTS = ResultKind(
    "file of `autoif verify`", _rows_with("function", "response", "verdict", "detail", "seconds"), flows=True
)
INSTRUCTIONS = ResultKind(
    "file of verified instructions", _rows_with("id", "instruction", "matrix", "kept_functions", "kept_cases")
)
DROPPED = ResultKind("file of what autoif dropped", _rows_with("stage", "reason", "record_id", "detail", "record"))
PROMPTS = ResultKind("file of `autoif prompts`", _rows_with("prompt", "constraints", "query", "query_id"))
RECORDING = ResultKind("recording of `autoif record`", _is_recording)
CONTAMINATION_REPORT = ResultKind(
    "report of `autoif contamination`", _whole_with("ngram", "training", "contaminated_rows", "benchmarks")
)
NEAREST_PROMPTS = ResultKind(
    "file of `autoif contamination`", _rows_with("benchmark", "id", "prompt", "overlaps", "nearest")
)
CONTAMINATED_ROWS = ResultKind("file of `autoif contamination`", _rows_with("row", "shared"))


def find_place(path: Path, kind: ResultKind) -> Path:
    """Return where to write a result: the target of `path` if it is a link, else `path` itself.

    Raises ConfigError: something exists there that is no result of this kind. StoreError: it is a folder or unreadable.
    """
    from autoif.runs.whole_files import storage_errors  # imported here to keep --help fast

    if path.exists() and not (path.is_file() or path.is_dir()):
        if kind.flows:
            return path
        raise ConfigError(f"{path} is a pipe or a device, whose place no file takes: name a file")
    place = Path(os.path.realpath(path)) if path.is_symlink() else path
    head = b""
    if place.exists():
        with storage_errors(place), place.open("rb") as file:
            head = file.read(_MAX_HEAD_BYTES)
    if head and not kind.is_own(head):
        raise ConfigError(f"{path} is there and is no {kind.name}, so it isn't replaced: move it away, or name another")
    return place
