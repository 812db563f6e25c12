"""§3.4, rows to train on: sft.jsonl, preferences.jsonl and rewards.jsonl of a run, or files of others in the same form.

    SFT   {"messages": [..., {"role": "user", ...}, {"role": "assistant", ...}]}      the last turn is learnt
    DPO   {"prompt": [...], "chosen": [one assistant turn], "rejected": [one assistant turn], "level": ...}
    GRPO  {"prompt": [...], "constraints": [{"functions": [source, ...], ...}], "query": ...}   the rest as far as known

A row that is not of this form is an error that names its line: a training on less than what was given would not be
the one that was asked for. Instruction level and query level come in one file and are trained on together, shuffled.

What is too long is counted in tokens under the model's own chat template, and never passed over in silence:

    the prompt alone fills max_length      dropped: no token of the answer would be left to learn
    prompt and answer exceed max_length    truncated at the end, by TRL
    more tokens than the model's context   an error: beyond it the model's positions mean nothing
    chosen and rejected the same tokens    dropped: a template that trims, or truncation, may leave nothing to learn

A row that reviewers of the run rejected is left out, and counted (docs/view.md).

Of GRPO only the prompts are known: each must leave room for max_completion_length within the context.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain, takewhile
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Any, Literal

from pydantic import JsonValue, ValidationError

from autoif.datasets.reviewed_rows import read_row_review, review_columns
from autoif.datasets.rows import Constraint, PreferenceRow, RewardRow, SftRow
from autoif.errors import ConfigError, first_line
from autoif.reading.jsonl import name_problem, read_json_lines
from autoif.reading.text_lines import load_json, parse_json
from autoif.runs.store import MANIFEST, PREFERENCES, REWARDS, SFT
from autoif.runs.whole_files import digest_file
from autoif.sampling.tokens import check_tokens, count_with_special_tokens
from autoif.settings import ROLES
from autoif.training.thoughts import count_lost_thoughts

Kind = Literal["sft", "dpo", "grpo"]
Row = dict[str, Any]
Message = dict[str, str]

FILES: dict[Kind, str] = {"sft": SFT, "dpo": PREFERENCES, "grpo": REWARDS}
_ROW_TYPES: dict[Kind, type[SftRow] | type[PreferenceRow] | type[RewardRow]] = {
    "sft": SftRow, "dpo": PreferenceRow, "grpo": RewardRow,
}  # fmt: skip
_ANSWERS = ("completion", "chosen", "rejected")
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a training reads.

    Attributes:
        path: the file.
        sha256: of its bytes, 64 hexadecimal digits; of the rows that are left where reviewers changed what counts.
        rows: `prompt` with `completion` (SFT) or with `chosen` and `rejected` (DPO), each a list of messages; or, for
            GRPO, with `constraints`, `query` and `query_id` as of `RewardRow`.
        levels: pairs of each level; of DPO only.
        run: what the run.json beside the file says of the run; None where there is none.
        rejected: rows that the file has, but reviewers rejected (`autoif.datasets.reviewed_rows`).
    """

    path: Path
    sha256: str
    rows: list[Row]
    levels: dict[str, int]
    run: dict[str, JsonValue] | None
    rejected: int = 0

    def record(self) -> dict[str, Any]:
        """Return what training.json holds of it."""
        rejected = {"rejected_by_reviewers": self.rejected} if self.rejected else {}
        return {
            "file": str(self.path), "sha256": self.sha256, "rows": len(self.rows), "levels": self.levels,
            "run": self.run, **rejected,
        }  # fmt: skip


def read_data(source: Path, kind: Kind) -> TrainingData:
    """Read a file of rows, or that of a run folder.

    Raises:
        ConfigError: another form, no row, or a row that can't be trained on; names the line.
        StoreError: the file can't be read.
    """
    path = source / FILES[kind] if source.is_dir() else source
    if source.is_dir() and not path.exists():
        raise ConfigError(f"the run folder {source} has no {path.name}: --data is a file of rows or a finished run")
    parse = {"sft": _sft_row, "dpo": _dpo_row, "grpo": _grpo_row}[kind]
    rows, levels, rejected = [], Counter[str](), 0
    review = read_row_review(path)
    changed = hashlib.sha256() if review else None
    for where, found in _objects(path):
        left = review_columns(found, _ROW_TYPES[kind], review) if review else found
        if left is None:
            rejected += 1
            continue
        rows.append(_parse(left, where, parse, kind))
        if changed:
            changed.update(json.dumps(left, sort_keys=True).encode("ascii"))
        if kind == "dpo":
            levels[str(found.get("level", "unknown"))] += 1
    if not rows:
        why = f"reviewers rejected all {rejected:,} rows" if rejected else "there is nothing to train on"
        raise ConfigError(f"{path} has no rows: {why}")
    sha256 = changed.hexdigest() if changed else digest_file(path)
    return TrainingData(path, sha256, rows, dict(sorted(levels.items())), _read_run(path), rejected)


class _RowError(Exception):
    """What is wrong with a row, without its place."""


def _objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in read_json_lines(path):
        where = f"{path}, line {number}"
        try:
            found = load_json(line)
        except (ValueError, RecursionError):
            raise ConfigError(f"{where}: not JSON; --data takes JSON Lines, one row a line") from None
        if not isinstance(found, dict):
            raise ConfigError(f"{where}: a row is an object, not {type(found).__name__}")
        yield where, found


def _parse(found: dict[str, Any], where: str, parse: Callable[[dict[str, Any]], Row], kind: Kind) -> Row:
    try:
        return parse(found)
    except _RowError as error:
        raise ConfigError(f"{where}: {error}{_other_form(found, kind)}") from None


def _other_form(found: dict[str, Any], kind: Kind) -> str:
    """Return what to do with a row that is of another data set."""
    if {"chosen", "rejected"} <= found.keys():
        of: Kind = "dpo"
        what = "preference pairs"
    elif "messages" in found:
        of, what = "sft", "SFT rows"
    elif {"constraints", "prompt"} <= found.keys():
        of, what = "grpo", "prompts for online training"
    else:
        return ""
    if of == kind:
        return ""
    command = "online-dpo` or `autoif train grpo" if of == "grpo" else of
    return f"; these are {what}: use `autoif train {command}`, or the run's {FILES[kind]}"


def _sft_row(found: dict[str, Any]) -> Row:
    messages = _messages(found, "messages")
    if messages[-1]["role"] != "assistant":
        raise _RowError('the last of "messages" is not an assistant turn')
    if len(messages) < 2 or messages[-2]["role"] != "user":
        raise _RowError('no user turn before the assistant turn of "messages"')
    return {"prompt": messages[:-1], "completion": messages[-1:]}


def _dpo_row(found: dict[str, Any]) -> Row:
    row: Row = {name: _messages(found, name) for name in ("prompt", "chosen", "rejected")}
    if row["prompt"][-1]["role"] != "user":
        raise _RowError('the last of "prompt" is not a user turn')
    for name in ("chosen", "rejected"):
        if [message["role"] for message in row[name]] != ["assistant"]:
            raise _RowError(f'"{name}" is not one assistant turn')
    if row["chosen"] == row["rejected"]:
        raise _RowError('"chosen" and "rejected" are the same: there is nothing to prefer')
    return row


def _grpo_row(found: dict[str, Any]) -> Row:
    prompt = _messages(found, "prompt")
    if prompt[-1]["role"] != "user":
        raise _RowError('the last of "prompt" is not a user turn')
    try:
        row = RewardRow.model_validate({**found, "prompt": prompt})
    except ValidationError as error:
        raise _RowError(name_problem(error)) from None
    constraints = [each.model_dump(mode="json", include=set(Constraint.model_fields)) for each in row.constraints]
    return {"prompt": prompt, "constraints": constraints, "query": row.query, "query_id": row.query_id}


def _messages(found: dict[str, Any], name: str) -> list[Message]:
    messages = found.get(name)
    if not isinstance(messages, list) or not messages:
        raise _RowError(f'the row has no "{name}" (a list of turns with role and content)')
    return [_message(message, name) for message in messages]


def _message(message: object, name: str) -> Message:
    role = message.get("role") if isinstance(message, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if role not in _ROLES or not isinstance(content, str):
        raise _RowError(f'a turn of "{name}" needs a role ({", ".join(_ROLES)}) and a text as content')
    if role == "assistant" and not content.strip():
        raise _RowError(f'an assistant turn of "{name}" is empty')
    return {"role": str(role), "content": content}


def _read_run(path: Path) -> dict[str, JsonValue] | None:
    """Return what a card says of the run that the file is from."""
    try:
        manifest = parse_json((path.parent / MANIFEST).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("identity"), dict):
        return None
    identity = manifest["identity"]
    models = {key: value for key, value in identity.items() if key in {f"models.{role}" for role in ROLES}}
    return {"folder": path.parent.name, "autoif": manifest.get("autoif"), "status": manifest.get("status"), **models}


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
    thoughts_lost: int | None = None
    """Rows whose answer has a thought that the chat template leaves out; None where there are none."""
    special_tokens: int | None = None
    """Rows whose texts hold special tokens of the model; None where there are none."""

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
        if self.thoughts_lost:
            line += f"; of {self.thoughts_lost} the chat template leaves out the thought before the answer"
            line += ": it is not learnt"
        if self.special_tokens:
            line += f"; {self.special_tokens} hold special tokens of the model in their texts, which end turns there"
        if self.chosen_mean is not None:
            line += f"; chosen {self.chosen_mean:.1f} tokens on average, rejected {self.rejected_mean:.1f}"
        return line


def fit_rows(
    rows: Sequence[Row],
    tokenizer: Any,
    max_length: int | None,
    context: int | None,
    template_kwargs: Mapping[str, Any] = MappingProxyType({}),
    vocabulary: int | None = None,
) -> tuple[list[Row], Lengths]:
    """Return the rows that can be learnt from, and what became of the others. None as `max_length` cuts nothing; None
    as `context` is that of a model that does not say how many tokens it can take, and as `vocabulary` of one that does
    not say how many it knows.

    Raises:
        ConfigError: rows that exceed the context, a template that refuses a row, or no row left.
    """
    kept, truncated, dropped, identical, beyond, longest = [], 0, 0, 0, 0, 0
    answers: dict[str, list[int]] = {name: [] for name in _ANSWERS}
    render = partial(_render, tokenizer, template_kwargs, vocabulary)
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
    lost = count_lost_thoughts(kept, tokenizer, template_kwargs)
    texts = (chain.from_iterable(row[name] for name in ("prompt", *_ANSWERS) if name in row) for row in kept)
    found = Lengths(
        len(kept), truncated, dropped, longest, thoughts_lost=lost or None,
        special_tokens=count_with_special_tokens(texts, tokenizer) or None,
    )  # fmt: skip
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
    vocabulary: int | None = None,
) -> tuple[list[Row], Lengths]:
    """Return the rows, whose prompts all leave room for a completion, and the tokens of the longest.

    Raises:
        ConfigError: prompts that leave too little room, or a template that refuses a row.
    """
    longest, beyond = 0, 0
    for number, row in enumerate(rows, 1):
        prompt = len(_render(tokenizer, template_kwargs, vocabulary, row["prompt"], number))
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
    wholes = {name: render(row["prompt"] + row[name], number, answered=True) for name in _ANSWERS if name in row}
    return min(_common(prompt, whole) for whole in wholes.values()), wholes


def _render(
    tokenizer: Any,
    kwargs: Mapping[str, Any],
    vocabulary: int | None,
    messages: list[Message],
    number: int,
    *,
    answered: bool = False,
) -> list[int]:
    """Return the tokens of messages, up to where an answer begins unless it is there."""
    from jinja2 import TemplateError  # of the extra `train`

    try:
        ids = tokenizer.apply_chat_template(
            messages, tokenize=True, return_dict=False, add_generation_prompt=not answered, **kwargs
        )
    except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise ConfigError(f"the model's chat template refuses row {number}: {first_line(error)}") from None
    check_tokens(ids, tokenizer, vocabulary, f"row {number}")
    return list(ids)


def _common(one: list[int], other: list[int]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
