"""Prompts as tokens, under the tokenizer's own chat template, the room that the model's context leaves, and what the
model says of them as an answer."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from jinja2 import TemplateError
from pydantic import JsonValue

from autoif.errors import ConfigError
from autoif.models.reasoning import find_opening, split_reasoning
from autoif.models.requests import Completion
from autoif.models.wire import read_text
from autoif.sampling.settings import SamplingPrompt

_TAIL_TOKENS = 32
"""Of a prompt, in which a chat template may open the model's thought."""


def encode_prompt(tokenizer: Any, prompt: SamplingPrompt, template_kwargs: Mapping[str, JsonValue]) -> list[int]:
    """Return the tokens of a prompt up to where the assistant begins; the chat template is given `template_kwargs`.

    Raises:
        ConfigError: the template refuses the conversation.
    """
    try:
        return list(
            tokenizer.apply_chat_template(
                list(prompt.messages), tokenize=True, return_dict=False, add_generation_prompt=True, **template_kwargs
            )
        )
    except (TemplateError, TypeError) as error:
        given = f" with {json.dumps(template_kwargs)}" if template_kwargs else ""
        raise ConfigError(f"the model's chat template refuses prompt {prompt.id}{given}: {error}") from None


def measure_room(tokens: int, max_tokens: int, context: int | None) -> int:
    """Return how many tokens an answer to a prompt of so many may have; 0 if the prompt fills the context."""
    return max_tokens if context is None else max(0, min(max_tokens, context - tokens))


def read_tokens(
    tokenizer: Any, tokens: Sequence[int], prompt: Sequence[int], finish_reason: Literal["stop", "length"]
) -> Completion:
    """Read the tokens that a model wrote after a prompt, without the one that ended them: the answer and its thought.

    Some families mark a thought with special tokens, and some templates open it in the prompt. Special tokens that
    mark none are no text.
    """
    opening = find_opening(tokenizer.decode(prompt[-_TAIL_TOKENS:], skip_special_tokens=False))
    marked = opening + tokenizer.decode(tokens, skip_special_tokens=False)
    if split_reasoning(marked).answer != marked:
        return read_text(marked, finish_reason)
    return read_text(tokenizer.decode(tokens, skip_special_tokens=True), finish_reason)
