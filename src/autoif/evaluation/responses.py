"""Responses to be judged: the answer after its thought, whether it was sampled or recorded elsewhere.

A thought is no part of an answer (`models/reasoning.py`), and is not judged. What is nothing but thought, or a thought
that never ends, has no answer, and is wrong. Both are counted, as are responses with a thought and those that a server
refused.

Recorded rows are {"prompt": text, "response": text}, a line each, or {"prompt", "choices"} as a server answers; with
`finish_reason` and a thought in a field of its own where there are any. Their answers are judged letter by letter: no
chat token or control character is taken out, so that verdicts are those of the official programs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ConfigDict, JsonValue, model_validator

from autoif.models.reasoning import split_reasoning
from autoif.models.requests import Completion
from autoif.models.wire import REASONING_FIELDS, read_choice
from autoif.records import Record
from autoif.sampling.settings import Sample

Lack = Literal["only_reasoning", "unfinished_reasoning", "refused"]
"""Why there is no answer: a thought alone, a thought that never ends, or a server's refusal."""
_NAMED = 20
_SAID = 5
"""How many of a server's different sentences are kept."""


class Counted(Record):
    """Something that is not scored as it is, counted and named."""

    count: int
    named: tuple[str, ...] = ()
    """Keys of prompts, or where there are none the beginnings of their texts; the first twenty."""


def count(named: Sequence[str]) -> Counted:
    """Return how many there are, and the first different ones."""
    return Counted(count=len(named), named=tuple(dict.fromkeys(named))[:_NAMED])


@dataclass(frozen=True, slots=True)
class Response:
    """A response as it is judged."""

    text: str
    """The answer alone; with its thought where that is kept."""
    truncated: bool | None = None
    """Whether it was cut; None where that was not recorded."""
    reasoned: bool = False
    """There was a thought before the answer."""
    lack: Lack | None = None
    """Why there is no answer."""
    ends_unknown: bool = False
    """The finish reason is none that is known."""
    said: str = ""
    """What the server said of a refusal or of an unknown end."""

    @property
    def is_unanswered(self) -> bool:
        """Whether there is nothing to judge, so that the response is wrong."""
        return self.lack is not None and not self.text.strip()


class ResponseCounts(Record):
    """What the scored responses were beside their text, with the prompts named."""

    responses: int
    with_reasoning: Counted
    """A thought came before the answer, and was not judged unless asked for."""
    only_reasoning: Counted
    """A thought and no answer: wrong."""
    unfinished_reasoning: Counted
    """A thought that never ends: wrong."""
    refused: Counted
    """The server refused the prompt: wrong, where there is no text."""
    unknown_ends: Counted
    """With a finish reason that isn't known; judged as they are."""
    said: tuple[str, ...] = ()
    """What servers said of these two, the first different sentences."""

    def describe(self, *, keep_thinking: bool) -> dict[str, str]:
        """Return lines for a person, by name: always of thoughts, of the rest where there is any."""
        lines = {"thoughts": self._describe_thoughts(keep_thinking)}
        said = f": {self.said[0]}" if self.said else ""
        if self.refused.count:
            lines["refused"] = f"{self.refused.count:,} by the server{said}"
        if self.unknown_ends.count:
            lines["ends unknown"] = f"{self.unknown_ends.count:,}{said}"
        return lines

    def _describe_thoughts(self, keep_thinking: bool) -> str:
        if not self.with_reasoning.count:
            return f"none in {self.responses:,} responses"
        had = f"{self.with_reasoning.count:,} of {self.responses:,} responses had one"
        if keep_thinking:
            return f"{had}, and are judged with it"
        wrong = f"{self.only_reasoning.count:,} were only a thought, {self.unfinished_reasoning.count:,} never ended it"
        lacking = self.only_reasoning.count + self.unfinished_reasoning.count
        return f"{had}, and are judged without it{f'; {wrong}: wrong' if lacking else ''}"


def count_responses(responses: Iterable[tuple[str, Response]]) -> ResponseCounts:
    """Return the counts of responses, each with the key of its prompt."""
    listed = list(responses)
    said = [each.said for _, each in listed if each.said]
    return ResponseCounts(
        responses=len(listed),
        with_reasoning=count([key for key, each in listed if each.reasoned]),
        only_reasoning=count([key for key, each in listed if each.lack == "only_reasoning"]),
        unfinished_reasoning=count([key for key, each in listed if each.lack == "unfinished_reasoning"]),
        refused=count([key for key, each in listed if each.lack == "refused"]),
        unknown_ends=count([key for key, each in listed if each.ends_unknown]),
        said=tuple(dict.fromkeys(said))[:_SAID],
    )


def read_sample(sample: Sample, *, keep_thinking: bool = False) -> Response:
    """Return a sampled response as it is judged."""
    found = sample.completion
    return _describe(found, _join(found) if keep_thinking else found.text, is_end_told=True)


class AnsweredRow(Record):
    """One line of recorded responses, whatever names its prompt. What else it holds is not looked at."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    response: str | list[JsonValue] | dict[str, JsonValue] | None = None
    """A text, a message's parts, a message, or an answer with its choices; null is one without text."""
    choices: JsonValue = None
    """Of a server's answer; looked at where there is no response."""
    finish_reason: JsonValue = None
    reasoning_content: JsonValue = None
    reasoning: JsonValue = None
    thinking: JsonValue = None
    reasoning_details: JsonValue = None
    thinking_blocks: JsonValue = None

    @model_validator(mode="after")
    def _check_answered(self) -> "AnsweredRow":
        if "response" not in self.model_fields_set and not _find_choices(self.choices):
            raise ValueError("it has neither response nor choices")
        return self

    def read(self, *, keep_thinking: bool = False) -> list[Response]:
        """Return its responses: one, or as many as it has choices."""
        return [_read_choice(each, keep_thinking) for each in self._list_choices()]

    def complete(self) -> list[Completion]:
        """Return its answers with their thoughts; one that doesn't tell how it ended is taken for whole."""
        return [_complete(each) for each in self._list_choices()]

    def _list_choices(self) -> list[dict[str, Any]]:
        answer = self.response.get("choices") if isinstance(self.response, dict) else None
        if listed := _find_choices(self.choices if self.response is None else answer):
            return [{"finish_reason": self.finish_reason, **each} for each in listed]
        if isinstance(self.response, dict):
            return [{"message": self.response, "finish_reason": self.finish_reason}]
        told = {name: getattr(self, name) for name in REASONING_FIELDS}
        return [{"message": {**told, "content": self.response}, "finish_reason": self.finish_reason}]


class RecordedRow(AnsweredRow):
    """One line of recorded responses."""

    prompt: str


def _find_choices(listed: JsonValue) -> list[dict[str, JsonValue]]:
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _complete(choice: Mapping[str, Any]) -> Completion:
    return read_choice({**choice, "finish_reason": choice.get("finish_reason") or "stop"}, clean=False)


def _read_choice(choice: Mapping[str, Any], keep_thinking: bool) -> Response:
    found = _complete(choice)
    text = found.text
    if keep_thinking:
        message = choice.get("message")
        written = message.get("content") if isinstance(message, dict) else choice.get("text")
        marked = isinstance(written, str) and split_reasoning(written).answer != written
        text = str(written) if marked else _join(found)
    return _describe(found, text, is_end_told=choice.get("finish_reason") is not None)


def _join(found: Completion) -> str:
    """Return thought and answer, as most models write them."""
    return f"<think>\n{found.reasoning}\n</think>\n\n{found.text}" if found.reasoning else found.text


def _describe(found: Completion, text: str, *, is_end_told: bool) -> Response:
    is_cut = found.finish_reason == "length"
    lack: Lack | None = None
    if found.finish_reason == "refused":
        lack = "refused"
    elif found.reasoning and not found.text.strip():
        lack = "unfinished_reasoning" if is_cut else "only_reasoning"
    unknown = is_end_told and found.finish_reason == "unknown"
    return Response(
        text=text,
        truncated=is_cut if is_cut or is_end_told else None,
        reasoned=bool(found.reasoning),
        lack=lack,
        ends_unknown=unknown,
        said=found.detail if unknown or lack == "refused" else "",
    )
