"""What a stage asks of a model, and what it gets: independent of endpoint, transport and cache."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pydantic import JsonValue

from autoif.records import Reason, content_id

Role = Literal["writer", "responder", "judge"]

ASKED_FOR: ContextVar[str] = ContextVar("asked_for", default="self_instruct-0000")
"""The shard for which a task works: whoever stores its answers elsewhere keeps those of a shard together."""


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt, sampled `samples` times: `messages` (chat), or else `prompt` (plain completion).

    `stage` only accounts for usage; `seed` comes from the record's id, never from time or order.
    """

    role: Role
    stage: str
    messages: tuple[tuple[str, str], ...] = ()
    """(role, content) pairs of a chat."""
    prompt: str = ""
    samples: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 512
    seed: int = 0
    stop: tuple[str, ...] = ()
    json_schema: dict[str, JsonValue] | None = field(default=None, hash=False)
    """Constrains the answer where the server can; elsewhere the answer is merely asked for in this form."""
    top_logprobs: int = 0
    """How many alternatives of the first token to return with their log-probabilities."""
    plain: bool = False
    """Whether the answer is of the model's plain distribution, whatever top-k, min-p or penalties are the default."""

    @property
    def text(self) -> str:
        """All that is asked, turn after turn."""
        return "\n".join(content for _, content in self.messages) or self.prompt


FinishReason = Literal["stop", "length", "refused", "unknown"]
"""`stop`: the model ended its answer. `length`: it was cut, in its thought or after it. `refused`: the server rejected
this one request (too long, filtered). `unknown`: the server says something else, or nothing."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled answer. An answer that the server refused for this request alone is data, not an error."""

    text: str
    """The answer alone: no thought, no chat token, no control character (`models/wire.py`)."""
    finish_reason: FinishReason
    prompt_tokens: int = 0
    completion_tokens: int = 0
    """Of thought and answer together."""
    logprobs: tuple[tuple[str, float], ...] = ()
    """(token, log-probability) alternatives of the first token, most likely first."""
    reasoning: str = ""
    """The thought before the answer, "" if there was none."""
    reasoning_tokens: int = 0
    """How many of `completion_tokens` were thought."""
    estimated: bool = False
    """The server counted no tokens: the numbers are estimates by length of text."""
    detail: str = ""
    """Of a refusal the server's own sentence; of an unknown finish reason what the server wrote; of a cut why it was
    made, if not at the request's `max_tokens`."""

    @property
    def fault(self) -> Reason | None:
        """Why this is no whole answer: refused, cut, only a thought, or nothing at all. None if it is one."""
        if self.finish_reason == "refused":
            return Reason.REFUSED_BY_MODEL
        if self.finish_reason == "length":
            return Reason.TRUNCATED
        if not self.text.strip():
            return Reason.ONLY_REASONING if self.reasoning else Reason.EMPTY
        return None

    @property
    def fault_detail(self) -> str:
        """The fault in words, of a refusal the server's own; "" if there is none."""
        match self.fault:
            case Reason.REFUSED_BY_MODEL:
                return self.detail or "refused without a reason"
            case Reason.TRUNCATED:
                return (f"cut off: {self.detail}" if self.detail else "cut off at max_tokens") + (
                    ", in its thought" if self.reasoning and not self.text.strip() else ""
                )
            case Reason.ONLY_REASONING:
                return f"a thought of {len(self.reasoning):,} characters, and no answer after it"
            case Reason.EMPTY:
                return f"an empty answer{f' ({self.detail})' if self.detail else ''}"
        return ""


def sampling_seed(*parts: JsonValue) -> int:
    """Return the seed, 0 to 2^31 - 1, that belongs to these ids: the same in every run, engine and order."""
    return int(content_id("seed", *parts), 16) % (1 << 31)


def write_schema(**properties: JsonValue) -> dict[str, JsonValue]:
    """Return the JSON schema of an object that has all of these properties, in this order, and no other."""
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


Samples = dict[int, Completion]
"""Completions of a request by sample index."""


class Chat(Protocol):
    """Anything that answers requests."""

    async def sample(self, request: Request) -> list[Completion]:
        """Return `request.samples` completions, in order of their sample index."""
        ...
