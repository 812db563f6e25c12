"""What is too long, in tokens under the model's own chat template: counted, and never passed over in silence.

the prompt alone fills max_length      dropped: no token of the answer would be left to learn
prompt and answer exceed max_length    truncated at the end, by TRL
more tokens than the model's context   an error: beyond it the model's positions mean nothing
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
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
    longest: int

    def describe(self) -> str:
        """Return one line for a person."""
        return (
            f"{self.rows} rows to train on, the longest of {self.longest} tokens; {self.truncated} truncated, "
            f"{self.dropped} dropped, for being longer than max_length"
        )


def fit_rows(
    rows: Sequence[Row], tokenizer: Any, max_length: int | None, context: int | None
) -> tuple[list[Row], Lengths]:
    """Return the rows that can be learnt from, and what became of the others.

    Args:
        rows: as `data.read_data` returns them.
        tokenizer: with a chat template.
        max_length: tokens of a row at most; None cuts nothing.
        context: tokens that the model can take; None if it doesn't say.

    Raises:
        ConfigError: rows that exceed the context, a template that refuses a row, or no row left.
    """
    kept, truncated, beyond, longest = [], 0, 0, 0
    for number, row in enumerate(rows, 1):
        prompt, whole = _measure(row, tokenizer, number)
        if max_length is not None and prompt >= max_length:
            continue
        kept.append(row)
        truncated += max_length is not None and whole > max_length
        used = whole if max_length is None else min(whole, max_length)
        beyond += context is not None and used > context
        longest = max(longest, used)
    if beyond:
        raise ConfigError(
            f"{beyond} of {len(rows)} rows are longer than the model's context of {context} tokens: set "
            f"max_length={context} (they are then truncated) or take a model with a longer context"
        )
    if not kept:
        raise ConfigError(f"every prompt fills max_length={max_length}: raise it; there is nothing left to learn")
    return kept, Lengths(len(kept), truncated, len(rows) - len(kept), longest)


def _measure(row: Row, tokenizer: Any, number: int) -> tuple[int, int]:
    """Return the tokens before the answer, and those of the longest prompt with answer."""
    try:
        prompt = _tokens(tokenizer, row["prompt"], add_generation_prompt=True)
        wholes = [_tokens(tokenizer, row["prompt"] + row[name]) for name in ANSWERS if name in row]
    except TemplateError as error:
        raise ConfigError(f"the model's chat template refuses row {number}: {error}") from None
    before = min(_common(prompt, whole) for whole in wholes)
    return before, max(map(len, wholes))


def _tokens(tokenizer: Any, messages: list[Message], *, add_generation_prompt: bool = False) -> list[int]:
    return list(
        tokenizer.apply_chat_template(
            messages, tokenize=True, return_dict=False, add_generation_prompt=add_generation_prompt
        )
    )


def _common(one: list[int], other: list[int]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
