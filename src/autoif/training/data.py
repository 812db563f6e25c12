"""§3.4, rows to train on: sft.jsonl, preferences.jsonl and rewards.jsonl of a run, or files of others in the same form.

    SFT   {"messages": [..., {"role": "user", ...}, {"role": "assistant", ...}]}      the last turn is learnt
    DPO   {"prompt": [...], "chosen": [one assistant turn], "rejected": [one assistant turn], "level": ...}
    GRPO  {"prompt": [...], "constraints": [{"functions": [source, ...], ...}], "query": ...}   the rest as far as known

A row that is not of this form is an error that names its line: a training on less than what was given would not be
the one that was asked for. Instruction level and query level come in one file and are trained on together, shuffled.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue, ValidationError

from autoif.datasets.rows import Constraint, RewardRow
from autoif.errors import ConfigError
from autoif.store import MANIFEST, PREFERENCES, REWARDS, SFT, name_problem, read_json_lines
from autoif.text_lines import load_json, parse_json

Kind = Literal["sft", "dpo", "grpo"]
Row = dict[str, Any]
Message = dict[str, str]

FILES: dict[Kind, str] = {"sft": SFT, "dpo": PREFERENCES, "grpo": REWARDS}
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a training reads.

    Attributes:
        path: the file.
        sha256: of its bytes, 64 hexadecimal digits.
        rows: `prompt` with `completion` (SFT) or with `chosen` and `rejected` (DPO), each a list of messages; or, for
            GRPO, with `constraints`, `query` and `query_id` as of `RewardRow`.
        levels: pairs of each level; of DPO only.
        run: what the run.json beside the file says of the run; None where there is none.
    """

    path: Path
    sha256: str
    rows: list[Row]
    levels: dict[str, int]
    run: dict[str, JsonValue] | None


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
    rows, levels = [], Counter[str]()
    for where, found in _objects(path):
        rows.append(_parse(found, where, parse, kind))
        if kind == "dpo":
            levels[str(found.get("level", "unknown"))] += 1
    if not rows:
        raise ConfigError(f"{path} has no rows: there is nothing to train on")
    return TrainingData(path, _digest(path), rows, dict(sorted(levels.items())), _read_run(path))


class _RowError(Exception):
    """What is wrong with a row, without its place."""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    models = {key: value for key, value in identity.items() if key in {f"models.{role}" for role in _RUN_ROLES}}
    return {"folder": path.parent.name, "autoif": manifest.get("autoif"), "status": manifest.get("status"), **models}


_RUN_ROLES = ("writer", "responder", "judge")
