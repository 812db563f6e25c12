"""Requests, answers and refusals, with a limit on every size.

Texts are Python strings as `json` reads them, lone surrogates and NUL included. So their length is checked here and
not by pydantic, whose constrained strings must be UTF-8.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, NonNegativeFloat, WithJsonSchema, model_validator

from autoif.models.requests import Completion
from autoif.records import Record, Verdict
from autoif.reward import RewardMode
from autoif.reward_inputs import read_completion

MAX_FUNCTIONS: Final = 256
"""Of one request, or of one item of it."""
MAX_TEXTS: Final = 4096
"""Responses or items of one request."""
MAX_SOURCE_CHARS: Final = 65_536
MAX_TEXT_CHARS: Final = 2_000_000
MAX_VERDICTS: Final = 131_072
"""Functions x texts of one request, such as 64 functions on 2,048 responses."""


def _bounded(longest: int) -> tuple[AfterValidator, WithJsonSchema]:
    def check(text: str) -> str:
        if len(text) > longest:
            raise ValueError(f"{len(text):,} characters, at most {longest:,} are allowed")
        return text

    return AfterValidator(check), WithJsonSchema({"type": "string", "maxLength": longest})


Source = Annotated[str, *_bounded(MAX_SOURCE_CHARS)]
"""Python source that defines `evaluate(response: str) -> bool`."""
Text = Annotated[str, *_bounded(MAX_TEXT_CHARS)]

# fail_fast: validation stops at the first wrong value.
Sources = Annotated[list[Source], Field(min_length=1, max_length=MAX_FUNCTIONS, fail_fast=True)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS, fail_fast=True)]

_ENDS_WITH_A_STOP: Final = "def evaluate(response):\n    return response.endswith('.')"


class VerifyRequest(Record):
    """Functions to run on responses, each on all."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"functions": [_ENDS_WITH_A_STOP], "responses": ["Yes.", "no"]}]}
    )

    functions: Sources
    responses: Texts

    @model_validator(mode="after")
    def _limit_verdicts(self) -> "VerifyRequest":
        _check_verdicts(self.count_verdicts())
        return self

    def count_verdicts(self) -> int:
        return len(self.functions) * len(self.responses)


class RewardItem(Record):
    """A completion and the functions that judge it."""

    completion: Text
    """A thought at its beginning is not judged."""
    functions: Sources

    def read(self) -> Completion:
        """Return the answer and its thought."""
        return read_completion(self.completion)


class RewardRequest(Record):
    """Completions to reward, each by its own functions."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"mode": "binary", "items": [{"completion": "Yes.", "functions": [_ENDS_WITH_A_STOP]}]}]
        }
    )

    items: Annotated[list[RewardItem], Field(min_length=1, max_length=MAX_TEXTS, fail_fast=True)]
    mode: RewardMode = RewardMode.BINARY
    """binary: 1 if more than half of the functions pass, else 0; fraction: the share that passes."""

    @model_validator(mode="after")
    def _limit_verdicts(self) -> "RewardRequest":
        _check_verdicts(self.count_verdicts())
        return self

    def count_verdicts(self) -> int:
        return sum(len(item.functions) for item in self.items)


class VerdictOut(Record):
    """The verdict of one function on one text."""

    verdict: Verdict
    detail: str
    """Why it is neither pass nor fail; "" if it is either."""
    seconds: NonNegativeFloat


class VerifyAnswer(Record):
    """The whole matrix."""

    verdicts: list[list[VerdictOut]]
    """Shape (functions, responses), both in the order of the request."""
    not_loaded: list[int]
    """The functions, counted from 0, that gave no `evaluate` to call; their details say why."""


class RewardAnswer(Record):
    """A reward for every item, in the order of the request."""

    rewards: list[Annotated[float, Field(ge=0, le=1)]]
    faults: list[Literal["", "only_reasoning", "unfinished_reasoning"]]
    """Why an item has no answer, and so the reward 0: it is only a thought, or a thought that never ends; else ""."""
    verdicts: list[list[VerdictOut]]
    """For every item, the verdict of each of its functions."""


class Problem(Record):
    """Why a request was refused."""

    code: str
    """One word for programs."""
    message: str
    """One line for people."""


class ErrorAnswer(Record):
    """The body of every answer that is not a success."""

    error: Problem


class Health(Record):
    """Whether the server takes requests on."""

    status: Literal["ready", "draining"]
    sandbox: str
    """The backend and the layers that hold."""


def _check_verdicts(count: int) -> None:
    if count > MAX_VERDICTS:
        raise ValueError(f"{count:,} verdicts asked for, at most {MAX_VERDICTS:,} are given at once: split the request")


STATUS: Final = {
    "bad_json": 400,  # the body is no JSON text, or has a key twice
    "no_token": 401,  # the token is missing or wrong
    "wrong_origin": 403,  # a page of another origin asks (only of `autoif view`)
    "not_found": 404,
    "method_not_allowed": 405,
    "slow_body": 408,  # the body did not arrive before the deadline
    "run_unreadable": 409,  # a run folder can't be read or written now (only of `autoif view`)
    "body_too_large": 413,
    "not_json": 415,  # the body is not announced as application/json, or is compressed
    "wrong_host": 421,  # a server without a token was called by a name that is not this machine's own
    "invalid": 422,  # the body is JSON, but not what this route takes
    "queue_full": 429,  # the server has taken on as much as it may
    "internal": 500,
    "draining": 503,  # the server is stopping
    "sandbox": 503,  # functions can't be run in isolation now
    "deadline": 504,  # the verdicts were not all there in time
}
"""Code → HTTP status."""


class Refusal(Exception):
    """A request that is answered with an error; `message` is one line for the person who sent it."""

    def __init__(self, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = STATUS[code]
        self.message = " ".join(message.split())
        self.headers = dict(headers or {})
