"""A run's model answers as one small file that can be kept in version control and replayed without a model.

`.jsonl.xz`: a line with the format, then one per completion, ordered by key and sample index, so that the same
completions make the same bytes. Prompts are not in it: a request finds its answers by its hash (`request_key`).
"""

import heapq
import json
import lzma
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from autoif.errors import StoreError
from autoif.models.answer_rows import CompletionRow, read_logprobs, read_row, write_row
from autoif.models.cache import CompletionCache
from autoif.models.salvage import is_database, salvage_rows
from autoif.reading.json_text import load_json
from autoif.reading.text_lines import UnreadableText, cut_lines, open_text
from autoif.runs.store import COMPLETIONS
from autoif.runs.whole_files import replacing, storage_errors

_HEADER = {"format": "autoif-recording", "version": 2}
_MAX_LINE_BYTES = 16_000_000
"""Of one completion with its thought."""
_KEY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a recording holds."""

    completions: int
    conflicts: int
    """Completions that the given runs have differently: those of the first run are in the recording."""


def export_recording(cache_paths: Sequence[Path], out: Path, *, overwrite: bool = False) -> Recorded:
    """Write all completions of these runs' caches to one file, whole or not at all.
    Raises StoreError: there is no such cache, `out` is there already, or it can't be written."""
    for path in cache_paths:
        if not path.is_file():
            raise StoreError(f"{path} is not there: name a run folder that has a {COMPLETIONS}")
    if out.exists() and not overwrite:
        raise StoreError(f"{out} is there already: choose another --output, or use --overwrite")
    with ExitStack() as caches, storage_errors(out), replacing(out) as temporary:
        rows = [caches.enter_context(CompletionCache(path)).rows() for path in cache_paths]
        with lzma.open(temporary, "wt", encoding="ascii", newline="\n", preset=9) as file:
            return _write(heapq.merge(*rows, key=_place), file)


def _write(rows: Iterable[CompletionRow], file: IO[str]) -> Recorded:
    """Write rows in order of their places; of several for one place the first."""
    file.write(json.dumps(_HEADER) + "\n")
    completions = conflicts = 0
    last: CompletionRow | None = None
    for row in rows:
        if last is not None and _place(last) == _place(row):
            conflicts += last.text != row.text
            continue
        last = row
        file.write(write_row(row))
        completions += 1
    return Recorded(completions, conflicts)


def _place(row: CompletionRow) -> tuple[str, int]:
    return row.key, row.sample


def import_recording(recording: Path, cache_path: Path) -> int:
    """Put a recording's completions into a cache, beside those that are there, and return how many it holds.

    Of a completions file, damaged perhaps, all that can be read.
    """
    if is_database(recording):
        return _salvage(recording, cache_path)
    for _ in _read(recording):
        pass  # read twice, so that a damaged one leaves the cache as it is
    with CompletionCache(cache_path) as cache:
        return cache.insert_all(_read(recording))


def _salvage(database: Path, cache_path: Path) -> int:
    with CompletionCache(cache_path) as cache:
        if not (count := cache.insert_all(salvage_rows(database))):
            raise StoreError(f"{database} holds no answer that can be read: bring it back from a copy")
        cache.note(f"{count:,} answers were read from {database}")
    return count


def _read(recording: Path) -> Iterator[CompletionRow]:
    """Yield the rows, one in memory at a time. What unpacks to far more than text does is refused (text_lines.py)."""
    try:
        with open_text(recording) as file:
            lines = (line for _, line in cut_lines(file, _MAX_LINE_BYTES))
            if load_json(next(lines, "")) != _HEADER:
                raise ValueError("it does not begin as one")
            for line in lines:
                row = read_row(line)
                if not _KEY.fullmatch(row.key):
                    raise ValueError("a key of another form")
                if row.logprobs:
                    read_logprobs(row.logprobs)
                yield row
    except FileNotFoundError:
        raise StoreError(f"{recording} is not there: name a recording made from a run folder") from None
    except (OSError, UnreadableText, ValueError) as error:
        raise StoreError(f"{recording} is damaged or no recording ({error}): bring it back from a copy") from error
