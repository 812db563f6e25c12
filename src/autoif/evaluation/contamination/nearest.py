"""The training prompts that are most like each prompt of a benchmark: cosine of their words, each by its rarity.

A word counts (1 + ln of its occurrences in the text) times (1 + ln of (1 + texts) / (1 + texts with it)), over all
training prompts and prompts of benchmarks; vectors have length 1. The search is exact: every pair is compared.

Most of that work would be for words that are everywhere. Blocks of training texts are therefore multiplied in two ways:
words that many texts of both sides have as a dense matrix, the others pair by pair.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoif.evaluation.contamination.words import Encoded

Scores = NDArray[np.float32]
_BLOCK = 16_384
"""Training texts that are compared at once: with 1,700 prompts their scores take 110 MB."""
_DENSE = 128
"""A word is multiplied as a part of the matrix if more than one pair of texts in so many has it on both sides."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """The k texts that are most like each prompt, the most similar first; of equals the one that was first."""

    texts: NDArray[np.int64]
    """Shape (prompts, k); −1 where there are fewer texts, or where no text has a word in common."""
    scores: Scores
    """Shape (prompts, k); 0 to 1."""


@dataclass(frozen=True, slots=True)
class _Vectors:
    """The words of texts with their weights: an entry for each word of each text, by text."""

    texts: NDArray[np.int64]
    words: NDArray[np.int64]
    weights: Scores

    def part(self, start: int, end: int) -> "_Vectors":
        """Return the vectors of these texts, counted from `start`."""
        low, high = np.searchsorted(self.texts, [start, end])
        return _Vectors(self.texts[low:high] - start, self.words[low:high], self.weights[low:high])

    def by_word(self) -> "_Vectors":
        """Return the same entries by word."""
        order = np.argsort(self.words, kind="stable")
        return _Vectors(self.texts[order], self.words[order], self.weights[order])


def find_nearest(prompts: Encoded, texts: Encoded, words: int, k: int) -> Nearest:
    """Return the k training texts that are most like each prompt.

    Args:
        prompts: those of benchmarks.
        texts: those of training data, each once.
        words: how many words there are numbers for.
        k: how many to find.
    """
    asked, known = _weigh(prompts, texts, words)
    of_prompts = asked.by_word()
    best = Nearest(np.full((len(prompts), k), -1), np.zeros((len(prompts), k), np.float32))
    for start in range(0, len(texts), _BLOCK):
        end = min(start + _BLOCK, len(texts))
        scores = _multiply(of_prompts, known.part(start, end).by_word(), (len(prompts), end - start))
        best = keep_best(best, scores, start)
    return best


def keep_best(best: Nearest, scores: Scores, start: int) -> Nearest:
    """Return the best of those so far and of a block, whose first text is `start`. The block's scores are used up."""
    k, rows = best.texts.shape[1], np.arange(len(scores))
    texts, found = [best.texts], [best.scores]
    for _ in range(min(k, scores.shape[1])):
        top = scores.argmax(axis=1)
        highest = scores[rows, top].copy()
        scores[rows, top] = -1
        texts.append(np.where(highest > 0, top + start, -1)[:, None])
        found.append(np.maximum(highest, 0)[:, None])
    all_texts, all_scores = np.concatenate(texts, axis=1), np.concatenate(found, axis=1)
    order = np.argsort(-all_scores, axis=1, kind="stable")[:, :k]
    return Nearest(np.take_along_axis(all_texts, order, axis=1), np.take_along_axis(all_scores, order, axis=1))


def _weigh(prompts: Encoded, texts: Encoded, words: int) -> tuple[_Vectors, _Vectors]:
    """Return the vectors of both; of texts without the words that no prompt has, which their lengths do count."""
    counted = [_count(prompts, words), _count(texts, words)]
    having = sum(np.bincount(each, minlength=words) for _, each, _ in counted)
    rarity = 1 + np.log((1 + len(prompts) + len(texts)) / (1 + having))
    vectors = []
    for encoded, (owners, found, counts) in zip((prompts, texts), counted, strict=True):
        weights = (1 + np.log(counts)) * rarity[found]
        lengths = np.sqrt(np.bincount(owners, weights**2, minlength=len(encoded)))
        vectors.append(_Vectors(owners, found, (weights / lengths[owners]).astype(np.float32)))
    asked, known = vectors
    common = np.isin(known.words, np.unique(asked.words), kind="table")
    return asked, _Vectors(known.texts[common], known.words[common], known.weights[common])


def _count(encoded: Encoded, words: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return (text, word, occurrences) of each word of each text, by text."""
    keys = encoded.owners * words + encoded.ids
    found, counts = np.unique(keys, return_counts=True)
    return found // words, found % words, counts


def _multiply(prompts: _Vectors, block: _Vectors, shape: tuple[int, int]) -> Scores:
    """Return the cosine of each prompt with each text of a block, shape (prompts, texts); both come by word."""
    dense_prompts, dense_texts = list[Scores](), list[Scores]()
    scores = np.zeros(shape, np.float32)
    enough = shape[0] * shape[1] / _DENSE
    for (ours, our_weights), (theirs, their_weights) in _meet(prompts, block):
        if len(ours) * len(theirs) > enough:
            dense_prompts.append(_spread(ours, our_weights, shape[0]))
            dense_texts.append(_spread(theirs, their_weights, shape[1]))
        else:
            scores[ours[:, None], theirs] += our_weights[:, None] * their_weights
    if dense_prompts:
        scores += np.stack(dense_prompts, axis=1) @ np.stack(dense_texts)
    return scores


_Entries = tuple[NDArray[np.int64], Scores]


def _meet(prompts: _Vectors, block: _Vectors) -> Iterator[tuple[_Entries, _Entries]]:
    """Yield, for each word that both have, who has it with which weight."""
    ours, our_starts = np.unique(prompts.words, return_index=True)
    theirs, their_starts = np.unique(block.words, return_index=True)
    _, our_places, their_places = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
    our_ends = np.append(our_starts[1:], len(prompts.words))
    their_ends = np.append(their_starts[1:], len(block.words))
    for our_place, their_place in zip(our_places.tolist(), their_places.tolist(), strict=True):
        our = slice(our_starts[our_place], our_ends[our_place])
        their = slice(their_starts[their_place], their_ends[their_place])
        yield (prompts.texts[our], prompts.weights[our]), (block.texts[their], block.weights[their])


def _spread(places: NDArray[np.int64], weights: Scores, size: int) -> Scores:
    line = np.zeros(size, np.float32)
    line[places] = weights
    return line
