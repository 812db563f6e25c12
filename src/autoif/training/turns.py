"""What ends the assistant's turn: the token that a trained model learns to stop with.

A base model's chat template often ends a turn with another token than its files name: Qwen2's ends it with <|im_end|>,
and config, generation config and tokenizer of the base model say <|endoftext|>. A model that is trained so writes
<|im_end|>, and whoever samples from it goes on until the limit. So the token is taken from the template, and named
beside the old one in all three.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from jinja2 import TemplateError

from autoif.errors import ModelError

_ANSWER = "autoif"
"""Stands for an answer; what the template puts after it ends the turn."""
_ASK = ({"role": "user", "content": "Hello"},)


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """The token that ends a turn, and what the model's files named before."""

    token: str
    id: int
    before: str | None
    """The tokenizer's end, as its files have it."""
    before_id: int | None

    def describe(self, model: Any) -> str | None:
        """Return a line for a person where a file of the model lacks the token; else None."""
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
    """Return the token that the chat template puts after an answer to a prompt; None where it puts none there."""
    try:
        text = tokenizer.apply_chat_template(
            [*prompt, {"role": "assistant", "content": _ANSWER}], tokenize=False, **kwargs
        )
    except (TemplateError, TypeError):
        return None
    _, answered, rest = text.rpartition(_ANSWER)
    if not answered:
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


def adopt_turn_end(
    tokenizer: Any, model: str, prompt: Sequence[Mapping[str, str]] = _ASK, kwargs: Mapping[str, Any] | None = None
) -> TurnEnd:
    """Make the token that ends the assistant's turn the tokenizer's end, and return it.

    Args:
        tokenizer: with a chat template; is changed.
        model: as it was named.
        prompt: of a row, which the template takes.
        kwargs: what the template is given beside the messages.

    Raises:
        ModelError: the template ends a turn with no token of its own, so the model could learn no end.
    """
    found = find_turn_end(tokenizer, prompt, kwargs or {})
    if found is None:
        raise ModelError(
            f"the chat template of {model} ends an assistant's turn with no token of its own, so a model trained with "
            "it would never stop: put {{ eos_token }} after the assistant's content in its chat_template.jinja"
        )
    before, before_id = tokenizer.eos_token, tokenizer.eos_token_id
    token = str(tokenizer.convert_ids_to_tokens(found))
    if found != before_id:
        tokenizer.eos_token = token
    return TurnEnd(token, found, before, before_id)


def read_ends(config: Any) -> list[int]:
    """Return the tokens that a model's config, or its generation config, names as ends."""
    ends = getattr(config, "eos_token_id", None)
    return [token for token in (ends if isinstance(ends, list | tuple) else [ends]) if token is not None]


def name_turn_end(model: Any, end: TurnEnd) -> None:
    """Name the token in the model's config and generation config, beside the ends that they have."""
    for config in (model.config.get_text_config(), model.generation_config):
        old = [*read_ends(config), *([] if end.before_id is None else [end.before_id])]
        named = list(dict.fromkeys([end.id, *old]))
        config.eos_token_id = named if len(named) > 1 else end.id


def _join(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
