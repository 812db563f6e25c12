"""Counts the tokens of answers: as the server counted them, in whatever form, or by an estimate marked as such."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from autoif.models.requests import Completion

_NO_COUNT = 1_000_000_000
"""No answer has so many tokens: such a count is ignored. Completions files hold sums below 2^63."""
_BYTES_PER_TOKEN = 4
"""For the estimate. It is about right for English, and for Chinese with its three bytes a character."""


def count_tokens(found: list[Completion], answer: Mapping[str, Any], prompt_bytes: int) -> list[Completion]:
    """Return the completions with their shares of what the server counted, or with estimates."""
    if not found:
        return []
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    lengths = [len(each.text.encode()) + len(each.reasoning.encode()) for each in found]
    prompt = _count(usage.get("prompt_tokens", usage.get("input_tokens")))
    completion = _count(usage.get("completion_tokens", usage.get("output_tokens")))
    if prompt and completion:  # Gemini and xAI count the thought only in the total
        completion = max(completion, _count(usage.get("total_tokens")) - prompt)
    details = usage.get("completion_tokens_details")
    thought = _count(details.get("reasoning_tokens")) if isinstance(details, dict) else 0
    completion += thought if thought > completion else 0  # other servers leave it out of both
    estimated = not prompt or (not completion and any(lengths))
    if estimated:
        prompt = prompt or -(-prompt_bytes // _BYTES_PER_TOKEN)
        completion = completion or sum(-(-length // _BYTES_PER_TOKEN) for length in lengths)
    elif "timings" in answer and lengths[0]:
        # llama.cpp counts the first choice only: estimate the others by its tokens per byte.
        completion = min(_NO_COUNT, round(completion * sum(lengths) / lengths[0]))
    counted = []
    for index, (each, share) in enumerate(zip(found, _share(completion, lengths), strict=True)):
        by_length = share * len(each.reasoning.encode()) // (lengths[index] or 1)
        counted.append(
            replace(
                each,
                prompt_tokens=0 if index else prompt,
                completion_tokens=share,
                reasoning_tokens=min(share, thought if thought and len(found) == 1 else by_length),
                estimated=estimated,
            )
        )
    return counted


def _count(value: object) -> int:
    """Return a count that a server gives as 20, 20.0 or "20"; 0 for anything else, and for numbers out of range."""
    try:
        number = float(value) if isinstance(value, int | float | str) else 0.0
    except (ValueError, OverflowError):
        return 0
    return int(number) if 0 < number < _NO_COUNT else 0


def _share(total: int, weights: list[int]) -> list[int]:
    """Split a whole number in proportion to the weights; the parts add up to it."""
    whole = sum(weights) or 1
    ends = [0]
    for weight in weights:
        ends.append(ends[-1] + weight)
    ends = [total * end // whole for end in ends[:-1]] + [total]
    return [end - start for start, end in itertools.pairwise(ends)]
