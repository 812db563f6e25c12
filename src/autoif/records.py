"""The records that flow through the pipeline, in the order in which they arise (§3.2, §3.3).

    Instruction ─► Draft ─► VerifiedInstruction ─► Prompt ─► Response ─► SFT and preference rows

Records are frozen and refuse unknown fields. Ids are content hashes, so that the same content has the same id in every
run, engine and shard. Nothing in a record depends on time, on the machine, or on the order in which work was done.

A record that refers to another holds it in memory, and in files only its id (`Named`). To read such a file, pass the
records that may be named, by id, as pydantic's validation context.
"""

import hashlib
import json
from enum import StrEnum
from operator import not_
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationInfo,
)

from autoif.reading.text_lines import expand_home
from autoif.vocabulary import uncarry


class Record(BaseModel):
    """Frozen, typed, closed."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class ForeignRow(Record):
    """A row of a file that another program wrote; unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore")


def _find_named(given: Any, info: ValidationInfo) -> Any:
    if not isinstance(given, str):
        return given
    known = info.context or {}
    if given not in known:
        raise ValueError(f"there is no record {given}")
    return known[given]


R = TypeVar("R", bound=Record)
Named = Annotated[R, BeforeValidator(_find_named), PlainSerializer(lambda record: record.id, return_type=str)]
"""A record with a file of its own, which other files name by its id."""


def content_id(*parts: JsonValue) -> str:
    """Return the 16 hexadecimal digits that identify this content (SHA-256 of its canonical JSON)."""
    canonical = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:16]


HomePath = Annotated[str, AfterValidator(lambda path: str(expand_home(path)) if path[:1] in {"~", "-"} else path)]
"""A path, or another value that is allowed in its place, with "~" expanded to the home folder."""


class Verdict(StrEnum):
    """The outcome of running one function on one input."""

    PASS = "pass"
    FAIL = "fail"
    ERROR = "error"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    CRASH = "crash"


class Reason(StrEnum):
    """Why a record was dropped."""

    # seeds and queries
    NEEDS_CONTEXT = "needs_context"
    BENCHMARK_PROMPT = "benchmark_prompt"
    # self-instruct
    EMPTY = "empty"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"
    NOT_TEXT = "not_text"
    WRONG_LANGUAGE = "wrong_language"
    DUPLICATE_EXACT = "duplicate_exact"
    DUPLICATE_NORMALISED = "duplicate_normalised"
    DUPLICATE_NEAR = "duplicate_near"
    DUPLICATE_BEHAVIOUR = "duplicate_behaviour"
    NOT_AN_INSTRUCTION = "not_an_instruction"
    OVER_LIMIT = "over_limit"
    # verification
    NO_READABLE_ANSWER = "no_readable_answer"
    # cross-validation
    TOO_FEW_FUNCTIONS = "too_few_functions"
    TOO_FEW_CASES = "too_few_cases"
    NO_FUNCTION_LOADS = "no_function_loads"
    NO_CASE_AGREED = "no_case_agreed"
    NO_FUNCTION_AGREED = "no_function_agreed"
    ONE_SIDED_CASES = "one_sided_cases"
    ONE_SIDED_FUNCTIONS = "one_sided_functions"
    # contrast
    NO_LIFT = "no_lift"
    LOW_SCORE = "low_score"
    FAULTY_FUNCTIONS = "faulty_functions"
    NO_MAJORITY = "no_majority"
    # back-translation
    CONTRADICTION = "contradiction"
    # an answer of any stage
    REFUSED_BY_MODEL = "refused_by_model"
    TRUNCATED = "truncated"
    ONLY_REASONING = "only_reasoning"
    # rejection sampling
    DUPLICATE_RESPONSE = "duplicate_response"
    FAILED_FUNCTIONS = "failed_functions"
    COPIED = "copied"
    DEGENERATE = "degenerate"
    NO_RESPONSE_PASSES = "no_response_passes"
    # scoring
    NO_SCORE = "no_score"
    LOW_QUALITY = "low_quality"
    # replay with other settings
    NEVER_ASKED = "never_asked"
    # decisions
    REJECTED_BY_REVIEWER = "rejected_by_reviewer"


class Instruction(Record):
    """One atomic constraint on the form of a response."""

    id: str
    text: str
    origin: Literal["seed", "self_instruct"]

    @classmethod
    def of(cls, text: str, origin: Literal["seed", "self_instruct"]) -> "Instruction":
        return cls(id=content_id("instruction", text), text=text, origin=origin)


class Function(Record):
    """Python source that defines `evaluate(response: str) -> bool`."""

    id: str
    source: str

    @classmethod
    def of(cls, source: str) -> "Function":
        """Return a function. Its id ignores the helpers that the source carries: changing them changes no request."""
        return cls(id=content_id("function", uncarry(source)), source=source)


class Case(Record):
    """A unit test for functions: the verdict that `input` should get."""

    input: str
    expected: bool
    origin: Literal["writer", "judge"] = Field(default="writer", exclude_if=lambda origin: origin == "writer")
    """Who gave the expected verdict: the writer, or the judge about a text on which functions differ."""


class Answer(Record):
    """How one answer to the verification prompt was read. Format errors are counted separately from wrong functions."""

    index: int
    repairs: tuple[str, ...] = ()
    """What had to be repaired to read it, as `FormatRepair` values."""
    loss: str | None = None
    """Why nothing could be read from it, as a `FormatLoss` value; None if it was read."""
    cases_lost: int = 0
    """Cases in a readable answer that could not be read."""
    function: str = Field(default="", exclude_if=not_)
    """Id of the function that it gave. Only kept if the number of such answers matters: unless cases choose alone."""


class FunctionFault(StrEnum):
    """Why a function goes back to its writer."""

    DOES_NOT_LOAD = "does_not_load"
    RAISES = "raises"
    STANDS_ALONE = "stands_alone"


class RepairOutcome(StrEnum):
    """How the repair of a function ended."""

    REPAIRED = "repaired"
    UNCHANGED = "unchanged"
    """The writer stands by its function."""
    NO_BETTER = "no_better"
    """The new function has the same fault, or a worse one: the old one stays."""
    LOST = "lost"
    """No function could be read from the answer."""


class Repair(Record):
    """A function that went back to the writer with its fault, and what came of it."""

    round: int
    """1 for the first repair, 2 for a repair of what that made."""
    fault: FunctionFault
    function: Function
    """The faulty function."""
    feedback: str
    """What the writer was told."""
    answer: Answer
    explanation: str
    """The writer's, "" if it gave none."""
    made: Function | None
    outcome: RepairOutcome


class Ruling(Record):
    """What a model says about whether a text follows the instruction."""

    text: str
    by: Literal["writer", "judge"]
    """The writer is asked about its own case, the judge about a text on which functions differ."""
    source: Literal["case", "probe", "response"]
    answers: tuple[bool | None, ...]
    """The answer of each sample; None if it could not be read."""
    explanations: tuple[str, ...]

    @property
    def follows(self) -> bool | None:
        """What most readable answers say; None for a tie or if none can be read."""
        yes, no = self.answers.count(True), self.answers.count(False)
        return None if yes == no else yes > no


class Matrix(Record):
    """Every function run on every case: the raw material of cross-validation."""

    functions: tuple[Function, ...]
    cases: tuple[Case, ...]
    verdicts: tuple[tuple[Verdict, ...], ...] = ()
    """Shape (functions, cases); empty until the functions have run."""
    details: tuple[str, ...] = ()
    """For each function, the detail of its first verdict that is neither pass nor fail, or ""."""

    @property
    def agreement(self) -> tuple[tuple[bool, ...], ...]:
        """Whether a function's verdict on a case is the expected one. Shape (functions, cases)."""
        expected = [Verdict.PASS if case.expected else Verdict.FAIL for case in self.cases]
        return tuple(tuple(map(Verdict.__eq__, row, expected)) for row in self.verdicts)


class Draft(Record):
    """An instruction with the functions and cases that the writer wrote for it, not yet trusted."""

    id: str
    instruction: Instruction
    matrix: Matrix
    answers: tuple[Answer, ...]
    repairs: tuple[Repair, ...] = Field(default=(), exclude_if=not_)
    """Functions that went back to the writer, in that order."""
    rulings: tuple[Ruling, ...] = Field(default=(), exclude_if=not_)
    """What writer and judge said about texts."""
    settled: bool | None = Field(default=None, exclude_if=lambda settled: settled is None)
    """Whether most answers gave functions that behave alike; None if this was not checked."""


class BackTranslation(Record):
    """The description of a function in words, and how it compares with the instruction."""

    function_id: str
    text: str
    label: Literal["entailment", "neutral", "contradiction"]
    score: float
    source: str
    """Which model labelled it."""


class Answered(Record):
    """An answer whose verdicts help to choose functions by contrast."""

    query_id: str
    """"" for one from a file of answers."""
    index: int
    """Its number among the samples."""
    text: str = ""
    """"" for one without the instruction: all instructions share these, and the run's completions hold them."""
    revised: int = Field(default=0, exclude_if=lambda revised: not revised)
    """How often its model revised it."""


class Contrast(Record):
    """What an instruction's functions say of answers to it, and of answers to the same queries without it."""

    asked: tuple[Answered, ...]
    plain: tuple[Answered, ...]
    asked_verdicts: tuple[tuple[Verdict, ...], ...]
    """Shape (functions of the matrix, asked)."""
    plain_verdicts: tuple[tuple[Verdict, ...], ...]
    """Shape (functions of the matrix, plain)."""
    lifts: tuple[float, ...]
    """For each function, the share of `asked` that it accepts minus its share of `plain`, -1 to 1."""
    chosen_by: Literal["lift", "cases", "nothing"]
    """Why the kept functions were kept."""


class VerifiedInstruction(Record):
    """An instruction whose functions and cases agree with each other: what a response may have to follow."""

    id: str
    instruction: Instruction
    matrix: Matrix
    """All functions and cases, also those that did not agree."""
    kept_functions: tuple[int, ...]
    """Indices of the kept functions in the matrix."""
    kept_cases: tuple[int, ...]
    back_translations: tuple[BackTranslation, ...] = ()
    contrast: Contrast | None = Field(default=None, exclude_if=lambda contrast: contrast is None)
    """How contrast chose the functions; None if it didn't."""
    score: float | None = Field(default=None, exclude_if=lambda score: score is None)
    """How likely the functions are right, 0 to 1, if that chose them (`cross_validation.choose_by = "score"`)."""

    @property
    def functions(self) -> tuple[Function, ...]:
        """Those that were kept."""
        return tuple(self.matrix.functions[place] for place in self.kept_functions)

    @property
    def cases(self) -> tuple[Case, ...]:
        """Those that were kept."""
        return tuple(self.matrix.cases[place] for place in self.kept_cases)


class Query(Record):
    """A user's question, to be joined with an instruction."""

    id: str
    text: str

    @classmethod
    def of(cls, text: str) -> "Query":
        return cls(id=content_id("query", text), text=text)


class Prompt(Record):
    """A query joined with what the response has to follow; `text` is the user turn."""

    id: str
    constraints: tuple[Named[VerifiedInstruction], ...]
    query: Query
    text: str

    @property
    def instruction(self) -> str:
        """The texts of its constraints, a line each."""
        return "\n".join(each.instruction.text for each in self.constraints)

    @property
    def functions(self) -> tuple[Function, ...]:
        """The functions of all its constraints, in order."""
        return tuple(function for each in self.constraints for function in each.functions)


class Quality(Record):
    """How well a response answers its query: the judge's scores, 0 to 10, and their mean."""

    scores: tuple[float, ...]
    mean: float
    analyses: tuple[str, ...]


class Response(Record):
    """One answer to a prompt, with the verdict of each of the prompt's functions."""

    id: str
    prompt: Named[Prompt]
    index: int
    text: str
    verdicts: tuple[Verdict, ...] = ()
    pass_rate: float = 0.0
    quality: Quality | None = None


class Dropped(Record):
    """A record that a stage did not keep, whole, with the reason."""

    stage: str
    reason: Reason
    record_id: str
    detail: str
    record: Instruction | Draft | VerifiedInstruction | Response | None = None

    @classmethod
    def of(
        cls, stage: str, reason: Reason, record: Instruction | Draft | VerifiedInstruction | Response, detail: str
    ) -> "Dropped":
        """Return the entry for a dropped record; a draft or verified instruction has its instruction's id."""
        known_by = record.instruction if isinstance(record, Draft | VerifiedInstruction) else record
        return cls(stage=stage, reason=reason, record_id=known_by.id, detail=detail, record=record)
