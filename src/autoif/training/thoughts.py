"""Thoughts in rows and in chat templates: what a training would leave out, or would teach in the wrong place.

A template may strip the thought before an answer, as DeepSeek R1's does, or open one where the model is to answer and
not where an answer stands.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from autoif.models.reasoning import find_opening, split_reasoning

Row = Mapping[str, Any]
_ANSWERS = ("completion", "chosen", "rejected")


def count_lost_thoughts(rows: Sequence[Row], tokenizer: Any, kwargs: Mapping[str, Any]) -> int:
    """Return how many rows have an answer whose thought the chat template leaves out."""
    return sum(
        any(_loses_thought(row["prompt"], row[name], tokenizer, kwargs) for name in _ANSWERS if name in row)
        for row in rows
    )


def describe_opened_thought(row: Row, tokenizer: Any, kwargs: Mapping[str, Any]) -> str | None:
    """Return a line where the template opens a thought for the model to answer in that no answer of a row is in."""
    asked = tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True, **kwargs)
    answer = next(row[name] for name in _ANSWERS if name in row)
    whole = tokenizer.apply_chat_template([*row["prompt"], *answer], tokenize=False, **kwargs)
    opening = find_opening(asked)
    if not opening or whole.startswith(asked):
        return None
    return (
        f"the chat template opens a thought ({opening}) where the model is to answer, and none where the answers of "
        "the data stand: asked with this template the trained model answers within a thought; switch thinking off by "
        'chat_template_kwargs={"enable_thinking": false} if the template knows it, or train with one that opens none'
    )


def _loses_thought(
    prompt: Sequence[Mapping[str, str]], answer: Sequence[Mapping[str, str]], tokenizer: Any, kwargs: Mapping[str, Any]
) -> bool:
    thought = "".join(split_reasoning(answer[-1]["content"]).reasoning.split())
    if not thought:
        return False
    return thought not in "".join(tokenizer.apply_chat_template([*prompt, *answer], tokenize=False, **kwargs).split())
