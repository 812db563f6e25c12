"""Requests to a model and its completions, independent of endpoint, transport and cache."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pydantic import JsonValue

from autoif.records import Reason, content_id

Role = Literal["writer", "responder", "judge"]

ASKED_FOR: ContextVar[str] = ContextVar("asked_for", default="self_instruct-0000")
"""The shard that the current task works for. Where answers are stored by shard, they are stored under this name."""


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt, sampled `samples` times: `messages` for a chat, or else `prompt` for a plain completion.

    `stage` is only for counting usage. `seed` comes from the record's id, never from time or order.
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
    """Constrains the answer where the server supports it; elsewhere only the prompt asks for this form."""
    top_logprobs: int = 0
    """How many alternatives of the first token to return with their log-probabilities."""
    plain: bool = False
    """Whether to sample from the model's plain distribution, without default top-k, min-p or penalties."""

    @property
    def text(self) -> str:
        """The whole prompt as one text, turn after turn."""
        return "\n".join(content for _, content in self.messages) or self.prompt


FinishReason = Literal["stop", "length", "refused", "unknown"]
"""`stop`: the model ended its answer. `length`: it was cut, in its thought or after it. `refused`: the server rejected
this one request (too long, filtered). `unknown`: the server gave another reason, or none."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled answer. If the server refuses only this request, that is data, not an error."""

    text: str
    """The answer alone, without thought, chat tokens and control characters (`models/wire.py`)."""
    finish_reason: FinishReason
    prompt_tokens: int = 0
    completion_tokens: int = 0
    """Of thought and answer together."""
    logprobs: tuple[tuple[str, float], ...] = ()
    """(token, log-probability) alternatives of the first token, most likely first."""
    reasoning: str = ""
    """The thought before the answer; "" if there was none."""
    reasoning_tokens: int = 0
    """How many of `completion_tokens` belong to the thought."""
    estimated: bool = False
    """Whether the token counts are estimates from the length of the text, as the server counted none."""
    detail: str = ""
    """For a refusal, the server's own sentence; for an unknown finish reason, what the server wrote; for a cut that was
    not made at the request's `max_tokens`, why it was made."""

    @property
    def fault(self) -> Reason | None:
        """Why this is not a whole answer: refused, cut, only a thought, or empty. None if it is one."""
        if self.finish_reason == "refused":
            return Reason.REFUSED_BY_MODEL
        if self.finish_reason == "length":
            return Reason.TRUNCATED
        if not self.text.strip():
            return Reason.ONLY_REASONING if self.reasoning else Reason.EMPTY
        return None

    @property
    def fault_detail(self) -> str:
        """The fault in words, for a refusal in the server's own; "" if there is none."""
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
    """Return a seed, 0 to 2^31 - 1, that depends on these ids alone: it is the same in every run, engine and order."""
    return int(content_id("seed", *parts), 16) % (1 << 31)


def write_schema(**properties: JsonValue) -> dict[str, JsonValue]:
    """Return the JSON schema of an object that has exactly these properties, in this order."""
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


Samples = dict[int, Completion]
"""Completions of a request by sample index."""


class Chat(Protocol):
    """The interface of everything that answers requests."""

    async def sample(self, request: Request) -> list[Completion]:
        """Return `request.samples` completions, in order of their sample index."""
        ...
