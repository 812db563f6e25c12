"""Rows as a chat template renders them: how long they are, what the template drops, and what it adds to the loss.

Lengths are counted in tokens, and every row that is too long is reported:

    the prompt alone fills max_length      dropped: no token of the answer would be left to learn
    prompt and answer exceed max_length    truncated at the end, by TRL
    more tokens than the model's context   an error: the model has no meaningful positions beyond it
    chosen and rejected the same tokens    dropped: trimming by the template, or truncation, left no difference

GRPO has prompts only: each must leave room for max_completion_length within the context.

Other effects of a template are reported and accepted. It may leave out a thought (DeepSeek R1's does), the system turn
or earlier turns, or cut an answer that mentions </think>. It may write a prompt differently once it is answered
(Mistral's puts the system turn before the last user turn, if that is the last turn), so that the loss is on more than
the answer. It may put an empty thought before an answer (Qwen3's does), which is then learnt. It may write today's
date.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, takewhile
from statistics import fmean
from types import MappingProxyType
from typing import Any

from jinja2 import TemplateError

from autoif.errors import ConfigError, first_line
from autoif.models.reasoning import find_opening, split_reasoning
from autoif.models.wire import REASONING_FIELDS
from autoif.sampling.tokens import check_tokens, count_with_special_tokens
from autoif.training.card import describe_losses
from autoif.training.data import Row

Turns = Sequence[Mapping[str, str]]
_ANSWERS = ("completion", "chosen", "rejected")
_SAMPLE_ANSWER = "autoif"


@dataclass(frozen=True, slots=True)
class Lengths:
    """Counts of rows (pairs), and lengths in tokens."""

    rows: int
    truncated: int
    dropped: int
    """Rows whose prompt alone filled max_length."""
    longest: int
    """Tokens of the longest row, after truncation."""
    identical: int | None = None
    """DPO only: pairs dropped because both answers have the same tokens after template and truncation."""
    chosen_mean: float | None = None
    """DPO only: mean tokens of a chosen answer, including its end token, after truncation."""
    rejected_mean: float | None = None
    thoughts_lost: int | None = None
    """Rows whose answer has a thought that the chat template leaves out; None, here and below, if there are none."""
    turns_changed: int | None = None
    """Rows with a turn whose text the chat template leaves out or changes."""
    prompts_learnt: int | None = None
    """Rows that have a part of their prompt learnt with the answer."""
    prompts_merged: int | None = None
    """Rows whose prompt's last token becomes another one when the answer follows."""
    special_tokens: int | None = None
    """Rows whose texts contain special tokens of the model."""

    def record(self) -> dict[str, Any]:
        """Return the known counts, as training.json holds them."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def describe(self) -> str:
        """Return one line for a person."""
        line = (
            f"{self.rows} rows to train on, the longest of {self.longest} tokens; {self.truncated} truncated, "
            f"{self.dropped} dropped, for being longer than max_length"
        )
        if self.identical:
            line += f"; {self.identical} dropped, as chosen and rejected are the same after template and truncation"
        line += describe_losses(self.record())
        if self.chosen_mean is not None:
            line += f"; chosen {self.chosen_mean:.1f} tokens on average, rejected {self.rejected_mean:.1f}"
        return line


@dataclass(frozen=True, slots=True)
class Template:
    """A model's chat template, applied to rows.

    Attributes:
        tokenizer: a tokenizer with a chat template.
        kwargs: arguments of the template besides the messages.
        vocabulary: number of tokens that the model has weights for; None if unknown.
    """

    tokenizer: Any
    kwargs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    vocabulary: int | None = None

    def write(self, turns: Turns, *, answered: bool = True, **more: Any) -> str:
        """Return the text of a conversation; unless `answered`, up to where the answer begins."""
        text: str = self.tokenizer.apply_chat_template(
            [*turns], tokenize=False, add_generation_prompt=not answered, **self.kwargs, **more
        )
        return text

    def encode(self, turns: Turns, number: int, *, answered: bool = False) -> list[int]:
        """Return the tokens of a conversation; unless `answered`, up to where the answer begins.

        Raises:
            ConfigError: the template refuses the row, which the message names by `number`.
            ModelError: the model has no weights for a token of the row.
        """
        try:
            ids = self.tokenizer.apply_chat_template(
                [*turns], tokenize=True, return_dict=False, add_generation_prompt=not answered, **self.kwargs
            )
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise ConfigError(f"the model's chat template refuses row {number}: {first_line(error)}") from None
        check_tokens(ids, self.tokenizer, self.vocabulary, f"row {number}")
        return list(ids)


def fit_rows(
    rows: Sequence[Row], template: Template, max_length: int | None, context: int | None
) -> tuple[list[Row], Lengths]:
    """Return the rows that can be learnt from, and the counts of all. `max_length=None` truncates nothing;
    `context=None` stands for a model whose context is unknown.

    Raises:
        ConfigError: rows that exceed the context, a template that refuses a row, or no row left.
    """
    kept: list[Row] = []
    truncated, dropped, identical, beyond, longest = 0, 0, 0, 0, 0
    answers: dict[str, list[int]] = {name: [] for name in _ANSWERS}
    found = Counter[str]()
    for number, row in enumerate(rows, 1):
        prompt = template.encode(row["prompt"], number)
        wholes = {name: template.encode(whole, number, answered=True) for name, whole in _list_wholes(row)}
        begun = min(_count_common(prompt, whole) for whole in wholes.values())
        whole = max(map(len, wholes.values()))
        if max_length is not None and begun >= max_length:
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
            answers[name].append(len(tokens) - begun)
        found.update(_list_losses(row, template, diverges=begun < len(prompt)))
    if beyond:
        raise ConfigError(
            f"{beyond} of {len(rows)} rows are longer than the model's context of {context} tokens: set "
            f"max_length={context} (they are then truncated) or take a model with a longer context"
        )
    if not kept:
        raise ConfigError(_explain_nothing_left(max_length, dropped, identical))
    texts = (chain.from_iterable(row[name] for name in ("prompt", *_ANSWERS) if name in row) for row in kept)
    found["special_tokens"] = count_with_special_tokens(texts, template.tokenizer)
    lengths = Lengths(len(kept), truncated, dropped, longest, **{name: count or None for name, count in found.items()})
    if "chosen" not in kept[0]:
        return kept, lengths
    chosen, rejected = (round(fmean(answers[name]), 1) for name in ("chosen", "rejected"))
    return kept, replace(lengths, identical=identical, chosen_mean=chosen, rejected_mean=rejected)


def _explain_nothing_left(max_length: int | None, dropped: int, identical: int) -> str:
    if not identical:
        return f"every prompt fills max_length={max_length}: raise it; there is nothing left to learn"
    also = f", and {dropped} prompts fill max_length={max_length}" if dropped else ""
    return (
        f"all {identical} pairs are the same in chosen and rejected after the chat template and max_length={max_length}"
        f"{also}: there is nothing left to learn; raise max_length, or give pairs that differ in more than blank space"
    )


def fit_prompts(
    rows: Sequence[Row], template: Template, max_completion_length: int, context: int | None
) -> tuple[list[Row], Lengths]:
    """Check that every prompt leaves room for a completion; return the rows and their counts.

    Raises:
        ConfigError: prompts that leave too little room, or a template that refuses a row.
    """
    longest, beyond, changed = 0, 0, 0
    for number, row in enumerate(rows, 1):
        prompt = len(template.encode(row["prompt"], number))
        longest = max(longest, prompt)
        beyond += context is not None and prompt + max_completion_length > context
        changed += _changes_turn(row["prompt"], template.write(row["prompt"], answered=False))
    if context is not None and beyond:
        lower = f"set max_completion_length={context - longest} or lower, " if longest < context else ""
        raise ConfigError(
            f"{beyond} of {len(rows)} prompts, the longest of {longest} tokens, leave less than max_completion_length="
            f"{max_completion_length} in the model's context of {context} tokens: {lower}take them out, or take a "
            "model with a longer context"
        )
    return list(rows), Lengths(len(rows), 0, 0, longest, turns_changed=changed or None)


def describe_marks(row: Row, template: Template) -> str | None:
    """Return a warning if an answer doesn't continue its prompt under the template, which opens a thought for the model
    but not in answers, or begins each answer with text that neither the prompt nor the data has. Else None or ""."""
    _, turns = next(iter(_list_wholes(row)))
    asked, whole = template.write(row["prompt"], answered=False), template.write(turns)
    common = _count_common(asked, whole)
    answer, thought = turns[-1]["content"].strip(), _squeeze(_read_thought(turns[-1]))
    answer = answer if answer in whole else split_reasoning(answer).answer.strip()
    begins = whole[common : max(common, whole.rfind(answer))]
    if thought and thought in _squeeze(whole[common:]) and asked[common:].strip() and not find_opening(asked):
        return (
            f"the chat template asks with {asked[common:]!r}, which no answer of the data follows, as they begin with "
            'a thought: what is trained is never asked for; chat_template_kwargs={"enable_thinking": true} asks for '
            "thoughts, if the template knows it"
        )
    if (thought and thought in _squeeze(begins)) or _hold_turn(begins, row["prompt"]):
        return None
    if not begins.strip():
        opening = find_opening(asked) if common < len(asked) else ""
        return opening and (
            f"the chat template opens a thought ({opening}) where the model is to answer, and none where the answers "
            "of the data stand: asked with this template the trained model answers within a thought; switch thinking "
            'off by chat_template_kwargs={"enable_thinking": false} if the template knows it, or train with one that '
            "opens none"
        )
    line = f"the chat template begins each answer with {begins!r}, which the trained model learns to write"
    if split_reasoning(find_opening(asked[:common]) + begins + _SAMPLE_ANSWER).answer == _SAMPLE_ANSWER:
        line += (
            ', and with it to answer without a thought; chat_template_kwargs={"enable_thinking": false} puts an empty '
            "thought into the prompt, if the template knows it"
        )
    return line


def describe_date(row: Row, template: Template) -> str | None:
    """Return a warning if the template writes today's date into conversations."""
    try:
        template.write(row["prompt"], answered=False, strftime_now="")  # no function: a template that calls it fails
    except TypeError:
        return (
            "the chat template writes today's date into the conversations, and the model is trained with it: on "
            "another day the same command trains it with another"
        )
    return None


def _list_wholes(row: Row) -> list[tuple[str, Turns]]:
    """Return (name, prompt with answer) for each answer of a row."""
    return [(name, [*row["prompt"], *row[name]]) for name in _ANSWERS if name in row]


def _list_losses(row: Row, template: Template, *, diverges: bool) -> set[str]:
    """Return the names of the counts in `Lengths` that a row adds to. `diverges`: its prompt's tokens change once it is
    answered."""
    found = set[str]()
    for _, turns in _list_wholes(row):
        whole, answer = template.write(turns), turns[-1]["content"].strip()
        if _squeeze(_read_thought(turns[-1])) not in _squeeze(whole):
            found.add("thoughts_lost")
        if _changes_turn(turns, whole):
            found.add("turns_changed")
        if not diverges and answer in whole:
            continue
        asked = template.write(row["prompt"], answered=False)
        common = _count_common(asked, whole)
        learnt = whole[common:]
        if common == len(asked) and diverges:
            found.add("prompts_merged")
        if _hold_turn(learnt[: max(0, learnt.rfind(answer))], row["prompt"]):
            found.add("prompts_learnt")
        if not _read_thought(turns[-1]) and split_reasoning(find_opening(whole[:common]) + learnt).reasoning:
            found.add("turns_changed")  # the answer mentions the end of a thought, and was cut there
    return found


def _hold_turn(text: str, turns: Turns) -> bool:
    return any(turn["content"].strip() in text for turn in turns if turn["content"].strip())


def _changes_turn(turns: Turns, whole: str) -> bool:
    """Tell whether the text of a turn is missing from the conversation, ignoring blank space. Of a turn with a thought,
    the answer alone is enough: templates rightly drop earlier thoughts, and a lost last one is counted separately."""
    squeezed = _squeeze(whole)
    contents = (turn["content"] for turn in turns)
    return any(
        _squeeze(content) not in squeezed and _squeeze(split_reasoning(content).answer) not in squeezed
        for content in contents
    )


def _read_thought(answer: Mapping[str, str]) -> str:
    """Return the thought of an answer, from its own field or from the text; "" if there is none."""
    fields = (answer.get(name) for name in REASONING_FIELDS)
    return next(filter(None, fields), "") or split_reasoning(answer["content"]).reasoning


def _squeeze(text: str) -> str:
    return "".join(text.split())


def _count_common(one: Sequence[object], other: Sequence[object]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
