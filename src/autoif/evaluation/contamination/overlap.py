"""Overlap word for word: runs of n words (13, as in the paper) that a prompt and a training text have in common.

A prompt of fewer than n words has no such run. It overlaps where a user turn of the training data is the same prompt,
word for word; how many prompts are so short is told.
"""

from collections.abc import Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from autoif.evaluation.contamination.words import Encoded, Ids

Pairs = NDArray[np.int64]
"""(text, prompt) pairs, shape (pairs, 2)."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class Runs:
    """The runs of n words of all prompts, to be looked for in training texts."""

    def __init__(self, prompts: Encoded, n: int) -> None:
        """Index the runs.

        Args:
            prompts: the prompts' words.
            n: words of a run.
        """
        self.n = n
        owners = prompts.owners
        starts = np.arange(max(0, len(prompts.ids) - n + 1))
        starts = starts[owners[starts] == owners[starts + n - 1]]
        hashes = hash_runs(prompts.ids, n)[starts]
        order = np.argsort(hashes, kind="stable")
        self._owners = owners[starts[order]]
        self._known, self._first, self._counts = np.unique(hashes[order], return_index=True, return_counts=True)
        self._runs = _view(prompts.ids, n)[starts[order][self._first]] if len(starts) else np.empty((0, n), np.int32)

    def find(self, texts: Encoded) -> Pairs:
        """Return which texts have a run of which prompts, each pair once."""
        if not len(self._known) or len(texts.ids) < self.n:
            return np.empty((0, 2), np.int64)
        hashes = hash_runs(texts.ids, self.n)
        places = np.minimum(np.searchsorted(self._known, hashes), len(self._known) - 1)
        starts = np.flatnonzero(self._known[places] == hashes)
        places = places[starts]
        owners = np.searchsorted(texts.ends, starts, side="right")
        within = starts + self.n <= texts.ends[owners]
        same = (_view(texts.ids, self.n)[starts] == self._runs[places]).all(axis=1)  # and not by chance of the hash
        found = np.unique(np.stack([owners, places], axis=1)[within & same], axis=0)
        counts = self._counts[found[:, 1]]
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        prompts = self._owners[np.repeat(self._first[found[:, 1]], counts) + offsets]
        return np.unique(np.stack([np.repeat(found[:, 0], counts), prompts], axis=1), axis=0)


def hash_runs(ids: Ids, n: int) -> NDArray[np.uint64]:
    """Return a hash of each n numbers that follow one another, shape (max(0, len(ids) - n + 1),)."""
    count = max(0, len(ids) - n + 1)
    mixed = ids.astype(np.uint64) + np.uint64(1)
    mixed *= _FACTOR
    mixed ^= mixed >> np.uint64(29)
    total = np.zeros(count, np.uint64)
    for offset in range(n):
        total *= _FACTOR
        total += mixed[offset : offset + count]
    return total


def find_whole(prompts: Mapping[bytes, list[int]], texts: Encoded, n: int) -> Pairs:
    """Return which texts of fewer than n words are which short prompts, word for word."""
    pairs = [
        (text, prompt)
        for text in np.flatnonzero(texts.lengths < n).tolist()
        for prompt in prompts.get(texts.words_of(text).tobytes(), ())
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)


def index_short(prompts: Encoded, n: int) -> dict[bytes, list[int]]:
    """Return the prompts of fewer than n words, by their words; one without any is like no other."""
    found: dict[bytes, list[int]] = {}
    for prompt in np.flatnonzero((prompts.lengths < n) & (prompts.lengths > 0)).tolist():
        found.setdefault(prompts.words_of(prompt).tobytes(), []).append(prompt)
    return found


def _view(ids: Ids, n: int) -> NDArray[np.int32]:
    return sliding_window_view(ids, n)
