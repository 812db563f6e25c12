"""Neighbours by embedding: texts as vectors of a model, so that other words for the same are near as well.

Any model folder or name that transformers loads; a text's vector is the mean over its tokens of the last hidden
states. Vectors are kept, by the model's content and the text, so work that was stopped goes on.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as notes

from autoif.errors import ModelError
from autoif.evaluation.contamination.nearest import Nearest, keep_best
from autoif.store import storage_errors
from autoif.training.identity import identify_model
from autoif.training.models import check_model, read_context

VECTORS = "embeddings.sqlite"
_BATCH = 32
_MOST_TOKENS = 512
_BLOCK = 16_384
Vectors = NDArray[np.float32]


def find_nearest_by_embedding(
    prompts: Sequence[str], texts: Sequence[str], k: int, model: str, folder: Path, say: Callable[[str], None]
) -> Nearest:
    """Return the k texts whose vectors have the highest cosine with each prompt's; none of 0 or less.

    Args:
        prompts: those of benchmarks.
        texts: different training prompts.
        k: how many to find.
        model: a folder, or a name on the hub.
        folder: where vectors are kept.
        say: gets lines of progress.

    Raises:
        ModelError: the model can't be used.
        StoreError: vectors can't be stored.
    """
    check_model(model)
    vectors = _embed([*prompts, *texts], model, folder, say)
    asked, known = vectors[: len(prompts)], vectors[len(prompts) :]
    best = Nearest(np.full((len(prompts), k), -1), np.zeros((len(prompts), k), np.float32))
    for start in range(0, len(known), _BLOCK):
        best = keep_best(best, asked @ known[start : start + _BLOCK].T, start)
    return best


def _embed(texts: Sequence[str], model: str, folder: Path, say: Callable[[str], None]) -> Vectors:
    """Return the vectors of texts, of length 1, shape (texts, dimensions)."""
    identity = identify_model(model, None, None).content
    keys = [hashlib.sha256(f"{identity}\0{text}".encode(errors="surrogatepass")).digest() for text in texts]
    with storage_errors(folder), _open_store(folder) as store:
        stored: dict[bytes, bytes] = dict(store.execute("SELECT key, vector FROM vectors"))
        missing = list({key: text for key, text in zip(keys, texts, strict=True) if key not in stored}.items())
        missing.sort(key=lambda each: len(each[1]))  # texts of a batch take as long as the longest
        if missing:
            say(f"{len(texts) - len(missing):,} of {len(texts):,} texts have vectors; embedding the others")
            encode = _load(model)
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            vectors = encode([text for _, text in batch])
            rows = [(key, vector.tobytes()) for (key, _), vector in zip(batch, vectors, strict=True)]
            with store:
                store.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
            stored.update(rows)
            if (done := start + len(batch)) == len(missing) or done // 4096 > start // 4096:
                say(f"{done:,} of {len(missing):,} texts embedded")
    return np.stack([np.frombuffer(stored[key], np.float32) for key in keys])


@contextmanager
def _open_store(folder: Path) -> Iterator[sqlite3.Connection]:
    folder.mkdir(parents=True, exist_ok=True)
    store = sqlite3.connect(folder / VECTORS, timeout=60)
    try:
        store.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID")
        yield store
    finally:
        store.close()


def _load(model: str) -> Callable[[Sequence[str]], Vectors]:
    """Return what embeds some texts at once."""
    before = notes.get_verbosity()
    notes.set_verbosity_error()  # weights of a head that predicts words are of no use here, and no mistake
    notes.disable_progress_bar()
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
        weights: Any = AutoModel.from_pretrained(model, dtype=torch.float32, trust_remote_code=False).eval()
    except Exception as error:  # noqa: BLE001  # each file format of a model has its own errors
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(f"the model {model} can't be loaded: {said[:300]}") from None
    finally:
        notes.set_verbosity(before)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    device = torch.accelerator.current_accelerator() or torch.device("cpu")
    weights.to(device)
    most = min(_MOST_TOKENS, read_context(model) or _MOST_TOKENS)

    def encode(texts: Sequence[str]) -> Vectors:
        given = tokenizer(list(texts), padding=True, truncation=True, max_length=most, return_tensors="pt").to(device)
        with torch.inference_mode():
            states = weights(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).last_hidden_state
        mask = given["attention_mask"].unsqueeze(-1).to(states.dtype)
        means = (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        vectors: Vectors = torch.nn.functional.normalize(means, dim=1).cpu().numpy()
        return vectors

    return encode
