"""Recordings: a run's model answers in one small file, to keep in version control and replay without a model.

A recording is a `.jsonl.xz` file: a header line with the format, then a line per completion, ordered by key and sample
index, so that the same completions always give the same bytes. Prompts are not in it: a request finds its answers by
its hash (`request_key`).
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
"""Limit for one completion with its reasoning."""
_KEY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a recording holds."""

    completions: int
    conflicts: int
    """Completions that differ between the given runs; the recording has those of the first run."""


def export_recording(cache_paths: Sequence[Path], out: Path, *, overwrite: bool = False) -> Recorded:
    """Write all completions of these runs' caches to one file, whole or not at all.
    Raises StoreError: a cache is missing, `out` exists already, or it can't be written."""
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
    """Write sorted rows, only the first of those with the same key and sample index."""
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
    """Add a recording's completions to a cache; return how many the recording holds.

    `recording` may also be a completions file, even a damaged one: whatever can be read of it is added.
    """
    if is_database(recording):
        return _salvage(recording, cache_path)
    for _ in _read(recording):
        pass  # read it once before adding anything, so that a damaged recording leaves the cache unchanged
    with CompletionCache(cache_path) as cache:
        return cache.insert_all(_read(recording))


def _salvage(database: Path, cache_path: Path) -> int:
    with CompletionCache(cache_path) as cache:
        if not (count := cache.insert_all(salvage_rows(database))):
            raise StoreError(f"{database} holds no answer that can be read: bring it back from a copy")
        cache.note(f"{count:,} answers were read from {database}")
    return count


def _read(recording: Path) -> Iterator[CompletionRow]:
    """Yield the rows one by one. A file that unpacks to suspiciously much is refused (`text_lines.py`)."""
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
