"""The OpenAI-compatible wire format: a request as a JSON body, an answer as completions.

Servers differ in what they accept. A `Dialect` is what one endpoint has been found to understand; the client narrows
it when the server says no (`narrow`), so that each thing is refused once per endpoint and not once per request.
Answers are read leniently: whatever a server leaves out is empty or 0, since a poor answer is data.
"""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from autoif.models.requests import Completion, Request

JsonMode = Literal["json_schema", "json_object", "none"]
TokenLimit = Literal["max_tokens", "max_completion_tokens"]
_JSON_MODES: tuple[JsonMode, ...] = ("json_schema", "json_object", "none")
_TOKEN_LIMITS: tuple[TokenLimit, ...] = ("max_tokens", "max_completion_tokens")
_OPTIONAL_FIELDS = ("seed", "top_p", "temperature", "stop", "top_logprobs", "logprobs")


@dataclass(frozen=True, slots=True)
class Dialect:
    """What an endpoint accepts, as far as is known."""

    json_mode: JsonMode = "json_schema"
    token_limit: TokenLimit = "max_tokens"
    refused_fields: frozenset[str] = frozenset()
    """Optional fields of the body that the server rejects; the request goes out without them."""
    samples_per_request: int = 1 << 16
    """Most choices the server returns for one request, by `n`."""


def request_body(request: Request, model: str, dialect: Dialect, *, seed: int, samples: int) -> dict[str, Any]:
    """Return the JSON body that asks for `samples` completions, the first of them sampled with `seed`."""
    body: dict[str, Any] = {"model": model}
    if request.messages:
        body["messages"] = [{"role": role, "content": content} for role, content in request.messages]
        if request.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    else:
        body["prompt"] = request.prompt
        if request.top_logprobs:
            body["logprobs"] = request.top_logprobs
    body |= {"temperature": request.temperature, "top_p": request.top_p, "seed": seed}
    body[dialect.token_limit] = request.max_tokens
    if samples > 1:
        body["n"] = samples
    if request.stop:
        body["stop"] = list(request.stop)
    if request.json_schema is not None and dialect.json_mode == "json_schema":
        schema = {"name": "answer", "strict": True, "schema": request.json_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif request.json_schema is not None and dialect.json_mode == "json_object":
        body["response_format"] = {"type": "json_object"}
    for name in dialect.refused_fields:
        body.pop(name, None)
    return body


_TOO_LONG = re.compile(r"context (length|size|window)|maximum context|too long|exceed_context|prompt is too", re.I)


def is_too_long(complaint: str) -> bool:
    """Tell whether the server's complaint is about the length of this one prompt."""
    return _TOO_LONG.search(complaint) is not None


def narrow(dialect: Dialect, body: Mapping[str, Any], complaint: str) -> Dialect | None:
    """Return the dialect without the first thing in `body` that the server's complaint names; None if it names none.

    A complaint about the length of the prompt is about this one request, whatever else it mentions.
    """
    if is_too_long(complaint):
        return None
    if "response_format" in body and re.search(
        r"response_format|json_schema|json_object|schema|grammar", complaint, re.I
    ):
        return replace(dialect, json_mode=_JSON_MODES[_JSON_MODES.index(dialect.json_mode) + 1])
    if "n" in body and re.search(r"""["'`]n["'`]|\bn (must|should|>|is |= ?\d)|\bparameter n\b|choices""", complaint):
        return fewer_samples(dialect, body)
    if "max_tokens" in body and "max_completion_tokens" in complaint:
        return replace(dialect, token_limit="max_completion_tokens")
    for name in _OPTIONAL_FIELDS:
        if name in body and re.search(rf"\b{name}\b", complaint):
            return replace(dialect, refused_fields=dialect.refused_fields | {name})
    return None


def fewer_samples(dialect: Dialect, body: Mapping[str, Any]) -> Dialect:
    """Return the dialect with half of the body's `n`: a server's most may be any number, and is 1 for many."""
    return replace(dialect, samples_per_request=body["n"] // 2)


def narrowest(one: Dialect, other: Dialect) -> Dialect:
    """Return what both dialects allow; two requests may learn at once."""
    return Dialect(
        json_mode=max(one.json_mode, other.json_mode, key=_JSON_MODES.index),
        token_limit=max(one.token_limit, other.token_limit, key=_TOKEN_LIMITS.index),
        refused_fields=one.refused_fields | other.refused_fields,
        samples_per_request=min(one.samples_per_request, other.samples_per_request),
    )


def read_answer(answer: Mapping[str, Any]) -> list[Completion]:
    """Return the completions in a server's answer, in order; none if it has no choices.

    What the server counted for the whole answer is shared out: the prompt to the first completion, the completion
    tokens by length of text, so that sums over completions are what the server counted.
    """
    choices = answer.get("choices")
    found = [_read_choice(each) for each in choices if isinstance(each, dict)] if isinstance(choices, list) else []
    if not found:
        return []
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    lengths = [len(each.text) for each in found]
    completion_tokens = _count(usage.get("completion_tokens"))
    if "timings" in answer and lengths[0]:
        # llama.cpp, which counts the first choice only: estimate the others by its tokens per character.
        completion_tokens = round(completion_tokens * sum(lengths) / lengths[0])
    shares = _share(completion_tokens, lengths)
    prompt_tokens = [_count(usage.get("prompt_tokens")), *[0] * (len(found) - 1)]
    return [
        replace(each, prompt_tokens=prompt, completion_tokens=share)
        for each, prompt, share in zip(found, prompt_tokens, shares, strict=True)
    ]


def _read_choice(choice: Mapping[str, Any]) -> Completion:
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else choice.get("text")
    refused = isinstance(message, dict) and bool(message.get("refusal"))
    reason = choice.get("finish_reason")
    if refused or reason in ("content_filter", "refusal"):
        reason = "refused"
    elif reason in ("length", "max_tokens"):
        reason = "length"
    else:
        reason = "stop"
    # A lone surrogate is legal in JSON and in no file.
    text = content.encode("utf-8", "replace").decode("utf-8") if isinstance(content, str) else ""
    return Completion(text=text, finish_reason=reason, logprobs=_read_logprobs(choice.get("logprobs")))


def _read_logprobs(logprobs: object) -> tuple[tuple[str, float], ...]:
    """Read the first token's alternatives: in the form of the chat API and llama.cpp, or of the old completions
    API."""
    if not isinstance(logprobs, dict):
        return ()
    pairs: list[tuple[object, object]] = []
    match logprobs:
        case {"content": [{"top_logprobs": [*entries]}, *_]}:
            pairs = [(each.get("token"), each.get("logprob")) for each in entries if isinstance(each, dict)]
        case {"top_logprobs": [{**alternatives}, *_]}:
            pairs = list(alternatives.items())
    found = [
        (token.encode("utf-8", "replace").decode("utf-8"), float(value))
        for token, value in pairs
        if isinstance(token, str) and isinstance(value, int | float)
    ]
    return tuple(sorted(found, key=lambda pair: (-pair[1], pair[0])))


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _share(total: int, weights: list[int]) -> list[int]:
    """Split a whole number in proportion to the weights; the parts add up to it."""
    whole = sum(weights) or 1
    ends = [0]
    for weight in weights:
        ends.append(ends[-1] + weight)
    ends = [total * end // whole for end in ends[:-1]] + [total]
    return [end - start for start, end in itertools.pairwise(ends)]
