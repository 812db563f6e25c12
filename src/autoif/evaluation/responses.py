"""Responses to judge: answers without their thoughts, sampled or recorded elsewhere.

A thought (`models/reasoning.py`) is not part of an answer and is not judged. A response that is only a thought, or a
thought that never ends, has no answer and is wrong.

Recorded rows are {"prompt": text, "response": text}, or {"prompt", "choices"} as a server answers; optionally with
`finish_reason`, and with the thought in a field of its own. Other programs' rows are read as well:

| row                                                     | of                                   |
|---------------------------------------------------------|--------------------------------------|
| {"messages": [turn, …]}, {"prompt": [turn, …]}          | chats: the last question and answer  |
| {"instruction", "output"}, {"prompt", "completion"}, …  | AlpacaEval, TRL, and home-made files |
| {"doc": {"prompt"}, "resps": [[text, …]]}               | lm-eval's `--log_samples`            |

Chat tokens and control characters stay in the answers, so that verdicts are those of the official programs. The
samples.jsonl of another evaluation of the same prompts is a file of recorded responses, too.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, JsonValue, model_validator

from autoif.models.ends import ENDS
from autoif.models.reasoning import split_reasoning
from autoif.models.recorded import find_choices
from autoif.models.requests import Completion
from autoif.models.text import holds_token
from autoif.models.wire import REASONING_FIELDS, read_choice
from autoif.reading.turns import list_turns
from autoif.records import ForeignRow
from autoif.sampling.settings import Sample

Lack = Literal["only_reasoning", "unfinished_reasoning", "refused"]
"""Why there is no answer: a thought alone, a thought that never ends, or a server's refusal."""
FLAGS = (
    "empty", "truncated", "end_not_recorded", "with_reasoning", "only_reasoning", "unfinished_reasoning", "refused",
    "unknown_ends", "chat_tokens",
)  # fmt: skip
"""Names of the flags of a response."""


@dataclass(frozen=True, slots=True)
class SubjectResponse:
    """A response as it is judged."""

    text: str
    """The answer; with its thought if thoughts are kept."""
    truncated: bool | None = None
    """Whether it was cut; None if that was not recorded."""
    reasoned: bool = False
    """Whether there was a thought before the answer."""
    lack: Lack | None = None
    """Why there is no answer; None if there is one."""
    ends_unknown: bool = False
    """Whether its finish reason is unknown."""
    said: str = ""
    """The server's message on a refusal or an unknown end."""

    @property
    def is_unanswered(self) -> bool:
        """Whether there is nothing to judge, so that the response is wrong."""
        return self.lack is not None and not self.text.strip()

    @property
    def flags(self) -> set[str]:
        """The members of `FLAGS` that apply."""
        found = {
            "empty": not self.text.strip(),
            "truncated": bool(self.truncated),
            "end_not_recorded": self.truncated is None,
            "with_reasoning": self.reasoned,
            "unknown_ends": self.ends_unknown,
            "chat_tokens": "<" in self.text and (holds_token(self.text) or self.text.rstrip().endswith("</s>")),
        }
        return {name for name, is_true in found.items() if is_true} | ({self.lack} if self.lack else set())


def read_sample(sample: Sample, *, keep_thinking: bool = False) -> SubjectResponse:
    """Return a sampled response as it is judged."""
    found = sample.completion
    return _make_response(found, _write_thought_and_answer(found) if keep_thinking else found.text, is_end_told=True)


_PROMPTS = ("instruction", "question", "query", "input")
_RESPONSES = (
    "responses", "completion", "completions", "output", "outputs", "generated_text", "generation", "prediction",
    "model_output", "answer",
)  # fmt: skip
"""Other programs' names of these fields, which are read if a row has no `prompt` or `response`."""


class RecordedRow(ForeignRow):
    """One line of recorded responses."""

    prompt: str | None = None
    prompt_new: str | None = None
    """As FollowBench's own files name it."""
    response: str | list[JsonValue] | dict[str, JsonValue] | None = None
    """A text, a list of texts, a message, or an answer of any API (models/recorded.py); null for an empty answer."""
    choices: JsonValue = None
    """The choices of a server's answer; read if there is no response."""
    finish_reason: JsonValue = None
    stop_reason: JsonValue = None
    done_reason: JsonValue = None
    thoughts: dict[str, JsonValue] = Field(default_factory=dict)
    """Thoughts by the field of the row that holds them, one of `REASONING_FIELDS`."""
    sample: Sample | None = None
    """The row itself, if it is from samples.jsonl; its prompt is then found by id."""

    @model_validator(mode="before")
    @classmethod
    def _take_fields(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        if {"prompt_id", "index", "text"} <= given.keys():
            return {"prompt": given["prompt_id"], "response": given["text"], "sample": given}
        given = _rename(given)
        return {**given, "thoughts": {name: given[name] for name in REASONING_FIELDS if given.get(name) is not None}}

    @model_validator(mode="after")
    def _check_whole(self) -> "RecordedRow":
        if self.prompt is None and self.prompt_new is None:
            raise ValueError('it has neither prompt nor prompt_new: write {"prompt": text, "response": text}')
        if "response" not in self.model_fields_set and not self._has_choices:
            raise ValueError('it has neither response nor choices: write {"prompt": text, "response": text}')
        if not self._list_choices():
            raise ValueError("its response is of no form that is known: give a text, or a server's answer")
        return self

    @property
    def asked(self) -> str:
        return self.prompt_new if self.prompt_new is not None else self.prompt or ""

    def read(self, *, keep_thinking: bool = False) -> list[SubjectResponse]:
        """Return the responses of the row: one, or one for each choice."""
        if self.sample:
            return [read_sample(self.sample, keep_thinking=keep_thinking)]
        return [_read_choice(each, keep_thinking) for each in self._list_choices()]

    @property
    def _has_choices(self) -> bool:
        return isinstance(self.choices, list) and any(isinstance(each, dict) for each in self.choices)

    def _list_choices(self) -> list[dict[str, Any]]:
        ends = {"finish_reason": self.finish_reason or self.stop_reason or self.done_reason}
        answer = self.choices if self.response is None and self._has_choices else self.response
        if isinstance(answer, str | None):
            return [{"message": {**self.thoughts, "content": answer}, **ends}]
        return [{**ends, **choice} for choice in find_choices(answer)]


def _rename(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row with its prompt and response under these names, if it has them under others."""
    found = dict(given)
    turns = [*list_turns(given["messages"], alternate=False)] if isinstance(given.get("messages"), list) else []
    if isinstance(given.get("prompt"), list):
        turns, found["prompt"] = [*list_turns(given["prompt"], alternate=False)], None
    if found.get("prompt") is None and "prompt_new" not in given:
        doc = given.get("doc")
        texts = [doc.get("prompt")] if isinstance(doc, Mapping) else []
        texts += [text for of_user, text in reversed(turns) if of_user][:1] + [given.get(name) for name in _PROMPTS]
        found["prompt"] = next((text for text in texts if isinstance(text, str)), None)
    if "response" in given or "choices" in given:
        return found
    match given.get("resps"):
        case [[*_] as texts, *_]:
            return {**found, "response": texts}
    if turns and not turns[-1][0]:
        return {**found, "response": given["messages"][-1:]} if "messages" in given else found
    name = next((name for name in _RESPONSES if name in given), None)
    return {**found, "response": given[name]} if name else found


def digest_files(files: Sequence[Path]) -> str:
    """Return the SHA-256 of the content of files. A missing file counts as empty: reading it raises later."""
    whole = hashlib.sha256()
    for file in files:
        whole.update(file.read_bytes() if file.is_file() else b"")
    return whole.hexdigest()


def _read_choice(choice: Mapping[str, Any], keep_thinking: bool) -> SubjectResponse:
    is_end_told = any(choice.get(name) not in (None, "") for name in ENDS)
    found = read_choice(choice if is_end_told else {**choice, "finish_reason": "stop"}, clean=False)
    text = found.text
    if keep_thinking:
        message = choice.get("message")
        written = message.get("content") if isinstance(message, dict) else choice.get("text")
        marked = isinstance(written, str) and split_reasoning(written).answer != written
        text = str(written) if marked else _write_thought_and_answer(found)
    return _make_response(found, text, is_end_told=is_end_told)


def _write_thought_and_answer(found: Completion) -> str:
    """Return the thought and the answer in the form in which most models write them."""
    return f"<think>\n{found.reasoning}\n</think>\n\n{found.text}" if found.reasoning else found.text


def _make_response(found: Completion, text: str, *, is_end_told: bool) -> SubjectResponse:
    is_cut = found.finish_reason == "length"
    lack: Lack | None = None
    if found.finish_reason == "refused":
        lack = "refused"
    elif found.reasoning and not found.text.strip():
        lack = "unfinished_reasoning" if is_cut else "only_reasoning"
    unknown = is_end_told and found.finish_reason == "unknown"
    return SubjectResponse(
        text=text,
        truncated=is_cut if is_cut or is_end_told else None,
        reasoned=bool(found.reasoning),
        lack=lack,
        ends_unknown=unknown,
        said=found.detail if unknown or lack == "refused" else "",
    )
