"""Verbatim overlap: runs of n words (13, as in the paper) that a prompt and a training text share.

A word is a run of letters, digits and underscores, in lower case; each Chinese or Japanese character is a word. A
prompt of fewer than n words overlaps if a user turn of the training data has the same words.
"""

import re
from collections.abc import Iterable, Sequence

_WORD = re.compile(r"\w+")
_CHARACTERS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_HAS_CHARACTERS = re.compile(f"[{_CHARACTERS}]")
_WORD_OR_CHARACTER = re.compile(rf"[{_CHARACTERS}]|[^\W{_CHARACTERS}]+")
_Words = tuple[str, ...]


def split_words(text: str) -> list[str]:
    """Return the words of a text, in order."""
    pattern = _WORD if text.isascii() or not _HAS_CHARACTERS.search(text) else _WORD_OR_CHARACTER
    return pattern.findall(text.lower())


class PromptWords:
    """An index of the prompts of benchmarks by their runs of n words. Prompts are given by their position."""

    def __init__(self, prompts: Sequence[str], n: int) -> None:
        self._n = n
        self._runs: dict[_Words, set[int]] = {}
        self._whole: dict[_Words, set[int]] = {}
        self.short: set[int] = set()
        """Prompts of fewer than n words."""
        for index, prompt in enumerate(prompts):
            words = tuple(split_words(prompt))
            for run in _cut_runs(words, n):
                self._runs.setdefault(run, set()).add(index)
            if len(words) < n:
                self.short.add(index)
                self._whole.setdefault(words, set()).add(index)
        self._whole.pop((), None)  # a prompt without words matches nothing

    def find_runs(self, words: Sequence[str]) -> set[int]:
        """Return the prompts that have a run in common with a text."""
        return {prompt for run in self._runs.keys() & _cut_runs(words, self._n) for prompt in self._runs[run]}

    def find_whole(self, words: Sequence[str]) -> set[int]:
        """Return the short prompts that have the same words as a text."""
        return self._whole.get(tuple(words), set()) if len(words) < self._n else set()


def _cut_runs(words: Sequence[str], n: int) -> Iterable[_Words]:
    return zip(*(words[start:] for start in range(n)), strict=False)
