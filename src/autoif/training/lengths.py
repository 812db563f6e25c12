"""What is too long, in tokens under the model's own chat template: counted, and never passed over in silence.

the prompt alone fills max_length      dropped: no token of the answer would be left to learn
prompt and answer exceed max_length    truncated at the end, by TRL
more tokens than the model's context   an error: beyond it the model's positions mean nothing
chosen and rejected the same tokens    dropped: a template that trims, or truncation, may leave no difference to learn

Of GRPO only the prompts are known: each must leave room for max_completion_length within the context.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import takewhile
from statistics import fmean
from types import MappingProxyType
from typing import Any

from jinja2 import TemplateError

from autoif.errors import ConfigError
from autoif.training.data import Message, Row

ANSWERS = ("completion", "chosen", "rejected")


@dataclass(frozen=True, slots=True)
class Lengths:
    """Counts of rows (pairs), and of tokens in the longest."""

    rows: int
    truncated: int
    dropped: int
    """The prompt alone filled max_length."""
    longest: int
    identical: int | None = None
    """Pairs dropped for being the same tokens after template and truncation; of DPO only."""
    chosen_mean: float | None = None
    """Tokens of a chosen answer on average, with its end, after truncation; of DPO only."""
    rejected_mean: float | None = None

    def record(self) -> dict[str, Any]:
        """Return what training.json holds: what is known of rows of this kind."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def describe(self) -> str:
        """Return one line for a person."""
        line = (
            f"{self.rows} rows to train on, the longest of {self.longest} tokens; {self.truncated} truncated, "
            f"{self.dropped} dropped, for being longer than max_length"
        )
        if self.identical:
            line += f"; {self.identical} dropped, as chosen and rejected are the same after template and truncation"
        if self.chosen_mean is not None:
            line += f"; chosen {self.chosen_mean:.1f} tokens on average, rejected {self.rejected_mean:.1f}"
        return line


def fit_rows(
    rows: Sequence[Row],
    tokenizer: Any,
    max_length: int | None,
    context: int | None,
    template_kwargs: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[list[Row], Lengths]:
    """Return the rows that can be learnt from, and what became of the others.

    Args:
        rows: as `data.read_data` returns them.
        tokenizer: with a chat template.
        max_length: tokens of a row at most; None cuts nothing.
        context: tokens that the model can take; None if it doesn't say.
        template_kwargs: what the chat template is given beside the messages.

    Raises:
        ConfigError: rows that exceed the context, a template that refuses a row, or no row left.
    """
    kept, truncated, dropped, identical, beyond, longest = [], 0, 0, 0, 0, 0
    answers: dict[str, list[int]] = {name: [] for name in ANSWERS}
    render = partial(_render, tokenizer, template_kwargs)
    for number, row in enumerate(rows, 1):
        prompt, wholes = _measure(row, render, number)
        whole = max(map(len, wholes.values()))
        if max_length is not None and prompt >= max_length:
            dropped += 1
            continue
        seen = [tokens[:max_length] for tokens in wholes.values()]
        if len(seen) > 1 and seen[0] == seen[1]:
            identical += 1
            continue
        kept.append(row)
        truncated += max_length is not None and whole > max_length
        used = whole if max_length is None else min(whole, max_length)
        beyond += context is not None and used > context
        longest = max(longest, used)
        for name, tokens in zip(wholes, seen, strict=True):
            answers[name].append(len(tokens) - prompt)
    if beyond:
        raise ConfigError(
            f"{beyond} of {len(rows)} rows are longer than the model's context of {context} tokens: set "
            f"max_length={context} (they are then truncated) or take a model with a longer context"
        )
    if not kept:
        raise ConfigError(_explain_nothing_left(max_length, dropped, identical))
    found = Lengths(len(kept), truncated, dropped, longest)
    if "chosen" not in kept[0]:
        return kept, found
    chosen, rejected = (round(fmean(answers[name]), 1) for name in ("chosen", "rejected"))
    return kept, replace(found, identical=identical, chosen_mean=chosen, rejected_mean=rejected)


def _explain_nothing_left(max_length: int | None, dropped: int, identical: int) -> str:
    if not identical:
        return f"every prompt fills max_length={max_length}: raise it; there is nothing left to learn"
    also = f", and {dropped} prompts fill max_length={max_length}" if dropped else ""
    return (
        f"all {identical} pairs are the same in chosen and rejected after the chat template and max_length={max_length}"
        f"{also}: there is nothing left to learn; raise max_length, or give pairs that differ in more than blank space"
    )


def fit_prompts(
    rows: Sequence[Row],
    tokenizer: Any,
    max_completion_length: int,
    context: int | None,
    template_kwargs: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[list[Row], Lengths]:
    """Return the rows, whose prompts all leave room for a completion, and the tokens of the longest.

    Raises:
        ConfigError: prompts that leave too little room, or a template that refuses a row.
    """
    longest, beyond = 0, 0
    for number, row in enumerate(rows, 1):
        prompt = len(_render(tokenizer, template_kwargs, row["prompt"], number))
        longest = max(longest, prompt)
        beyond += context is not None and prompt + max_completion_length > context
    if context is not None and beyond:
        lower = f"set max_completion_length={context - longest} or lower, " if longest < context else ""
        raise ConfigError(
            f"{beyond} of {len(rows)} prompts, the longest of {longest} tokens, leave less than max_completion_length="
            f"{max_completion_length} in the model's context of {context} tokens: {lower}take them out, or take a "
            "model with a longer context"
        )
    return list(rows), Lengths(len(rows), 0, 0, longest)


def _measure(row: Row, render: Callable[..., list[int]], number: int) -> tuple[int, dict[str, list[int]]]:
    """Return how many tokens come before the answer, and the tokens of the prompt with each answer."""
    prompt = render(row["prompt"], number)
    wholes = {name: render(row["prompt"] + row[name], number, answered=True) for name in ANSWERS if name in row}
    return min(_common(prompt, whole) for whole in wholes.values()), wholes


def _render(
    tokenizer: Any, kwargs: Mapping[str, Any], messages: list[Message], number: int, *, answered: bool = False
) -> list[int]:
    """Return the tokens of messages, up to where an answer begins unless it is there."""
    try:
        ids = tokenizer.apply_chat_template(
            messages, tokenize=True, return_dict=False, add_generation_prompt=not answered, **kwargs
        )
    except TemplateError as error:
        raise ConfigError(f"the model's chat template refuses row {number}: {error}") from None
    return list(ids)


def _common(one: list[int], other: list[int]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
