"""The nearest training prompts of each benchmark prompt, by the cosine of word vectors (TF-IDF) or of embeddings.

The weight of a word is (1 + ln of its occurrences in the text) times (1 + ln of (1 + texts) / (1 + texts with it)),
over all training and benchmark prompts. The search is exact: every pair is compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from autoif.contamination.overlap import split_words

Vectors = NDArray[np.float32]
_BLOCK = 8_192
"""How many training texts are compared at once: with 1,700 prompts their scores take 55 MB."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """The k texts most similar to each prompt, the most similar first; ties are in the order of the texts."""

    texts: NDArray[np.int64]
    """Indices of texts, shape (prompts, k); −1 if fewer than k have anything in common with the prompt."""
    scores: Vectors
    """Shape (prompts, k); 0 to 1."""


def find_nearest(prompts: Sequence[str], texts: Sequence[str], k: int) -> Nearest:
    """Return the k texts whose words are most similar to each prompt's."""
    if not any(map(split_words, chain(prompts, texts))):
        return find_closest(np.zeros((len(prompts), 1), np.float32), np.zeros((len(texts), 1), np.float32), k)
    vectoriser = TfidfVectorizer(analyzer=split_words, sublinear_tf=True, dtype=np.float32)
    vectors = vectoriser.fit_transform(chain(prompts, texts)).tocsr()
    asked, known = vectors[: len(prompts)], vectors[len(prompts) :]
    common = np.unique(asked.indices)  # words that no prompt has only affect the length of vectors
    return find_closest(asked[:, common].toarray(), known[:, common], k)


def find_closest(prompts: Vectors, texts: Any, k: int) -> Nearest:
    """Return the k texts whose vectors have the highest cosine, above 0, with each prompt's.

    Args:
        prompts: vectors of length 1, shape (prompts, dimensions).
        texts: the same for texts, as an array or a sparse matrix.
        k: how many to find.
    """
    best = Nearest(np.full((len(prompts), k), -1), np.zeros((len(prompts), k), np.float32))
    turned = np.ascontiguousarray(prompts.T)
    for start in range(0, texts.shape[0], _BLOCK):
        scores = np.ascontiguousarray((texts[start : start + _BLOCK] @ turned).T)
        best = _keep_best(best, scores, start)
    return best


def _keep_best(best: Nearest, scores: Vectors, start: int) -> Nearest:
    """Return the best of those so far and of a block whose first text is `start`. Overwrites the block's scores."""
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
