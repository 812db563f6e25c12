"""§3.3, the pool of user queries that instructions are joined with.

In:      a text file, JSON lines, a ShareGPT dump, a `datasets` name, or the queries of this package.
Out:     the queries in their order, each once.
Dropped: not longer than `min_chars` or not shorter than `max_chars`, not in the language, not text, or there before.
         The paper takes first user turns of ShareGPT, in English, with 20 < length < 300.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

from autoif.errors import ConfigError
from autoif.language import count_non_text
from autoif.queries.language import check_language, is_written_in
from autoif.queries.sources import read_queries
from autoif.records import Dropped, Query, Reason

STAGE = "queries"

_DETAIL_CHARS = 120


@dataclass(frozen=True, slots=True)
class Pool:
    """The queries of a source, in its order, and what was dropped from it."""

    kept: list[Query]
    dropped: list[Dropped]
    """Each with the beginning of its text and not with all of it: most of a dump is dropped."""


def load_queries(source: str | None, *, min_chars: int = 20, max_chars: int = 300, language: str = "en") -> Pool:
    """Return the queries of a source with `min_chars` < length < `max_chars` in a language ("" for any).

    Args:
        source: A `.txt` (one query a line), `.jsonl` or `.json` file, a folder or name for `datasets`
            (`hf:NAME[:split[:column]]`), or None for the queries of this package.

    Raises:
        ConfigError: the source is missing, can't be read, or has no query that passes.
    """
    if language:
        check_language(language)
    if source is None:
        with resources.as_file(resources.files("autoif.queries") / "queries.txt") as packaged:
            return load_queries(str(packaged), min_chars=min_chars, max_chars=max_chars, language=language)
    pool = _sift(read_queries(source), (min_chars, max_chars), language)
    if not pool.kept:
        counts = Counter(dropped.reason.value for dropped in pool.dropped)
        found = ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common()) or "it is empty"
        raise ConfigError(f"queries {source}: none with {min_chars} < length < {max_chars} in {language!r}: {found}")
    return pool


def _sift(texts: Iterable[str], chars: tuple[int, int], language: str) -> Pool:
    kept: dict[str, Query] = {}
    dropped: list[Dropped] = []
    for text in texts:
        reason = _fault(text, chars, language, kept)
        if reason is None:
            kept[text] = Query.of(text)
        else:
            dropped.append(
                Dropped(stage=STAGE, reason=reason, record_id=Query.of(text).id, detail=ascii(text[:_DETAIL_CHARS]))
            )
    return Pool(kept=list(kept.values()), dropped=dropped)


def _fault(text: str, chars: tuple[int, int], language: str, kept: dict[str, Query]) -> Reason | None:
    """Tell why a text is no query of the pool, if it isn't; the costly question comes last."""
    if not text:
        return Reason.EMPTY
    if len(text) <= chars[0]:
        return Reason.TOO_SHORT
    if len(text) >= chars[1]:
        return Reason.TOO_LONG
    if count_non_text(text):
        return Reason.NOT_TEXT
    if text in kept:
        return Reason.DUPLICATE_EXACT
    if language and not is_written_in(text, language):
        return Reason.WRONG_LANGUAGE
    return None
