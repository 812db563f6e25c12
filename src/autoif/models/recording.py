"""A run's model answers as one small file that can be kept in version control and replayed without a model.

`.jsonl.xz`: a line with the format, then one line per completion, ordered by key and sample index: the same
completions make the same bytes, in whatever order they were given.
"""

import json
import lzma
from pathlib import Path

from pydantic import TypeAdapter

from autoif.errors import StoreError
from autoif.models.cache import CompletionCache, Row

_HEADER = {"format": "autoif-recording", "version": 1}
_ROWS_AT_ONCE = 1000
_ROW: TypeAdapter[Row] = TypeAdapter(Row)


def export_recording(cache_path: Path, out: Path) -> int:
    """Write all completions of a cache to `out` and return how many there are."""
    if not cache_path.is_file():
        raise StoreError(f"{cache_path} is not there: name a run folder that has a completions.sqlite")
    count = 0
    with CompletionCache(cache_path) as cache, lzma.open(out, "wt", encoding="ascii", newline="\n", preset=9) as file:
        file.write(json.dumps(_HEADER) + "\n")
        for row in cache.rows():
            file.write(json.dumps(row, separators=(",", ":")) + "\n")
            count += 1
    return count


def import_recording(recording: Path, cache_path: Path) -> int:
    """Put a recording's completions into a cache, beside those that are there, and return how many it holds."""
    rows = _read(recording)
    with CompletionCache(cache_path) as cache:
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            cache.insert(rows[start : start + _ROWS_AT_ONCE])
    return len(rows)


def _read(recording: Path) -> list[Row]:
    try:
        with lzma.open(recording, "rt", encoding="ascii") as file:
            header, *lines = file
        if json.loads(header) != _HEADER:
            raise ValueError("it does not begin as one")
        return [_ROW.validate_json(line, strict=True) for line in lines]
    except FileNotFoundError:
        raise StoreError(f"{recording} is not there: name a recording made from a run folder") from None
    except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
        raise StoreError(f"{recording} is damaged or no recording ({error}): bring it back from a copy") from error
