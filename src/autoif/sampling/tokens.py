"""Prompts as tokens, under the tokenizer's own chat template, and the room that the model's context leaves."""

from typing import Any

from jinja2 import TemplateError

from autoif.errors import ConfigError
from autoif.sampling.settings import SamplingPrompt


def encode_prompt(tokenizer: Any, prompt: SamplingPrompt) -> list[int]:
    """Return the tokens of a prompt up to where the assistant begins.

    Raises:
        ConfigError: the template refuses the conversation.
    """
    try:
        return list(
            tokenizer.apply_chat_template(
                list(prompt.messages), tokenize=True, return_dict=False, add_generation_prompt=True
            )
        )
    except TemplateError as error:
        raise ConfigError(f"the model's chat template refuses prompt {prompt.id}: {error}") from None


def measure_room(tokens: int, max_tokens: int, context: int | None) -> int:
    """Return how many tokens an answer to a prompt of so many may have; 0 if the prompt fills the context."""
    return max_tokens if context is None else max(0, min(max_tokens, context - tokens))
