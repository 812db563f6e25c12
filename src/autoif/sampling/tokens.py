"""Refuses tokens that a model has no weights for, before they crash it, and counts special tokens in texts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autoif.errors import ModelError


def check_tokens(tokens: Sequence[int], tokenizer: Any, size: int | None, where: str) -> None:
    """Refuse a token beyond the model's vocabulary; `size` None if unknown.

    A tokenizer to which tokens were added has more than a model that wasn't resized.

    Raises ModelError: names the token.
    """
    if size is None or not tokens or (largest := max(tokens)) < size:
        return
    raise ModelError(
        f"{where} has the token {tokenizer.convert_ids_to_tokens(largest)!r}, number {largest}, and the model has "
        f"weights for {size} tokens: its tokenizer is of another model, or tokens were added without "
        "model.resize_token_embeddings(len(tokenizer))"
    )


def count_with_special_tokens(conversations: Iterable[Iterable[Mapping[str, str]]], tokenizer: Any) -> int:
    """Return in how many conversations a turn holds a special token as text: it ends the turn where it stands."""
    special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    beginnings = {token[:2] for token in special}  # of hundreds of tokens; few texts hold one

    def holds_one(text: str) -> bool:
        return any(begin in text for begin in beginnings) and any(token in text for token in special)

    return sum(any(holds_one(turn["content"]) for turn in conversation) for conversation in conversations)
