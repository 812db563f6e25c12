"""Reading answers in the OpenAI-compatible wire format: the only place that reads what a model or a server wrote.

Answers are read leniently: whatever a server leaves out is empty or 0, since a poor answer is data. Requests, and what
servers refuse of them, are in `models/dialect.py`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import exp, isfinite
from typing import Any, NamedTuple

from autoif.models.additions import drop_additions, drop_prompt, find_passed_on
from autoif.models.citations import drop_annotated, drop_marks, drop_numbered
from autoif.models.ends import CALLS, find_cut, find_end, find_failure, find_filter, name_end, read_finish_reason
from autoif.models.reasoning import lost_marks, split_later, split_reasoning, unwrap_answer
from autoif.models.repairs import repair_text
from autoif.models.requests import Completion, Request
from autoif.models.text import clean_text, drop_echo, is_blank
from autoif.models.token_counts import count_tokens
from autoif.models.tool_calls import NO_ANSWER, is_call, is_calling, read_called_answer
from autoif.reading.json_text import try_json


@dataclass(frozen=True, slots=True)
class Question:
    """The request that an answer belongs to, as far as reading the answer depends on it."""

    turns: tuple[str, ...] = ()
    """The turns of the conversation before the answer."""
    is_chat: bool = True
    most_tokens: int = 0
    """Token limit of each answer; 0 if unknown."""
    stop: tuple[str, ...] = ()
    """The request's stop texts."""

    @classmethod
    def of(cls, request: Request, most_tokens: int = 0) -> "Question":
        turns = tuple(content for _, content in request.messages) or (request.prompt,)
        return cls(turns, bool(request.messages), most_tokens, request.stop)

    @property
    def prompt(self) -> str | None:
        """The last turn; None if unknown."""
        return self.turns[-1] if self.turns else None


_UNKNOWN = Question()


class ServerAnswer(NamedTuple):
    """The contents of one answer of a server."""

    completions: list[Completion]
    """In the order of its choices."""
    failures: tuple[str, ...] = ()
    """Error messages of choices that the server failed to finish, which should be requested again."""
    model: str = ""
    """The model that answered, according to the server; "" if it doesn't say."""
    warnings: tuple[str, ...] = ()
    """The server's warnings, for people to read."""


def read_server_answer(answer: Mapping[str, Any], question: Question = _UNKNOWN) -> ServerAnswer:
    """Return the completions in a server's answer; none if it has no choices.

    The first completion gets all prompt tokens, and the completion tokens are divided by length of text, so that the
    sums are what the server counted. Counts that it lacks are estimated, the prompt's from its length in UTF-8. Answers
    that used up their token limit count as cut, even if the server says that they stopped, as some always do.
    """
    choices = answer.get("choices")
    choices = list(choices.values()) if isinstance(choices, dict) else choices
    listed = [each for each in choices if isinstance(each, dict)] if isinstance(choices, list) else []
    failed = [_find_failure(each, question.prompt) for each in listed]
    found = []
    for choice, failure in zip(listed, failed, strict=True):
        if not failure:
            read = read_choice(choice, question=question)
            if (text := drop_numbered(read.text, answer)) is not read.text:
                read = replace(read, text=text)
            found.append(_mark_filtered_or_cut(read, choice, answer, question))
    counted = count_tokens(found, answer, len("\n".join(question.turns).encode("utf-8", "replace")))
    counted = _explain_cuts(counted, question.most_tokens)
    model = answer.get("model")
    named = _in_a_line(model) if isinstance(model, str) else ""
    return ServerAnswer(counted, tuple(filter(None, failed)), named, _list_warnings(answer))


def _find_failure(choice: Mapping[str, Any], prompt: str | None) -> str:
    message = _find_message(choice)
    if failure := find_failure(choice, message):
        return failure
    content = message.get("content", choice.get("text"))
    passed_on = find_passed_on(content, prompt) if isinstance(content, str) else None
    return (
        _in_a_line(f"the text is an error: {passed_on['error']['message']}")
        if passed_on and "error" in passed_on
        else ""
    )


def _mark_filtered_or_cut(
    read: Completion, choice: Mapping[str, Any], answer: Mapping[str, Any], question: Question
) -> Completion:
    """Return a completion, marked as refused or cut if fields outside its text say that it was filtered or cut."""
    if read.finish_reason == "refused":
        return read
    if struck := find_filter(choice, _find_message(choice), answer):
        return replace(
            read, text="", finish_reason="refused", detail=f"the server's filter struck: {_in_a_line(struck)}"
        )
    if read.finish_reason != "length" and (cut := find_cut(choice, answer, question.stop)):
        return replace(read, finish_reason="length", detail=_in_a_line(cut))
    return read


_SHORT_TOKENS = 16
"""Up to this token limit, an answer of exactly that length need not be cut: it may be a label."""
_OWN_LIMIT_SHARE = 0.9
"""Answers cut below this share of the token limit were cut by a limit of the server's own."""


def _explain_cuts(completions: list[Completion], most_tokens: int) -> list[Completion]:
    """Mark completions that used all their tokens as cut; tell the limit where the server cut them sooner."""
    if most_tokens <= _SHORT_TOKENS or not completions or any(each.estimated for each in completions):
        return completions
    used, allowed = sum(each.completion_tokens for each in completions), most_tokens * len(completions)
    whole = all(each.finish_reason in {"stop", "unknown"} and not each.reasoning for each in completions)
    if used == allowed and whole:  # with reasoning, some servers count it all but don't limit it
        return [replace(each, finish_reason="length", detail="") for each in completions]
    if 0 < used < allowed * _OWN_LIMIT_SHARE and all(
        each.finish_reason == "length" and not each.detail for each in completions
    ):
        most = max(each.completion_tokens for each in completions)
        detail = f"after {most:,} tokens, though {most_tokens:,} were allowed"
        return [replace(each, detail=detail) for each in completions]
    return completions


_MOST_WARNINGS = 3


def _list_warnings(answer: Mapping[str, Any]) -> tuple[str, ...]:
    warnings = [each for name in ("warning", "warnings") for each in _as_list(answer.get(name))]
    texts = (each.get("message") if isinstance(each, dict) else each for each in warnings)
    return tuple(_in_a_line(each) for each in texts if isinstance(each, str) and each.strip())[:_MOST_WARNINGS]


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _in_a_line(text: str) -> str:
    return " ".join(clean_text(text).split())[:200]


def read_text(
    text: str, finish_reason: object = "stop", *, reasoning: str = "", clean: bool = True, question: Question = _UNKNOWN
) -> Completion:
    """Read a model's text, from a server or a file: separate answer and reasoning, and find out how it ended.

    `finish_reason` is the server's own word; `reasoning` is what it gave separately from the text. Without `clean` the
    answer keeps every character, for answers of others that are only judged.
    """
    prompt = question.prompt
    if clean:
        text = drop_echo(drop_prompt(repair_text(text, prompt), question.turns, is_chat=question.is_chat))
    thought = split_reasoning(text)
    ended = read_finish_reason(finish_reason)
    if not thought.closed and ended != "refused":
        ended = "length"
    detail = f"finish_reason {json.dumps(finish_reason)[:100]}" if ended in {"unknown", "refused"} else ""
    if ended == "length" and lost_marks(text):
        detail = LOST_MARKS
    answer, thoughts = thought.answer, [reasoning.strip(), thought.reasoning]
    if reasoning and not thought.reasoning:  # the server separated the reasoning, and left the answer's tags
        answer = unwrap_answer(answer.strip())
    if clean:
        answer, later = split_later(answer, prompt, is_sure=bool(thought.reasoning))
        thoughts.append(later)
        if is_call(answer, prompt):
            answer, detail = "", NO_ANSWER
        elif answer.strip() in _NO_TEXTS or is_blank(answer):
            answer = ""
        elif ended in {"stop", "unknown"} and _CUT_MARK.search(answer[-200:]):
            ended, detail = "length", "its text says that it is truncated"
        answer = clean_text(drop_additions(answer, prompt) if prompt is not None else answer)
        answer = drop_marks(answer)
    elif thought.reasoning and is_call(answer):
        answer = ""
    return Completion(
        text=answer,
        finish_reason=ended,
        reasoning=clean_text("\n\n".join(filter(None, thoughts))),
        detail=detail,
    )


LOST_MARKS = (
    "the server leaves out the tokens between thought and answer; have it keep them by skip_special_tokens = false in "
    "extra_body, or start it with its parser of the model's thoughts"
)
_NO_TEXTS = frozenset({"[object Object]", "undefined"})
_CUT_MARK = re.compile(
    r"[\[(<](?:(?:output|response|message|content|text|answer) )?(?:was )?truncated[^\])>\n]{0,60}[\])>]\s*\Z",
    re.IGNORECASE,
)
_LEAST_THOUGHT = 20
"""A thought of this many characters is not at the beginning of an answer by chance."""


def read_choice(choice: Mapping[str, Any], *, clean: bool = True, question: Question = _UNKNOWN) -> Completion:
    """Read one choice of a server's answer; `clean` is as in `read_text`."""
    message = _find_message(choice)
    given = (message.get("content"), message.get("text"), message.get("parts"), choice.get("text"))
    content = next((each for each in given if each not in (None, "", [])), None)
    text, reasoning = _read_content(None if message.get("role") in _OTHER_ROLES else content)
    end = find_end(choice)
    if name_end(end) in CALLS and text.strip() and is_calling(message):
        return Completion(text="", finish_reason="stop", detail=NO_ANSWER)
    if called := "" if text.strip() else read_called_answer(message):
        text, end = called, "stop" if name_end(end) in CALLS else end
    if clean:
        text = drop_annotated(text, message.get("annotations"))
        passed_on = find_passed_on(text)
        if passed_on and "choices" in passed_on:
            return read_choice(passed_on["choices"][0], question=question)
    separate = [_read_reasoning(message.get(name)) for name in REASONING_FIELDS]
    if refusal := _find_refusal(message):
        found = Completion(text="", finish_reason="refused", detail=clean_text(refusal).strip()[:400])
    else:
        thought = "\n\n".join(filter(None, (next(filter(None, separate), ""), reasoning)))
        text = _drop_repeated(text, thought.strip())
        found = read_text(text, end, reasoning=thought, clean=clean, question=question)
    logprobs = _read_logprobs(choice.get("logprobs"))
    return replace(found, logprobs=logprobs) if logprobs else found


def _drop_repeated(text: str, thought: str) -> str:
    """Remove from the beginning of a text the thought that a gateway also gives separately; "" if nothing is left."""
    rest = text.lstrip().removeprefix(thought) if len(thought) >= _LEAST_THOUGHT else text
    return rest if rest[:1] in ("", "\n") else text


def _find_message(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the message of a choice, which some gateways send as a stream's `delta`, or as a bare text."""
    given = [choice.get("message"), choice.get("delta"), choice.get("content")]
    found = [each if isinstance(each, dict) else {"content": each} for each in given if each]
    not_empty = (each for each in found if any(value for name, value in each.items() if name != "role"))
    return next(not_empty, found[0] if found else {})


def _find_refusal(message: Mapping[str, Any]) -> str:
    """Return the `refusal` of a message, or of a part of its content; "" if there is none."""
    content = message.get("content")
    parts = [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []
    refusals = (each.get("refusal") for each in (message, *parts))
    return next((each for each in refusals if isinstance(each, str) and each.strip() not in _NO_REFUSALS), "")


_OTHER_ROLES = frozenset({"tool", "function"})
"""Roles whose text no model wrote, such as the results of a server's own search."""
_NO_REFUSALS = frozenset({"", "None", "null"})
REASONING_FIELDS = (
    "reasoning_content", "reasoning", "thinking", "reasoning_details", "thinking_blocks", "reasoning_text",
    "thinking_content", "thought", "thoughts", "reasoning_summary",
)  # fmt: skip
"""Where servers put the reasoning. Only the first field that has some is read, as some servers fill two alike."""
_MAX_DEPTH = 5
_OTHER_PARTS = re.compile(r"tool|search|call|result|code_execution|image|audio|file|citation|reference|error")


def _read_content(content: object, depth: int = 0) -> tuple[str, str]:
    """Return (text, thought) of a message's content: a text, a list of parts, or JSON that a gateway has parsed."""
    if isinstance(content, str):
        parts = _parse_parts(content)
        return _read_content(parts, depth) if parts else (content, "")
    texts, thoughts = [], []
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, int | float) and not isinstance(part, bool):
            texts.append(str(part))
        elif isinstance(part, dict) and depth < _MAX_DEPTH:
            text, thought = _read_part(part, depth + 1)
            texts.append(text)
            thoughts.append(thought)
    return "".join(texts), "\n".join(filter(None, thoughts))


_PARTS = frozenset({"text", "output_text", "thinking", "redacted_thinking", "reasoning"})


def _parse_parts(text: str) -> list[Any]:
    """Return the content parts that a gateway has written into a text as JSON; an empty list for any other text."""
    if not text.startswith(('[{"type":', '[{"type" :')):
        return []
    found = try_json(text, [])
    return found if all(isinstance(each, dict) and each.get("type") in _PARTS for each in found) else []


def _is_thought(name: str) -> bool:
    lowered = name.lower()
    return "think" in lowered or "thought" in lowered or "reason" in lowered


def _read_part(part: Mapping[str, Any], depth: int) -> tuple[str, str]:
    kind = str(part.get("type", next(iter(part)) if len(part) == 1 else "")).lower()
    if _is_thought(kind) or part.get("thought") is True:
        return "", _read_reasoning(part)
    if _OTHER_PARTS.search(kind):
        return "", ""
    for name in ("text", "content", "value"):
        if isinstance(part.get(name), str):
            return part[name], ""
    for name in ("text", "parts", *(["content"] if "role" in part or kind == "message" else [])):
        if isinstance(part.get(name), dict | list):  # as from OpenAI's assistants, Gemini and Bedrock
            return _read_content(part[name], depth)
    return ("", "") if "type" in part or not part else (json.dumps(part, ensure_ascii=False), "")


def _read_reasoning(value: object, depth: int = 0) -> str:
    """Return the text of a thought, given as a text, a list of parts, or an object with either."""
    if isinstance(value, str):
        return value
    if depth == _MAX_DEPTH:
        return ""
    if isinstance(value, list):
        return "\n".join(filter(None, (_read_reasoning(each, depth + 1) for each in value)))
    if isinstance(value, dict):
        named = [value.get(name) for name in ("thinking", "text", "content", "summary", "reasoning")]
        named += [each for name, each in value.items() if isinstance(each, dict) and _is_thought(name)]
        return next(filter(None, (_read_reasoning(each, depth + 1) for each in named)), "")
    return ""


_NO_LOGPROB = 1e9
"""An integer of this size is no log-probability, and may be too large for a float."""
_LARGEST_SUM = 1.05
"""Values whose probabilities add up to more are no log-probabilities: some servers send probabilities, or zeros."""
_SPACE_MARK = re.compile("^[▁Ġ]")
"""Stands for a space in a vocabulary: some servers send the vocabulary's tokens rather than their text."""


def _read_logprobs(logprobs: object) -> tuple[tuple[str, float], ...]:
    """Read the first token's alternatives in the form of the chat API, or of the old completions API."""
    if not isinstance(logprobs, dict):
        return ()
    pairs: list[tuple[object, object]] = []
    match logprobs:
        case {"content": [{"top_logprobs": given}, *_]} | {"top_logprobs": [given, *_]} | {"top_logprobs": given}:
            listed = given if isinstance(given, list) else []
            pairs = [(each.get("token"), each.get("logprob")) for each in listed if isinstance(each, dict)]
            named = given.items() if isinstance(given, dict) else ()
            pairs += [(name, each.get("logprob") if isinstance(each, dict) else each) for name, each in named]
    found = [
        (clean_text(_SPACE_MARK.sub(" ", token)), float(value))
        for token, value in pairs
        if isinstance(token, str)
        and ((isinstance(value, float) and isfinite(value)) or (isinstance(value, int) and abs(value) < _NO_LOGPROB))
    ]
    if sum(exp(min(value, 1.0)) for _, value in found) > _LARGEST_SUM:
        return ()
    return tuple(sorted(found, key=lambda pair: (-pair[1], pair[0])))
