"""§3.4, rows to train on: sft.jsonl, preferences.jsonl and rewards.jsonl of a run, or other files of the same form.

    SFT   {"messages": [..., {"role": "user", ...}, {"role": "assistant", ...}]}      the last turn is learnt
    DPO   {"prompt": [...], "chosen": [one assistant turn], "rejected": [one assistant turn], "level": ...}
    GRPO  {"prompt": [...], "constraints": [{"functions": [source, ...], ...}], "query": ...}   other fields if known

A row of another form is an error that names its line: a training must not silently use less data than it was given.
Instruction level and query level come in one file and are trained on together, shuffled.

A thought in a field of its own, such as `reasoning_content`, goes to the chat template with the answer. A row with
meaning beyond its texts, such as one that calls tools or is marked as not to be learnt, is an error, too.

Rows that reviewers of the run rejected are left out and counted (docs/view.md).
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue, ValidationError

from autoif.datasets.reviewed_rows import read_row_review, review_columns
from autoif.datasets.rows import Constraint, PreferenceRow, RewardRow, SftRow
from autoif.errors import ConfigError, StoreError
from autoif.models.wire import REASONING_FIELDS
from autoif.reading.json_text import TwoValues, load_json
from autoif.reading.jsonl import name_problem, read_json_lines
from autoif.runs.store import PREFERENCES, REWARDS, SFT, find_rows, read_manifest
from autoif.runs.whole_files import digest_file
from autoif.settings import ROLES

Kind = Literal["sft", "dpo", "grpo"]
Row = dict[str, Any]
Message = dict[str, str]

FILES: dict[Kind, str] = {"sft": SFT, "dpo": PREFERENCES, "grpo": REWARDS}
_ROW_TYPES: dict[Kind, type[SftRow] | type[PreferenceRow] | type[RewardRow]] = {
    "sft": SftRow, "dpo": PreferenceRow, "grpo": RewardRow,
}  # fmt: skip
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The data that a training reads.

    Attributes:
        path: the file.
        sha256: 64 hexadecimal digits, over the file's bytes, or over the remaining rows if there are reviews.
        rows: `prompt` with `completion` (SFT) or with `chosen` and `rejected` (DPO), each a list of messages; or, for
            GRPO, with `constraints`, `query` and `query_id` as in `RewardRow`.
        levels: number of pairs of each level; DPO only.
        run: facts about the run from the run.json beside the file; None if there is none.
        rejected: number of rows in the file that reviewers rejected (`autoif.datasets.reviewed_rows`).
    """

    path: Path
    sha256: str
    rows: list[Row]
    levels: dict[str, int]
    run: dict[str, JsonValue] | None
    rejected: int = 0

    def record(self) -> dict[str, Any]:
        """Return what training.json holds of the data."""
        rejected = {"rejected_by_reviewers": self.rejected} if self.rejected else {}
        return {
            "file": str(self.path), "sha256": self.sha256, "rows": len(self.rows), "levels": self.levels,
            "run": self.run, **rejected,
        }  # fmt: skip


def read_data(source: Path, kind: Kind) -> TrainingData:
    """Read a file of rows, or the one in a run folder.

    Raises:
        ConfigError: another form, no rows, or a row that can't be trained on; the message names the line.
        StoreError: the file can't be read, or the folder has none.
    """
    path = find_rows(source, FILES[kind])
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
            levels[str(found.get("level") or "unknown")] += 1
    if not rows:
        why = f"reviewers rejected all {rejected:,} rows" if rejected else "there is nothing to train on"
        raise ConfigError(f"{path} has no rows: {why}")
    sha256 = changed.hexdigest() if changed else digest_file(path)
    return TrainingData(path, sha256, rows, dict(sorted(levels.items())), _read_run(path), rejected)


class _RowError(Exception):
    """Tells what is wrong with a row, without its line."""


def _objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in read_json_lines(path):
        where = f"{path}, line {number}"
        try:
            found = load_json(line)
        except TwoValues as error:
            raise ConfigError(f"{where}: {error}: mend or remove the row") from None
        except (ValueError, RecursionError):
            raise ConfigError(f"{where}: not JSON; --data takes rows as JSON lines, a JSON list or Parquet") from None
        if not isinstance(found, dict):
            raise ConfigError(f"{where}: a row is an object, not {type(found).__name__}")
        yield where, found


def _parse(found: dict[str, Any], where: str, parse: Callable[[dict[str, Any]], Row], kind: Kind) -> Row:
    try:
        if found.get("tools"):
            raise _RowError('it has "tools": conversations are trained on as texts, without tools')
        return parse(found)
    except _RowError as error:
        raise ConfigError(f"{where}: {error}{_other_form(found, kind)}") from None


def _other_form(found: dict[str, Any], kind: Kind) -> str:
    """Return advice if the row is of another kind of training; else ""."""
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
    return {"prompt": messages[:-1], "completion": [_answer(found, "messages", messages)]}


def _dpo_row(found: dict[str, Any]) -> Row:
    row: Row = {name: _messages(found, name) for name in ("prompt", "chosen", "rejected")}
    if row["prompt"][-1]["role"] != "user":
        raise _RowError('the last of "prompt" is not a user turn')
    for name in ("chosen", "rejected"):
        if [message["role"] for message in row[name]] != ["assistant"]:
            raise _RowError(f'"{name}" is not one assistant turn')
        row[name] = [_answer(found, name, row[name])]
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
    given = message if isinstance(message, dict) else {}
    role, content = given.get("role"), given.get("content")
    if role not in _ROLES or not isinstance(content, str):
        raise _RowError(f'a turn of "{name}" needs a role ({", ".join(_ROLES)}) and a text as content')
    for calls in ("tool_calls", "function_call"):
        if given.get(calls):
            raise _RowError(f'a turn of "{name}" has "{calls}": conversations are trained on as texts, without tools')
    if role == "assistant" and not content.strip():
        raise _RowError(f'an assistant turn of "{name}" is empty')
    return {"role": str(role), "content": content}


def _answer(found: Mapping[str, Any], name: str, messages: Sequence[Message]) -> Message:
    """Return the turn that is learnt, with its thought if that has a field of its own."""
    given = found[name][-1]
    if given.get("weight") not in {None, 1} or given.get("train") not in {None, True}:
        raise _RowError(
            f'the last turn of "{name}" is marked as not to be learnt, or not in full (by its "weight" or "train")'
        )
    thought = {key: value for key in REASONING_FIELDS if isinstance(value := given.get(key), str) and value.strip()}
    return {**messages[-1], **dict([*thought.items()][:1])}


def _read_run(path: Path) -> dict[str, JsonValue] | None:
    """Return what the card tells about the run that the file is from; None if unknown."""
    try:
        manifest: Mapping[str, Any] = read_manifest(path.parent)
    except StoreError:
        return None
    if not manifest:
        return None
    identity = manifest["identity"]
    models = {key: value for key, value in identity.items() if key in {f"models.{role}" for role in ROLES}}
    return {"folder": path.parent.name, "autoif": manifest.get("autoif"), "status": manifest.get("status"), **models}
