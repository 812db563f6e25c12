"""§3.3, the pool of user queries that instructions are joined with.

In:      a file of rows, a run folder, a `datasets` name, or the queries of this package.
Out:     the queries in their order, each once.
Dropped: queries that are not longer than `min_chars` or not shorter than `max_chars`, in another language, not text,
         repeated, a prompt of a benchmark (`benchmark_prompt`), or about a context that is no text, such as an image.
         A context that is text is appended to its query, as in Alpaca's prompts.
         The paper takes first user turns of ShareGPT, in English, with 20 < length < 300.

Languages are identified by py3langid's probabilities, not by its first guess, which errs on short questions about
foreign names (docs/queries.md).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from autoif.benchmark_wordings import is_prompt
from autoif.errors import ConfigError
from autoif.messages import list_counts
from autoif.models.text import is_sound_text
from autoif.queries.sources import read_queries
from autoif.reading.row_texts import RowText
from autoif.records import Dropped, Query, Reason

STAGE = "queries"
MAX_DROPPED = 100_000
_DETAIL_CHARS = 120
_PACKAGED_LANGUAGE = "en"
"""The language of the package's own queries: they need no identifier, which takes a second to load."""
MIN_RATIO = 0.2
"""A text counts as written in a language that is at least this fraction as probable as the most probable one. It is a
ratio because no language is probable for code and formulas."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The queries of a source, in its order, and what was dropped from it."""

    kept: list[Query] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    """The first `MAX_DROPPED`, each with the beginning of its text: most of a dump is dropped."""
    reasons: Counter[Reason] = field(default_factory=Counter)
    """How many were dropped in all, by reason."""

    def describe(self) -> str:
        """Return the counts as a line for reading."""
        whole = len(self.kept) + self.reasons.total()
        return f"{len(self.kept):,} of {whole:,} kept; dropped: {list_counts(self.reasons)}"


def load_queries(source: str | None, *, min_chars: int = 20, max_chars: int = 300, language: str = "en") -> Pool:
    """Return the queries of a source (`read_queries`), or of this package, with `min_chars` < length < `max_chars` in a
    language ("" for any). Raises ConfigError: the source can't be read, or has no query that passes."""
    if source is None and language == _PACKAGED_LANGUAGE:
        language = ""
    if language:
        check_language(language)
    if source is None:
        with resources.as_file(resources.files("autoif.queries") / "queries.txt") as packaged:
            return load_queries(str(packaged), min_chars=min_chars, max_chars=max_chars, language=language)
    pool = _sift(read_queries(source), (min_chars, max_chars), language)
    if not pool.kept:
        found = list_counts(pool.reasons) if pool.reasons else "it is empty"
        hint = '; augmentation.language = "" takes every language' if pool.reasons[Reason.WRONG_LANGUAGE] else ""
        if pool.reasons[Reason.TOO_SHORT] or pool.reasons[Reason.TOO_LONG]:
            hint += "; augmentation.min_chars and augmentation.max_chars set the lengths"
        written = f" in {language!r}" if language else ""
        raise ConfigError(f"queries {source}: none with {min_chars} < length < {max_chars}{written}: {found}{hint}")
    return pool


def _sift(queries: Iterable[RowText], chars: tuple[int, int], language: str) -> Pool:
    kept: dict[str, Query] = {}
    dropped: list[Dropped] = []
    reasons = Counter[Reason]()
    for query in queries:
        text = query.whole
        reason = Reason.NEEDS_CONTEXT if query.unreadable else _fault(text, chars, language, kept)
        if reason is None:
            kept[text] = Query.of(text)
            continue
        reasons[reason] += 1
        if len(dropped) < MAX_DROPPED:
            detail = ascii(text[:_DETAIL_CHARS])
            dropped.append(Dropped(stage=STAGE, reason=reason, record_id=Query.of(text).id, detail=detail))
    return Pool(list(kept.values()), dropped, reasons)


def _fault(text: str, chars: tuple[int, int], language: str, kept: dict[str, Query]) -> Reason | None:
    """Return why a text can't be in the pool, None if it can; the costly check comes last."""
    if not text:
        return Reason.EMPTY
    if len(text) <= chars[0]:
        return Reason.TOO_SHORT
    if len(text) >= chars[1]:
        return Reason.TOO_LONG
    if not is_sound_text(text):
        return Reason.NOT_TEXT
    if text in kept:
        return Reason.DUPLICATE_EXACT
    if is_prompt(text):
        return Reason.BENCHMARK_PROMPT
    if language and not is_written_in(text, language):
        return Reason.WRONG_LANGUAGE
    return None


def check_language(language: str) -> None:
    """Refuse a language code that the identifier doesn't know. Raises ConfigError: names the code."""
    if language not in _identifier().labels:
        raise ConfigError(f'unknown language {language!r}: use an ISO 639 code such as "en", or "" for all languages')


def is_written_in(text: str, language: str) -> bool:
    """Tell whether a text is, or may well be, in this language. Costs about 0.1 ms for a short text."""
    ranked = _identifier().rank(text)
    return bool(dict(ranked)[language] >= MIN_RATIO * ranked[0][1])


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # loading takes about a second

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
