"""The rows of a run's data sets (docs/records.md#data-sets), as every writer and reader uses them.

    sft.jsonl          SftRow          a response that passed, with the constraints that it had to obey
    preferences.jsonl  PreferenceRow   two responses to one prompt
    rewards.jsonl      RewardRow       a prompt, with the functions that judge responses to it

Each row is self-contained: a constraint includes its functions. Files from elsewhere may lack optional columns, and may
have additional ones, which are kept. Null is the same as a missing value, as `datasets` fills in keys that a row lacks.
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
"""A line of a file: the value of each column."""
_USER, _ASSISTANT = ("user",), ("assistant",)


def _check_source(source: str) -> str:
    if not source.strip():
        raise ValueError("a blank text is no function")
    return source


def _write_id(given: Any) -> Any:
    """Convert a numeric id to text. pandas turns whole numbers into floats if one is missing, so 7.0 becomes "7"."""
    if isinstance(given, float) and given.is_integer():
        return str(int(given))
    return str(given) if isinstance(given, int) and not isinstance(given, bool) else given


Id = Annotated[str, BeforeValidator(_write_id)]
"""An id, our own or from elsewhere."""
Share = Annotated[float, Field(ge=0, le=1)]


class Form(StrEnum):
    """The kind of training that a row is for."""

    SFT = "SFT"
    PREFERENCE = "preference"
    RL = "RL"


class Part(BaseModel):
    """Base of rows and their parts: frozen, keeps unknown fields, and treats null as missing."""

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
    """An instruction that a response has to obey, and the functions that check whether it does."""

    instruction_id: Id = ""
    instruction: str = ""
    functions: Annotated[tuple[Annotated[str, AfterValidator(_check_source)], ...], Field(min_length=1)]
    reliability: float | None = Field(default=None, ge=0, le=1, exclude_if=lambda found: found is None)
    """How likely the functions are right, if that was estimated (`autoif.datasets.balance`)."""


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
    """The roles in each of its conversations, for trainers that take one question and one answer."""

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
        """Return all columns that were given, as they are in the file."""
        return self.model_dump(mode="json", exclude_unset=True)


class SftRow(DataRow):
    """A row of sft.jsonl."""

    form = Form.SFT
    turns = {"messages": (*_USER, *_ASSISTANT)}

    messages: Annotated[tuple[Turn, ...], Field(min_length=1)]
    constraints: tuple[JudgedConstraint, ...] = ()
    pass_rate: Share | None = None
    """The share of functions that pass, 0 to 1: of several constraints, that of the one that is followed least."""
    quality: float | None = None
    """The judge's mean score, 0 to 10; None if the response was not scored."""
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
    """Whether the prompt is the instruction alone, or a query with the instruction."""
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
    """Return an instruction with its functions in the form of a row's constraint."""
    instruction, sources = verified.instruction, tuple(function.source for function in verified.functions)
    return Constraint(instruction_id=instruction.id, instruction=instruction.text, functions=sources)


def list_functions(row: AnyRow) -> tuple[str, ...]:
    """Return the sources of all functions of a row, in the order of its constraints."""
    return tuple(source for each in row.constraints for source in each.functions)


def describe_reliability(row: RewardRow) -> Columns:
    """Return a column with the reliability of a row's least reliable constraint; {} if one has no estimate."""
    known = [each.reliability for each in row.constraints if each.reliability is not None]
    return {"reliability": min(known)} if len(known) == len(row.constraints) else {}


def name_instructions(row: AnyRow) -> str:
    """Return the ids of a row's instructions as one text, joined by "+"."""
    return "+".join(each.instruction_id for each in row.constraints)


def check_turns(row: DataRow) -> None:
    """Raise ValueError unless each conversation of a row has the roles that `turns` names, and no text is blank."""
    for name, roles in row.turns.items():
        turns: Sequence[Turn] = getattr(row, name)
        if tuple(turn.role for turn in turns) != roles:
            raise ValueError(f"{name}: one {' turn and one '.join(roles)} turn is taken, no other conversation")
        for place, turn in enumerate(turns):
            if is_blank(turn.content):
                raise ValueError(f"{name}.{place}: the {turn.role} turn is blank")


@dataclass(frozen=True, slots=True)
class RowSets:
    """The rows of each form; empty for a form without rows."""

    sft: tuple[SftRow, ...] = ()
    preferences: tuple[PreferenceRow, ...] = ()
    rewards: tuple[RewardRow, ...] = ()
    left_out: int = 0
    """Number of rows in the files that reviewers rejected."""
    repeated: int = 0
    """Number of rows that equal an earlier one, if several inputs were named."""
    marked: int = 0
    """Number of rows with a thought, or a token of a chat template, in an answer: edited rows, or from elsewhere."""

    @property
    def forms(self) -> set[Form]:
        return {row.form for rows in (self.sft, self.preferences, self.rewards) for row in rows[:1]}


def find_data_sets(path: Path) -> list[Path]:
    """Return the data sets of a run folder, or `path` itself if it is a file.

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
    """Return the row type of a file, judged by its first row. A file without rows may be any data set.

    Raises:
        ConfigError: it is no data set.
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
