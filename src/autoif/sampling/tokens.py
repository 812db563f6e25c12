"""Tokens that a model has no weights for, refused before they crash it."""

from collections.abc import Sequence
from typing import Any

from autoif.errors import ModelError


def check_tokens(tokens: Sequence[int], tokenizer: Any, size: int | None, where: str) -> None:
    """Refuse a token beyond the model's vocabulary of that size; None as `size` where it isn't known.

    A tokenizer to which tokens were added, as those of a chat template, has more than a model that was not resized.

    Raises:
        ModelError: names the token.
    """
    if size is None or not tokens or (largest := max(tokens)) < size:
        return
    raise ModelError(
        f"{where} has the token {tokenizer.convert_ids_to_tokens(largest)!r}, number {largest}, and the model has "
        f"weights for {size} tokens: its tokenizer is of another model, or tokens were added without "
        "model.resize_token_embeddings(len(tokenizer))"
    )
