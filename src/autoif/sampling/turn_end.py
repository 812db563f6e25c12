"""Finds the token that ends an assistant's turn, and names it in a model's files.

The chat template of a base model often ends a turn with another token than the model's files name. Qwen2's template
writes <|im_end|>, while its config, generation config and tokenizer say <|endoftext|>. A model trained with it
ends its answers with <|im_end|>, and sampling would go on until the limit. So the token is read from the template, and
added to all three.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from jinja2 import TemplateError

from autoif.errors import ModelError

TEMPLATE_ERRORS = (TemplateError, TypeError, ValueError, KeyError, AttributeError)
"""Errors that applying a template raises: its own, and those of the Python operations in it."""
_ANSWER = "autoif"
"""A stand-in for an answer: the chat template puts the end of the turn after it."""
_ASK = ({"role": "user", "content": "Hello"},)


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """The token that ends a turn, and the one that the model's files named."""

    token: str
    id: int
    before: str | None
    """The tokenizer's end-of-sequence token in its files."""
    before_id: int | None

    def describe(self, model: Any) -> str | None:
        """Return a line for a person if a file of the model doesn't name the token; else None."""
        configs = {"config.json": model.config.get_text_config(), "generation_config.json": model.generation_config}
        lacking = [name for name, config in configs.items() if self.id not in read_ends(config)]
        lacking += ["the tokenizer"] * (self.before_id != self.id)
        if not lacking:
            return None
        return (
            f"the chat template ends a turn with {self.token}, which {_join(lacking)} of the model "
            f"{'does' if len(lacking) == 1 else 'do'} not name as an end: the trained folder names it"
            + (f", beside {self.before}" if self.before and self.before_id != self.id else "")
        )


def find_turn_end(
    tokenizer: Any, prompt: Sequence[Mapping[str, str]] = _ASK, kwargs: Mapping[str, Any] = MappingProxyType({})
) -> int | None:
    """Return the token that the chat template puts after an answer to a prompt, or None if it puts none there.

    If the template refuses a conversation without a system turn, one is added.
    """
    rest = _write_after_answer(tokenizer, prompt, kwargs)
    if rest is None:
        return None
    ids = tokenizer(rest, add_special_tokens=False)["input_ids"]
    added = tokenizer.added_tokens_decoder
    special = {*tokenizer.all_special_ids, *(token for token, found in added.items() if found.special)}
    special.discard(tokenizer.unk_token_id)
    for known in (special, set(added) - {tokenizer.unk_token_id}):
        for token in ids:
            if token in known:
                return int(token)
    return None


def _write_after_answer(tokenizer: Any, prompt: Sequence[Mapping[str, str]], kwargs: Mapping[str, Any]) -> str | None:
    """Return the text that the chat template writes after an answer; None if it refuses the prompt or leaves it out."""
    answer = {"role": "assistant", "content": _ANSWER}
    for turns in ([*prompt, answer], [{"role": "system", "content": "Be helpful."}, *prompt, answer]):
        try:
            text = tokenizer.apply_chat_template(turns, tokenize=False, **kwargs)
        except TEMPLATE_ERRORS:
            continue
        _, answered, rest = text.rpartition(_ANSWER)
        return rest if answered else None
    return None


def adopt_turn_end(
    tokenizer: Any, model: str, prompt: Sequence[Mapping[str, str]] = _ASK, kwargs: Mapping[str, Any] | None = None
) -> TurnEnd:
    """Make the token that ends the assistant's turn the tokenizer's end-of-sequence token, and return it.

    Args:
        tokenizer: has a chat template; is changed.
        model: its name, for messages.
        prompt: of a training row, so that the template takes it.
        kwargs: variables for the template.

    Raises ModelError: the template ends a turn without a token of its own, so a model could not learn to stop; or it
        leaves out the assistant's text.
    """
    found = find_turn_end(tokenizer, prompt, kwargs or {})
    if found is None and _write_after_answer(tokenizer, prompt, kwargs or {}) is None:
        raise ModelError(
            f"the chat template of {model} leaves out what the assistant says, as those of some models that see images "
            "do where it is a text: put one that takes texts into its chat_template.jinja"
        )
    if found is None:
        raise ModelError(
            f"the chat template of {model} ends an assistant's turn with no token of its own, so a model trained with "
            "it would never stop: put {{ eos_token }} after the assistant's content in its chat_template.jinja"
        )
    before, before_id = tokenizer.eos_token, tokenizer.eos_token_id
    token = str(tokenizer.convert_ids_to_tokens(found))
    if found != before_id:
        if before and isinstance(tokenizer.chat_template, str) and "eos_token" in tokenizer.chat_template:
            # So that the template writes what it wrote before.
            keep_old = f"{{% set eos_token = {json.dumps(before)} %}}"
            tokenizer.chat_template = keep_old + tokenizer.chat_template
        tokenizer.eos_token = token
    return TurnEnd(token, found, before, before_id)


def read_ends(config: Any) -> list[int]:
    """Return the end-of-sequence tokens that a model's config or generation config names."""
    ends = getattr(config, "eos_token_id", None)
    return [token for token in (ends if isinstance(ends, list | tuple) else [ends]) if isinstance(token, int)]


def name_turn_end(model: Any, end: TurnEnd) -> None:
    """Add the token to the end-of-sequence tokens of the model's config and generation config."""
    for config in (model.config.get_text_config(), model.generation_config):
        old = [*read_ends(config), *([] if end.before_id is None else [end.before_id])]
        named = list(dict.fromkeys([end.id, *old]))
        config.eos_token_id = named if len(named) > 1 else end.id


def _join(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
