"""The records that flow through the pipeline, in the order in which they arise (METHOD: paper §3.2, §3.3).

    Instruction ─► Draft ─► VerifiedInstruction ─► Prompt ─► Response ─► SFT and preference rows

Records are frozen and refuse unknown fields. Ids are content hashes, so that the same content has the same id in every
run, engine and shard. Nothing in a record depends on time, on the machine, or on the order in which work was done.
"""

import hashlib
import json
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue


class Record(BaseModel):
    """Frozen, typed, closed."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def content_id(*parts: JsonValue) -> str:
    """Return the 16 hexadecimal digits that identify this content (SHA-256 of its canonical JSON)."""
    canonical = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:16]


class Verdict(StrEnum):
    """What running one function on one input came to."""

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
    # self-instruct
    EMPTY = "empty"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"
    NOT_TEXT = "not_text"
    WRONG_LANGUAGE = "wrong_language"
    DUPLICATE_EXACT = "duplicate_exact"
    DUPLICATE_NORMALISED = "duplicate_normalised"
    DUPLICATE_NEAR = "duplicate_near"
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
    # back-translation
    CONTRADICTION = "contradiction"
    # an answer of any stage
    REFUSED_BY_MODEL = "refused_by_model"
    TRUNCATED = "truncated"
    ONLY_REASONING = "only_reasoning"
    # rejection sampling
    DUPLICATE_RESPONSE = "duplicate_response"
    FAILED_FUNCTIONS = "failed_functions"
    # scoring
    NO_SCORE = "no_score"
    LOW_QUALITY = "low_quality"


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
        return cls(id=content_id("function", source), source=source)


class Case(Record):
    """A unit test for functions: the verdict that `input` should get."""

    input: str
    expected: bool


class Answer(Record):
    """How one model answer to the verification prompt was read: format losses, counted apart from logic losses."""

    index: int
    repairs: tuple[str, ...] = ()
    """What had to be mended to read it, as `FormatRepair` values."""
    loss: str | None = None
    """Why nothing could be read from it, as a `FormatLoss` value; None if it was read."""
    cases_lost: int = 0
    """Cases in a readable answer that could not be read."""


class Matrix(Record):
    """Every function run on every case: the raw material of cross-validation."""

    functions: tuple[Function, ...]
    cases: tuple[Case, ...]
    verdicts: tuple[tuple[Verdict, ...], ...]
    """Shape (functions, cases)."""
    details: tuple[str, ...] = ()
    """For each function, the detail of its first verdict that is neither pass nor fail, or ""."""


class Draft(Record):
    """An instruction with the functions and cases that the writer wrote for it, not yet trusted."""

    id: str
    instruction: Instruction
    functions: tuple[Function, ...]
    cases: tuple[Case, ...]
    answers: tuple[Answer, ...]
    matrix: Matrix | None = None


class BackTranslation(Record):
    """A function described in words again, and how that compares with the instruction."""

    function_id: str
    text: str
    label: Literal["entailment", "neutral", "contradiction"]
    score: float
    source: str
    """Which model labelled it."""


class VerifiedInstruction(Record):
    """An instruction whose functions and cases agree with each other."""

    id: str
    instruction: Instruction
    functions: tuple[Function, ...]
    cases: tuple[Case, ...]
    matrix: Matrix
    back_translations: tuple[BackTranslation, ...] = ()


class Query(Record):
    """A user's question, to be joined with an instruction."""

    id: str
    text: str

    @classmethod
    def of(cls, text: str) -> "Query":
        return cls(id=content_id("query", text), text=text)


class Prompt(Record):
    """A query joined with an instruction; `text` is the user turn."""

    id: str
    instruction: Instruction
    functions: tuple[Function, ...]
    query: Query
    text: str


class Quality(Record):
    """How well a response answers its query: the judge's scores, 0 to 10, and their mean."""

    scores: tuple[float, ...]
    mean: float
    analyses: tuple[str, ...]


class Response(Record):
    """One answer to a prompt, with the verdict of each of the prompt's functions."""

    id: str
    prompt: Prompt
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
    record: dict[str, JsonValue] = {}

    @classmethod
    def of(cls, stage: str, reason: Reason, record: Instruction | Response, detail: str) -> "Dropped":
        """Return a record as dropped by a stage."""
        whole = record.model_dump(mode="json")
        return cls(stage=stage, reason=reason, record_id=record.id, detail=detail, record=whole)
