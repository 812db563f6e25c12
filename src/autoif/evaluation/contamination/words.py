"""Texts as words, and words as numbers.

A word is a run of letters, digits and underscores, in lower case; each Chinese or Japanese character is a word, as
these scripts have no spaces.
"""

import re
from collections.abc import Sequence
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int32]

_WORD = re.compile(r"\w+")
_CHARACTERS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_HAS_CHARACTERS = re.compile(f"[{_CHARACTERS}]")
_WORD_OR_CHARACTER = re.compile(rf"[{_CHARACTERS}]|[^\W{_CHARACTERS}]+")


def split_words(text: str) -> list[str]:
    """Return the words of a text, in order."""
    pattern = _WORD if text.isascii() or not _HAS_CHARACTERS.search(text) else _WORD_OR_CHARACTER
    return pattern.findall(text.lower())


class Vocabulary(dict[str, int]):
    """Numbers for words, from 0, in the order in which they are asked for."""

    def __missing__(self, word: str) -> int:
        self[word] = number = len(self)
        return number

    def encode(self, texts: Sequence[str]) -> "Encoded":
        """Return the words of texts as numbers."""
        words = [split_words(text) for text in texts]
        ends = np.cumsum([len(each) for each in words], dtype=np.int64)
        count = int(ends[-1]) if len(ends) else 0
        ids = np.fromiter(map(self.__getitem__, chain.from_iterable(words)), np.int32, count)
        return Encoded(ids, ends)


class Encoded:
    """Texts one after another: `ids` of their words, shape (words,), and where each text ends, shape (texts,)."""

    def __init__(self, ids: Ids, ends: NDArray[np.int64]) -> None:
        self.ids = ids
        self.ends = ends

    def __len__(self) -> int:
        return len(self.ends)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Words of each text."""
        return np.diff(self.ends, prepend=0)

    @property
    def owners(self) -> NDArray[np.int64]:
        """The text of each word."""
        return np.repeat(np.arange(len(self.ends)), self.lengths)

    def select(self, texts: Sequence[int]) -> "Encoded":
        """Return some of the texts, in the order given."""
        parts = [self.words_of(text) for text in texts]
        ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        return Encoded(np.concatenate(parts) if parts else np.empty(0, np.int32), ends)

    def words_of(self, text: int) -> Ids:
        """Return the numbers of one text's words."""
        return self.ids[self.ends[text] - self.lengths[text] : self.ends[text]]
