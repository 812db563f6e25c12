"""Refuses tokens that a model has no weights for, before they crash it, and finds special tokens in texts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autoif.errors import ModelError


def check_tokens(tokens: Sequence[int], tokenizer: Any, size: int | None, where: str) -> None:
    """Raise ModelError for a token beyond the model's vocabulary of `size` tokens (None if unknown).

    A tokenizer knows such tokens if some were added to it and the model wasn't resized.
    """
    if size is None or not tokens or (largest := max(tokens)) < size:
        return
    raise ModelError(
        f"{where} has the token {tokenizer.convert_ids_to_tokens(largest)!r}, number {largest}, and the model has "
        f"weights for {size} tokens: its tokenizer is of another model, or tokens were added without "
        "model.resize_token_embeddings(len(tokenizer))"
    )


def count_with_special_tokens(conversations: Iterable[Iterable[Mapping[str, str]]], tokenizer: Any) -> int:
    """Return in how many conversations a turn has a special token in its text, which would end the turn there."""
    special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    beginnings = {token[:2] for token in special}  # tested first: few texts hold one, and there are hundreds of tokens

    def holds_one(text: str) -> bool:
        return any(begin in text for begin in beginnings) and any(token in text for token in special)

    return sum(any(holds_one(turn["content"]) for turn in conversation) for conversation in conversations)
