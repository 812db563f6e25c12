"""The rows of a run's data sets (docs/records.md), read back and checked, for trainers that want another form.

What a trainer would choke on later is refused here by file and line: an empty answer, a conversation of another shape,
a reward without functions. Columns that are not named below are kept for the forms that carry every column.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from autoif.errors import ConfigError
from autoif.store import read_json_lines, read_jsonl, refuse_repeats
from autoif.text_lines import parse_json

Row = dict[str, JsonValue]
Text = Annotated[str, StringConstraints(pattern=r"\S")]
"""Not blank."""


class Form(StrEnum):
    """What a row trains."""

    SFT = "SFT"
    PREFERENCE = "preference"
    RL = "RL"


class Turn(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str
    content: Text


class UserTurn(Turn):
    """What is asked."""

    role: Literal["user"]


class AssistantTurn(Turn):
    """What is answered."""

    role: Literal["assistant"]


class DataRow(BaseModel):
    """Frozen; columns that have no field are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    def columns(self) -> Row:
        """Return all columns, as in the file."""
        return self.model_dump(mode="json")


class SftRow(DataRow):
    """A row of sft.jsonl."""

    messages: tuple[UserTurn, AssistantTurn]

    @property
    def prompt(self) -> str:
        return self.messages[0].content

    @property
    def answer(self) -> str:
        return self.messages[1].content


class PreferenceRow(DataRow):
    """A row of preferences.jsonl."""

    prompt: tuple[UserTurn]
    chosen: tuple[AssistantTurn]
    rejected: tuple[AssistantTurn]


class RewardRow(DataRow):
    """A row of rewards.jsonl."""

    prompt: tuple[UserTurn]
    functions: Annotated[tuple[Text, ...], Field(min_length=1)]
    instruction_id: str
    query_id: str
    instruction: str
    query: str


@dataclass(frozen=True, slots=True)
class Rows:
    """What there is to export; a form without rows is empty."""

    sft: tuple[SftRow, ...] = ()
    preferences: tuple[PreferenceRow, ...] = ()
    rewards: tuple[RewardRow, ...] = ()

    @property
    def forms(self) -> set[Form]:
        """The forms that have rows."""
        return {form for form, rows in zip(Form, (self.sft, self.preferences, self.rewards), strict=True) if rows}


_KINDS: dict[str, type[DataRow]] = {"sft": SftRow, "preferences": PreferenceRow, "rewards": RewardRow}
FILES = tuple(f"{field.name}.jsonl" for field in fields(Rows))
"""The names that a run gives them."""


def read_rows(paths: Sequence[Path]) -> Rows:
    """Read a run folder, or files of runs; which data set a file is, its first row says.

    Raises:
        ConfigError: a folder is no run or has no data set, or there is no row at all.
        StoreError: a file is named twice or can't be read, or a row doesn't fit; file and line are named.
    """
    rows: dict[str, list[DataRow]] = {name: [] for name in _KINDS}
    found = [each for path in paths for each in (_data_sets_of(path) if path.is_dir() else [(path, _kind_of(path))])]
    refuse_repeats([file for file, _ in found])
    for file, kind in found:
        rows[kind] += read_jsonl(file, _KINDS[kind])
    if not any(rows.values()):
        raise ConfigError(f"nothing to export: no rows in {', '.join(map(str, paths))}")
    return Rows(**{name: tuple(some) for name, some in rows.items()})  # type: ignore[arg-type]


def _data_sets_of(folder: Path) -> list[tuple[Path, str]]:
    found = [(folder / f"{name}.jsonl", name) for name in _KINDS if (folder / f"{name}.jsonl").exists()]
    if not found:
        cause = "its run has made no data set yet" if (folder / "run.json").exists() else "it is no run folder"
        raise ConfigError(f"{folder} has none of {', '.join(FILES)}: {cause}")
    return found


def _kind_of(file: Path) -> str:
    """Tell which data set a file is. One without rows may be any."""
    try:
        number, line = next(read_json_lines(file), (1, "null"))
        first = parse_json(line)
    except ValueError:
        raise ConfigError(f"{file}, line {number}: no JSON row: name a run folder, or its {', '.join(FILES)}") from None
    columns = first if isinstance(first, dict) else {}
    if "messages" in columns:
        return "sft"
    if "chosen" in columns:
        return "preferences"
    if "prompt" in columns or first is None:
        return "rewards"
    raise ConfigError(f"{file} is no data set of a run: name a run folder, or its {', '.join(FILES)}")
