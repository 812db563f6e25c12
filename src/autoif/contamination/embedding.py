"""Nearest neighbours by a model's embeddings (sentence-transformers), which also finds rephrased prompts.

If a model's folder doesn't define the pooling, a text's vector is the mean of the last hidden states. Vectors are
stored by model and text, so that interrupted work resumes.
"""

import hashlib
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from autoif.contamination.nearest import Nearest, Vectors, find_closest
from autoif.errors import ModelError, first_line
from autoif.messages import Say
from autoif.runs.whole_files import storage_errors
from autoif.sampling.policy import check_model
from autoif.sampling.quiet import keep_quiet
from autoif.training.identity import identify_model

VECTORS = "embeddings.sqlite"
_BATCH = 32
_MOST_TOKENS = 512


def find_nearest_by_embedding(
    prompts: Sequence[str], texts: Sequence[str], k: int, model: str, folder: Path, say: Say
) -> Nearest:
    """Return the k texts whose vectors have the highest cosine, above 0, with each prompt's.

    Vectors are stored in the folder.

    Raises:
        ModelError: the model can't be used.
        StoreError: vectors can't be stored.
    """
    check_model(model)
    vectors = _embed([*prompts, *texts], model, folder, say)
    return find_closest(vectors[: len(prompts)], vectors[len(prompts) :], k)


def _embed(texts: Sequence[str], model: str, folder: Path, say: Say) -> Vectors:
    """Return the vectors of texts, normalised to length 1, shape (texts, dimensions)."""
    identity = f"sentence-transformers {identify_model(model, None, None).content}"
    keys = [hashlib.sha256(f"{identity}\0{text}".encode(errors="surrogatepass")).digest() for text in texts]
    with storage_errors(folder), _open_store(folder) as store:
        stored: dict[bytes, bytes] = dict(store.execute("SELECT key, vector FROM vectors"))
        missing = list({key: text for key, text in zip(keys, texts, strict=True) if key not in stored}.items())
        missing.sort(key=lambda each: len(each[1]))  # a batch takes as long as its longest text
        if missing:
            say(f"{len(texts) - len(missing):,} of {len(texts):,} texts have vectors; embedding the others")
            encoder = _load(model)
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            vectors = encoder.encode(
                [text for _, text in batch], batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False
            )
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


def _load(model: str) -> SentenceTransformer:
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)  # it warns about mean pooling
    try:
        with keep_quiet():  # it would warn about the unused weights of a language-modelling head
            encoder = SentenceTransformer(model, trust_remote_code=False, model_kwargs={"dtype": torch.float32})
    except Exception as error:  # noqa: BLE001  # each file format of a model has its own errors
        raise ModelError(f"the model {model} can't be loaded: {first_line(error)}") from None
    tokenizer = encoder.tokenizer
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    encoder.max_seq_length = min(_MOST_TOKENS, encoder.max_seq_length or _MOST_TOKENS)
    return encoder
