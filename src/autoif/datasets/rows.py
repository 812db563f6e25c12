"""The rows of a run's data sets (docs/records.md#data-sets): the one form that all who write or read them share.

    sft.jsonl          SftRow          a response that passed, with what it had to obey
    preferences.jsonl  PreferenceRow   two responses to one prompt
    rewards.jsonl      RewardRow       a prompt, with what judges the responses to it

Each row stands alone: a constraint brings its functions. Files of others may leave out what they don't know, and may
have more columns, which are kept; null is the same as nothing, as `datasets` fills up rows that lack a key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from autoif.errors import ConfigError
from autoif.models.text import is_blank
from autoif.reading.json_text import parse_json
from autoif.reading.jsonl import read_json_lines
from autoif.records import Verdict, VerifiedInstruction
from autoif.runs.store import DATA_SETS, explain_folder, is_made

Columns = dict[str, JsonValue]
"""What a line of a file holds, by column."""
_USER, _ASSISTANT = ("user",), ("assistant",)


def _check_source(source: str) -> str:
    if not source.strip():
        raise ValueError("a blank text is no function")
    return source


def _write_id(given: Any) -> Any:
    """Write a number as people mean it: pandas makes floats of whole numbers where one is missing."""
    if isinstance(given, float) and given.is_integer():
        return str(int(given))
    return str(given) if isinstance(given, int) and not isinstance(given, bool) else given


Id = Annotated[str, BeforeValidator(_write_id)]
"""An id of our own or of others."""
Share = Annotated[float, Field(ge=0, le=1)]


class Form(StrEnum):
    """What a row trains."""

    SFT = "SFT"
    PREFERENCE = "preference"
    RL = "RL"


class Part(BaseModel):
    """Frozen; what has no field is kept, and null is nothing."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @model_validator(mode="before")
    @classmethod
    def _leave_out_null(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {key: value for key, value in given.items() if value is not None}


class Turn(Part):
    """One message of a conversation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str


class Constraint(Part):
    """What a response has to obey, and the functions that say whether it does."""

    instruction_id: Id = ""
    instruction: str = ""
    functions: Annotated[tuple[Annotated[str, AfterValidator(_check_source)], ...], Field(min_length=1)]
    reliability: float | None = Field(default=None, ge=0, le=1, exclude_if=lambda found: found is None)
    """How likely the functions are right, where that was estimated (`autoif.datasets.balance`)."""


class JudgedConstraint(Constraint):
    """A constraint with the verdict of each function on the response."""

    verdicts: tuple[Verdict, ...] = ()


class ComparedConstraint(Constraint):
    """A constraint with the verdict of each function on both responses of a pair."""

    chosen_verdicts: tuple[Verdict, ...] = ()
    rejected_verdicts: tuple[Verdict, ...] = ()


class DataRow(Part):
    """A row of any data set."""

    form: ClassVar[Form]
    turns: ClassVar[Mapping[str, tuple[str, ...]]]
    """The roles in each of its conversations, where a trainer takes one question and one answer."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_export(cls, given: Any) -> Any:
        functions = given.get("functions") if isinstance(given, Mapping) and not given.get("constraints") else None
        if functions and isinstance(functions, list) and all(isinstance(each, str) for each in functions):
            raise ValueError(
                'its "functions" are not in "constraints": it is an export for a trainer, where the run\'s own file is '
                "wanted"
            )
        return given

    def columns(self) -> Columns:
        """Return all columns that were given, as in the file."""
        return self.model_dump(mode="json", exclude_unset=True)


class SftRow(DataRow):
    """A row of sft.jsonl."""

    form = Form.SFT
    turns = {"messages": (*_USER, *_ASSISTANT)}

    messages: Annotated[tuple[Turn, ...], Field(min_length=1)]
    constraints: tuple[JudgedConstraint, ...] = ()
    pass_rate: Share | None = None
    """The share of all functions that pass, 0 to 1."""
    quality: float | None = None
    """The judge's mean score, 0 to 10; None where nobody scored."""
    query: str = ""
    query_id: Id = ""
    response_id: Id = ""

    @property
    def prompt(self) -> str:
        return self.messages[0].content

    @property
    def answer(self) -> str:
        return self.messages[-1].content


class PreferenceRow(DataRow):
    """A row of preferences.jsonl."""

    form = Form.PREFERENCE
    turns = {"prompt": _USER, "chosen": _ASSISTANT, "rejected": _ASSISTANT}

    prompt: Annotated[tuple[Turn, ...], Field(min_length=1)]
    chosen: Annotated[tuple[Turn, ...], Field(min_length=1)]
    rejected: Annotated[tuple[Turn, ...], Field(min_length=1)]
    level: Literal["instruction", "query"] | None = None
    """What was asked: the instruction alone, or a query with it."""
    constraints: tuple[ComparedConstraint, ...] = ()
    chosen_pass_rate: Share | None = None
    rejected_pass_rate: Share | None = None
    query_id: Id = ""


class RewardRow(DataRow):
    """A row of rewards.jsonl."""

    form = Form.RL
    turns = {"prompt": _USER}

    prompt: Annotated[tuple[Turn, ...], Field(min_length=1)]
    constraints: Annotated[tuple[Constraint, ...], Field(min_length=1)]
    query: str = ""
    query_id: Id = ""


AnyRow = SftRow | PreferenceRow | RewardRow


def constraint_of(verified: VerifiedInstruction) -> Constraint:
    """Return an instruction with its functions as a row has them."""
    instruction, sources = verified.instruction, tuple(function.source for function in verified.functions)
    return Constraint(instruction_id=instruction.id, instruction=instruction.text, functions=sources)


def list_functions(row: AnyRow) -> tuple[str, ...]:
    """Return the sources of all functions of a row, in the order of its constraints."""
    return tuple(source for each in row.constraints for source in each.functions)


def describe_reliability(row: RewardRow) -> Columns:
    """Return the column that says how reliable a row's least reliable constraint is; none where one doesn't say."""
    found = [each.reliability for each in row.constraints]
    known = [each for each in found if each is not None]
    return {"reliability": min(known)} if len(known) == len(found) else {}


def name_instructions(row: AnyRow) -> str:
    """Return the ids of a row's instructions as one text."""
    return "+".join(each.instruction_id for each in row.constraints)


def check_turns(row: DataRow) -> None:
    """Raise ValueError unless each conversation of a row is what `turns` says, and none of its texts is blank."""
    for name, roles in row.turns.items():
        turns: Sequence[Turn] = getattr(row, name)
        if tuple(turn.role for turn in turns) != roles:
            raise ValueError(f"{name}: one {' turn and one '.join(roles)} turn is taken, no other conversation")
        for place, turn in enumerate(turns):
            if is_blank(turn.content):
                raise ValueError(f"{name}.{place}: the {turn.role} turn is blank")


@dataclass(frozen=True, slots=True)
class RowSets:
    """What there is of each form; one without rows is empty."""

    sft: tuple[SftRow, ...] = ()
    preferences: tuple[PreferenceRow, ...] = ()
    rewards: tuple[RewardRow, ...] = ()
    left_out: int = 0
    """Rows that the files have, but reviewers rejected."""
    repeated: int = 0
    """Rows that are equal to an earlier one, where several inputs were named."""
    marked: int = 0
    """Rows with a thought, or a token of a chat template, in an answer: others' or edited ones."""

    @property
    def forms(self) -> set[Form]:
        return {row.form for rows in (self.sft, self.preferences, self.rewards) for row in rows[:1]}


def find_data_sets(path: Path) -> list[Path]:
    """Return a file as it is, of a run folder its data sets.

    Raises:
        ConfigError: the folder has none.
        StoreError: the run has made one, and it is gone.
    """
    if not path.is_dir():
        return [path]
    found = [path / name for name in DATA_SETS if is_made(path, name)]
    if not found:
        raise ConfigError(f"{path} has none of {', '.join(DATA_SETS)}: {explain_folder(path)}")
    return found


def find_kind(file: Path) -> type[SftRow] | type[PreferenceRow] | type[RewardRow]:
    """Tell by its first row which data set a file is. One without rows may be any.

    Raises:
        ConfigError: it is none.
        StoreError: it can't be read.
    """
    names = f"name a run folder, or its {', '.join(DATA_SETS)}"
    if file.is_fifo():
        raise ConfigError(
            f"{file} is a pipe, which can be read only once, and what it holds is looked at first: {names}"
        )
    try:
        number, line = next(read_json_lines(file), (1, "null"))
        first = parse_json(line)
    except ValueError:
        raise ConfigError(f"{file}, line {number}: no JSON row: {names}") from None
    columns = {name for name, value in first.items() if value is not None} if isinstance(first, dict) else set()
    if "messages" in columns:
        return SftRow
    if "chosen" in columns:
        return PreferenceRow
    if "prompt" in columns or first is None:
        return RewardRow
    raise ConfigError(f"{file} is no data set of a run: {names}")
