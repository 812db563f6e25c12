"""What a training reward must not pay for: answers that pass verification functions without answering anything.

A function judges form (§3.2), so "don't use the letter e" accepts an empty text, "use an exclamation mark" accepts
"!!!", "at least 40 words" accepts one word forty times, and "mention the word X" accepts the instruction itself. Data
made by §3.3 is safe from these, as a model scores each answer's quality; a reward of functions alone (§3.4's online
training) is not, and a policy finds such answers. `find_fault` names them, and where it names one, no reward is earned.

It is written to stay silent: a right answer that earns nothing teaches worse than a bad one that slips through, which
only the functions' own verdict rewards. benchmarks/gate.py measures both on answers of people and models.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Final


class Fault(StrEnum):
    """Why an answer earns no reward, whatever its functions say."""

    EMPTY = "empty"
    """No word, number or pictograph: blank, or only punctuation, markup and white space."""
    COPIED = "copied"
    """The prompt or a part of it, given back: whole, in most of its words, or its beginning."""
    DEGENERATE = "degenerate"
    """The same words, lines or letters over and over, or letters that make no words."""


COPY_WORDS: Final = 6
"""A stretch that an answer shares with the prompt counts as copied from this many words on: a required phrase that the
answer quotes is shorter, or is a small share of it."""
COPY_SHARE: Final = 0.8
"""The share of an answer's words in such stretches from which it may be a copy."""
COPY_REACH: Final = 0.5
"""It is one if it holds this share of the prompt or of a part, or begins as that does. What holds less of it picked
something out, as answers on a text do."""
COPY_EQUAL_WORDS: Final = 3
"""An answer of so few words is a copy only if it is the whole prompt or a whole part of it."""

LOOP_WORDS: Final = 24
"""Shorter texts may repeat: "no, no, no" and a word written ten times on request."""
LOOP_GRAM: Final = 4
LOOP_DISTINCT: Final = 0.3
"""The share of different runs of `LOOP_GRAM` words below which a text is a loop."""

TOKEN_CHARS: Final = 40
"""Runs of letters longer than this are no words of a language that puts spaces between them."""
TOKEN_DISTINCT: Final = 0.3
"""The share of different runs of four letters below which such a run is a loop."""

CLUSTER_WORDS: Final = 5
"""So many words with five consonants in a row, and …"""
CLUSTER_SHARE: Final = 0.25
"""… such a share of all words make gibberish; "strengths" and "Angstschweiß" are rare."""

# Scripts without spaces between words: each character counts as one.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_CLUSTER = re.compile(r"[bcdfghjklmnpqrstvwxz]{5}")
_LONG_TOKEN = re.compile(rf"[^\W\d_]{{{TOKEN_CHARS},}}")
_MORSE = re.compile(r"[.·•∙\-–—_/|\s]*")

Gram = tuple[str, ...]


def find_fault(text: str, prompt: str = "", *parts: str) -> Fault | None:
    """Return what makes an answer worthless in training, or None.

    `prompt` is what was asked, and `parts` what it is made of, where that is known: the instruction and the query.
    Without them no answer counts as a copy. An answer may quote the prompt, restate the question before it answers, and
    repeat itself as poems, tables and code do.
    """
    words = _WORD.findall(text.casefold())
    if not words:
        return None if _has_signs(text) else Fault.EMPTY
    if any(_is_copy(words, _read_source(source)) for source in (prompt, *parts) if source):
        return Fault.COPIED
    if _is_loop(words) or _has_loop_token(text, words) or _is_gibberish(words):
        return Fault.DEGENERATE
    return None


def _has_signs(text: str) -> bool:
    """Tell whether a text without words says something in pictographs or in Morse code."""
    if any(ord(char) > 0x2000 and char.isprintable() and not _MORSE.fullmatch(char) for char in text):
        return True
    return len(set(text.split())) >= 4 and _MORSE.fullmatch(text) is not None


@lru_cache(maxsize=256)  # all completions of a prompt come together
def _read_source(source: str) -> tuple[tuple[str, ...], frozenset[Gram]]:
    """Return a source's words and its runs of `COPY_WORDS` words."""
    words = _WORD.findall(source.casefold())
    return tuple(words), frozenset(_grams(words, COPY_WORDS))


def _grams(words: Sequence[str], length: int) -> list[Gram]:
    return list(zip(*(words[start:] for start in range(length)), strict=False))


def _is_copy(words: list[str], source: tuple[tuple[str, ...], frozenset[Gram]]) -> bool:
    asked, known = source
    if len(words) < COPY_WORDS or len(asked) < COPY_WORDS:
        return len(words) >= COPY_EQUAL_WORDS and tuple(words) == asked
    grams = _grams(words, COPY_WORDS)
    covered, end = 0, 0
    for start, gram in enumerate(grams):
        if gram in known:
            covered += start + COPY_WORDS - max(start, end)
            end = start + COPY_WORDS
    if covered < COPY_SHARE * len(words):
        return False
    return tuple(asked[:COPY_WORDS]) in grams[:COPY_WORDS] or len(known.intersection(grams)) >= COPY_REACH * len(known)


def _is_loop(words: list[str]) -> bool:
    if len(words) < LOOP_WORDS:
        return False
    grams = _grams(words, LOOP_GRAM)
    return len(set(grams)) < LOOP_DISTINCT * len(grams)


def _has_loop_token(text: str, words: list[str]) -> bool:
    """Tell whether half a text is one run of letters that repeats itself."""
    if max(map(len, words)) < TOKEN_CHARS:
        return False
    token = max(_LONG_TOKEN.findall(text), key=len, default="")[: 10 * TOKEN_CHARS]
    grams = [token[start : start + 4] for start in range(len(token) - 3)]
    return 2 * len(token) >= len(text) and len(set(grams)) < TOKEN_DISTINCT * len(grams)


def _is_gibberish(words: list[str]) -> bool:
    clusters = sum(1 for word in words if len(word) > 5 and _CLUSTER.search(word))
    return clusters >= CLUSTER_WORDS and clusters >= CLUSTER_SHARE * len(words)
