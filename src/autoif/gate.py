"""Finds answers that pass verification functions without answering anything, which a training must not reward.

"Don't use the letter e" accepts an empty text, "use an exclamation mark" accepts "!!!", "at least 40 words" one word
forty times, and "mention the word X" the instruction itself. §3.3 also scores quality. A reward of functions alone
(§3.4's online training) doesn't, and a policy finds such answers. `find_fault` names their fault.

In doubt it finds none: a right answer without a reward does more harm than a bad one that slips through.
benchmarks/gate.py measures both on answers of people and models.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from autoif.models.requests import Completion


class Fault(StrEnum):
    """Why an answer earns no reward, whatever its functions say."""

    EMPTY = "empty"
    """No word, number or pictograph: blank, or only punctuation, markup and white space."""
    COPIED = "copied"
    """The prompt or a part of it, given back: whole, in most of its words, or its beginning."""
    DEGENERATE = "degenerate"
    """The same words, lines or letters over and over, or letters that make no words."""
    ONLY_REASONING = "only_reasoning"
    """A thought, and no answer after it."""
    UNFINISHED_REASONING = "unfinished_reasoning"
    """A thought that never ends."""


COPY_WORDS: Final = 6
"""The shortest stretch that counts as copied from the prompt. Phrases that an answer has to quote are shorter."""
COPY_SHARE: Final = 0.8
"""An answer with this share of its words in such stretches is a copy, if one of them begins the prompt or a part."""
COPY_EQUAL_WORDS: Final = 3
"""If answer or source is shorter than `COPY_WORDS`, an answer of this many words is a copy if both are equal."""

LOOP_WORDS: Final = 24
"""Shorter texts may repeat: "no, no, no" and a word written ten times on request."""
LOOP_GRAM: Final = 4
LOOP_DISTINCT: Final = 0.3
"""The share of different runs of `LOOP_GRAM` words below which a text is a loop. Songs have 0.4 and more."""
LOOP_TAIL_WORDS: Final = 100
"""The last words of a longer text are also checked by themselves, as many loops begin well."""

TOKEN_CHARS: Final = 40
"""Runs of letters longer than this are no words of a language that puts spaces between them."""
TOKEN_DISTINCT: Final = 0.3
"""The share of different runs of four letters below which such a run is a loop."""

CLUSTER_COUNT: Final = 10
"""At least this many runs of five consonants, and …"""
CLUSTER_SHARE: Final = 0.3
"""… at least this many for each word make gibberish. Words such as "strengths" and "Angstschweiß" are rare."""

# Scripts without spaces between words: each character counts as one.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_ASCII_WORD = re.compile(r"[a-z0-9]+")
_REPEAT = re.compile(r"(?<!not )(?<!n't )(?<!never )\b(?:repeat|copy|copying|restate|echo|verbatim|word for word)\b")
_CLUSTER = re.compile(r"[bcdfghjklmnpqrstvwxz]{5}")
_LETTERS = re.compile(rf"[^\W\d_]{{{TOKEN_CHARS},}}")
_MORSE = re.compile(r"[.·•∙\-–—_/|\s]*")

Gram = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Source:
    """A prompt or a part of it, split into words."""

    words: tuple[str, ...]
    grams: frozenset[Gram]
    """Its runs of `COPY_WORDS` words."""
    wants_copy: bool
    """Whether it asks to repeat something."""


def find_unanswered(completion: Completion) -> Fault | None:
    """Return the fault of a completion with a thought and no answer after it, which nothing can judge; else None."""
    if completion.text.strip() or not completion.reasoning:
        return None
    return Fault.UNFINISHED_REASONING if completion.finish_reason == "length" else Fault.ONLY_REASONING


def find_fault(text: str, prompt: str = "", *parts: str) -> Fault | None:
    """Return what makes an answer worthless in training, or None.

    `parts` are the parts of the prompt: the instruction and the query. An answer may quote the prompt, restate the
    question, and repeat itself as poems, tables and code do. If the prompt asks to repeat something, only an answer
    that adds nothing is a copy. Raises TypeError: an argument is no text.
    """
    for each in (text, prompt, *parts):
        if not isinstance(each, str):
            raise TypeError(f"find_fault takes texts (str), not {each!r:.80}: of messages, their contents")
    folded = text.casefold()
    words = _split(folded)
    if not words:
        return None if _has_signs(text) else Fault.EMPTY
    sources = [_read_source(source) for source in (prompt, *parts) if source]
    wants_copy = any(source.wants_copy for source in sources)
    if any(_is_copy(words, source, 1.0 if wants_copy else COPY_SHARE) for source in sources):
        return Fault.COPIED
    if _is_loop(words) or _is_run(text, words) or _is_gibberish(folded, words):
        return Fault.DEGENERATE
    return None


def _split(folded: str) -> list[str]:
    return (_ASCII_WORD if folded.isascii() else _WORD).findall(folded)


def _has_signs(text: str) -> bool:
    """Tell whether a text without words says something in pictographs or in Morse code."""
    if any(unicodedata.category(char) == "So" for char in text):
        return True
    return len(set(text.split())) >= 4 and _MORSE.fullmatch(text) is not None


@lru_cache(maxsize=256)  # all completions of a prompt come together
def _read_source(source: str) -> _Source:
    folded = source.casefold()
    words = _split(folded)
    return _Source(tuple(words), frozenset(_grams(words, COPY_WORDS)), _REPEAT.search(folded) is not None)


def _grams(words: Sequence[str], length: int) -> Iterator[Gram]:
    return zip(*(words[start:] for start in range(length)), strict=False)


def _is_copy(words: list[str], source: _Source, wanted: float) -> bool:
    if len(words) < COPY_WORDS or len(source.words) < COPY_WORDS:
        return len(words) >= COPY_EQUAL_WORDS and tuple(words) == source.words
    grams = list(_grams(words, COPY_WORDS))
    if source.words[:COPY_WORDS] not in grams:
        return False
    covered, end = 0, 0
    for start, gram in enumerate(grams):
        if gram in source.grams:
            covered += start + COPY_WORDS - max(start, end)
            end = start + COPY_WORDS
    return covered >= wanted * len(words)


def _is_loop(words: list[str]) -> bool:
    if len(words) < LOOP_WORDS:
        return False
    count = len(words) - LOOP_GRAM + 1
    if len(set(_grams(words, LOOP_GRAM))) < LOOP_DISTINCT * count:
        return True
    return len(words) > LOOP_TAIL_WORDS and _is_loop(words[-LOOP_TAIL_WORDS:])


def _is_run(text: str, words: list[str]) -> bool:
    """Tell whether half a text is one run of letters that repeats itself."""
    if max(map(len, words)) < TOKEN_CHARS:
        return False
    run = max(_LETTERS.findall(text), key=len, default="")
    grams = [run[start : start + 4] for start in range(min(len(run) - 3, 10 * TOKEN_CHARS))]
    return 2 * len(run) >= len(text) and len(set(grams)) < TOKEN_DISTINCT * len(grams)


def _is_gibberish(folded: str, words: list[str]) -> bool:
    clusters = len(_CLUSTER.findall(folded))
    return clusters >= CLUSTER_COUNT and clusters >= CLUSTER_SHARE * len(words)
