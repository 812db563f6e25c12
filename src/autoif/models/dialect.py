"""Builds the body of a request, and adapts it to what a server turns out to refuse.

A `Dialect` describes what one endpoint accepts, as far as is known. `narrow` narrows it by the field that a complaint
names, in any language. For fields with few values (temperature, top_p) only the refused value is given up, so that
requests the server would accept stay as they are.

    | refused                           | the request goes out                                             |
    |-----------------------------------|------------------------------------------------------------------|
    | temperature = 0                   | with 0.01; without, if that is refused too                       |
    | another temperature, a top_p      | without it: the server's default                                 |
    | seed, stop, logprobs              | without it, whatever its value                                   |
    | neutral top_k, min_p, penalties   | without those that OpenAI's API lacks, then without any          |
    | n                                 | for half as many choices, until the server takes it              |
    | max_tokens, by name               | as max_completion_tokens                                         |
    | max_tokens, too large             | with the largest that the complaint names                        |
    | JSON schemas                      | with JSON mode, then as plain text; the answer is read tolerantly |
    | a system turn                     | with its text at the beginning of the user's turn                |
    | answers in one piece              | with `stream`; the pieces are put together                       |
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from autoif.models.requests import Request

JsonMode = Literal["json_schema", "json_object", "none"]
TokenLimit = Literal["max_tokens", "max_completion_tokens"]
_JSON_MODES: tuple[JsonMode, ...] = ("json_schema", "json_object", "none")
_TOKEN_LIMITS: tuple[TokenLimit, ...] = ("max_tokens", "max_completion_tokens")
_BY_VALUE = ("top_p", "temperature")
"""Fields with few values, refused value by value. If two can't be sent together, the first is given up."""
NEUTRAL: dict[str, float] = {
    "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0,
}  # fmt: skip
"""Values that leave a model's distribution unchanged; vLLM, SGLang and llama.cpp read -1 as no top-k."""
_STANDARD = ("presence_penalty", "frequency_penalty")
Neutral = Literal["all", "standard", "none"]
_NEUTRALS: tuple[Neutral, ...] = ("all", "standard", "none")
_WHOLE = ("seed", "stop", "top_logprobs", "logprobs")
_SPELLINGS = {
    "top_p": "top[ _-]?p", "temperature": "temp[eé]ratu(?:re?|ra)|温度", "top_logprobs": "top[ _-]?logprobs",
    "logprobs": r"logprobs|log[ -]?probabilit\w{1,3}",
    "max_tokens": (
        "max(?:imum)?[ _]?(?:completion|output|new)?[ _]?tokens|(?:completion|output|new) tokens|maxOutputTokens"
    ),
}  # fmt: skip
FIELDS = frozenset({*_BY_VALUE, *_WHOLE, *NEUTRAL, "n", "response_format", *_TOKEN_LIMITS})
"""Names of the fields that may be refused."""
SMALLEST_TEMPERATURE = 0.01
"""Sent in place of 0 where a server refuses that: close enough to greedy."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What an endpoint accepts, as far as is known."""

    json_mode: JsonMode = "json_schema"
    token_limit: TokenLimit = "max_tokens"
    most_tokens: int = 1 << 40
    """The largest token limit that the server accepts."""
    refused: frozenset[tuple[str, float | None]] = frozenset()
    """Fields of the body with the value that the server refuses; None means every value."""
    samples_per_request: int = 1 << 16
    """The most choices that the server returns for one request (`n`)."""
    streams: bool = False
    """Whether answers are requested as a stream, for servers that answer in no other way."""
    system_turns: bool = True
    """Whether a conversation may begin with a system turn; if not, its text is put before the user's first turn."""
    neutral: Neutral = "all"
    """Which neutral sampling values are sent when a request asks for the plain distribution."""

    def describe(self) -> list[str]:
        """Return a sentence for each difference from what is sent by default."""
        lines = []
        for name, value in sorted(self.refused - {("temperature", SMALLEST_TEMPERATURE)}, key=str):
            shown = name if value is None else f"{name} = {value:g}"
            replaced = (
                name == "temperature" and value == 0 and ("temperature", SMALLEST_TEMPERATURE) not in self.refused
            )
            lines.append(f"refuses {shown}: sent {f'as {SMALLEST_TEMPERATURE}' if replaced else 'without it'}")
        if self.neutral != "all":
            lacking = [name for name in NEUTRAL if self.neutral == "none" or name not in _STANDARD]
            lines.append(
                f"refuses neutral values of {', '.join(lacking)}: sent without them, so the server's own defaults hold"
            )
        if self.json_mode != "json_schema":
            instead = "JSON mode" if self.json_mode == "json_object" else "plain text"
            lines.append(f"takes no JSON schema: asked for {instead}, and the answers are read tolerantly")
        if self.streams:
            lines.append("answers in pieces only (stream): they are put together")
        if not self.system_turns:
            lines.append("takes no system turn: what it says begins the user's turn")
        if self.samples_per_request < Dialect().samples_per_request:
            lines.append("gives fewer answers than n asks for: the others are asked for by themselves")
        if self.token_limit != "max_tokens":
            lines.append(f"refuses max_tokens: sent as {self.token_limit}")
        if self.most_tokens < Dialect().most_tokens:
            lines.append(f"takes at most {self.most_tokens:,} tokens an answer: longer ones are cut there")
        return lines


def request_body(request: Request, model: str, dialect: Dialect, *, seed: int, samples: int) -> dict[str, Any]:
    """Return the JSON body that asks for `samples` completions, the first of them sampled with `seed`."""
    body: dict[str, Any] = {"model": model}
    if request.messages:
        turns = request.messages if dialect.system_turns else _fold_system_turn(request.messages)
        body["messages"] = [{"role": role, "content": content} for role, content in turns]
        if request.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    else:
        body["prompt"] = request.prompt
        if request.top_logprobs:
            body["logprobs"] = request.top_logprobs
    body |= {"temperature": request.temperature, "top_p": request.top_p, "seed": seed}
    if request.plain and dialect.neutral != "none":
        body |= {name: NEUTRAL[name] for name in (NEUTRAL if dialect.neutral == "all" else _STANDARD)}
    body[dialect.token_limit] = min(request.max_tokens, dialect.most_tokens)
    body |= {"stream": True} if dialect.streams else {}
    if samples > 1:
        body["n"] = samples
    if request.stop:
        body["stop"] = list(request.stop)
    if request.json_schema is not None and dialect.json_mode == "json_schema":
        schema = {"name": "answer", "strict": True, "schema": request.json_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif request.json_schema is not None and dialect.json_mode == "json_object":
        body["response_format"] = {"type": "json_object"}
    if body["temperature"] == 0 and ("temperature", 0.0) in dialect.refused:
        body["temperature"] = SMALLEST_TEMPERATURE
    for name in (*_BY_VALUE, *_WHOLE):
        if (name, None) in dialect.refused or (name in _BY_VALUE and (name, float(body[name])) in dialect.refused):
            body.pop(name, None)
    return body


Turns = Sequence[tuple[str, str]]


def _fold_system_turn(turns: Turns) -> Turns:
    """Move the text of the system turn to the beginning of the first user turn."""
    if len(turns) < 2 or (turns[0][0], turns[1][0]) != ("system", "user"):
        return turns
    return [("user", f"{turns[0][1]}\n\n{turns[1][1]}"), *turns[2:]]


def _has_system_turn(body: Mapping[str, Any]) -> bool:
    roles = [turn["role"] for turn in body.get("messages", ())[:2]]
    return roles == ["system", "user"]


_TOO_LONG = re.compile(
    r"(?<!than the [`'])context[ _-]?(?:length|size|window|limit)|maximum context|too long|exceed_context|"
    r"prompt is too|input length|max_model_len|上下文长度|超出.{0,6}长度|超长|reduce the length|reduce your message|"
    r"(?:request|body|payload) (?:body |entity |is )?too large|model token limit|must have less than \d{1,9} tokens|"
    r"input token count|exceeds? (?:the )?max(?:imum)? (?:prompt |input )?length|prompt token count|too many tokens:|"
    r"tokens (?:in the request |count )exceeds? (?:the )?limit|exceed max message tokens|longueur du contexte|長すぎ|"
    r"(?:prompt|input)\b[^.]{0,40} (?:is|are) longer than",
    re.IGNORECASE,
)


def is_too_long(complaint: str) -> bool:
    """Return whether a complaint is about the length of this prompt."""
    return _TOO_LONG.search(complaint) is not None


_LEAST_ROOM = 16
_MARGIN = 8
"""Tokens at the end of a chat template, which servers count but leave out of their complaints."""
_NAMES_SUM = re.compile(r"\brequested\b|token limit", re.IGNORECASE)


def find_room(complaint: str, max_tokens: int) -> int | None:
    """Return the number of tokens for which there is room in the context beside the prompt, by the numbers in a
    complaint that counts `max_tokens` in: the context, and the prompt's tokens or the sum. None if the prompt alone is
    too long or leaves no room, or the numbers don't tell."""
    numbers = {int(number) for number in re.findall(r"\d{1,9}", complaint[:4000].replace(",", ""))}
    found = [(total - max_tokens, total) for total in numbers if total - max_tokens in numbers]
    if not found and max_tokens in numbers:
        context = max(numbers - {max_tokens}, default=0)
        found = [(prompt, context + 1) for prompt in numbers if _LEAST_ROOM <= prompt < context < prompt + max_tokens]
    if not found and _NAMES_SUM.search(complaint):
        found = [(total - max_tokens, total) for total in numbers if total > max_tokens]
    for contexts in (numbers - {max_tokens}, {max_tokens}):
        rooms = [context - prompt - _MARGIN for prompt, end in found for context in contexts if prompt < context < end]
        if fitting := [room for room in rooms if _LEAST_ROOM <= room < max_tokens]:
            return min(fitting)
    return None


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What to try after a refusal."""

    dialect: Dialect
    lasting: bool = True
    """False if the dialect is for this request only."""


def narrow(dialect: Dialect, body: Mapping[str, Any], complaint: str, *, guess: bool = True) -> Narrowed | None:
    """Return the dialect without the first thing in `body` that the complaint names; None if it names none of them.

    With `guess`, a complaint that names nothing is taken to be about the neutral sampling values, which few servers
    know.
    """
    asked = body.get(dialect.token_limit)
    limit = asked if isinstance(asked, int) else 0
    if is_too_long(complaint):
        return _fit_context(dialect, limit, find_room(complaint, limit))
    words = _ACCEPTED_FIELDS.sub(_drop_list, _QUOTED.sub(" ", complaint))
    sent = [name for name, value in NEUTRAL.items() if body.get(name) == value and dialect.neutral != "none"]
    if any(_names(name.replace("_", "[ _-]?"), words) for name in sent):
        return Narrowed(_less_neutral(dialect))
    if "response_format" in body and dialect.json_mode != "none" and _JSON.search(words):
        weaker = replace(dialect, json_mode=_JSON_MODES[_JSON_MODES.index(dialect.json_mode) + 1])
        return Narrowed(weaker, lasting=not _ONE_ANSWER.search(words))
    if "n" in body and _CHOICES.search(words):
        return Narrowed(fewer_samples(dialect, body))
    # A complaint that asks to stream answers of more than some number of tokens is about the stream, not the limit.
    if not _STREAM.search(words) and (limited := _limit_tokens(dialect, body, words, limit)):
        return Narrowed(limited)
    for name in _BY_VALUE:
        if isinstance(body.get(name), int | float) and _names(_SPELLINGS.get(name, name), words):
            value = float(body[name])
            refused = {(name, value), (name, 0.0)} if value == SMALLEST_TEMPERATURE else {(name, value)}
            return Narrowed(replace(dialect, refused=dialect.refused | refused))
    for name in _WHOLE:
        if name in body and _names(_SPELLINGS.get(name, name), words):
            return Narrowed(replace(dialect, refused=dialect.refused | {(name, None)}))
    if changed := _change_form(dialect, body, words):
        return Narrowed(changed)
    return Narrowed(_less_neutral(dialect)) if sent and guess else None


def _fit_context(dialect: Dialect, limit: int, room: int | None) -> Narrowed | None:
    """Return the dialect with as many tokens for this answer as there is room for; None if there is no room.

    If the limit was lowered before and is still refused, the complaint's numbers are incomplete: it is at least
    halved then.
    """
    if room and limit == dialect.most_tokens:
        room = min(room, limit // 2)
    return Narrowed(replace(dialect, most_tokens=room), lasting=False) if room and room >= _LEAST_ROOM else None


def _limit_tokens(dialect: Dialect, body: Mapping[str, Any], words: str, limit: int) -> Dialect | None:
    """Return the dialect with a lower token limit, or another name for it; None if neither is the cause."""
    other = replace(dialect, token_limit="max_completion_tokens")
    if "max_tokens" in body and "max_completion_tokens" in words and "max_tokens" in words:
        return other
    if _names(_SPELLINGS["max_tokens"], words):
        numbers = re.findall(r"\d{1,9}", _RANGE.sub(r"\1 \2", words).replace(",", ""))
        if smaller := [int(number) for number in numbers if _LEAST_ROOM <= int(number) < limit]:
            return replace(dialect, most_tokens=max(smaller))
    return other if "max_tokens" in body and _NO_MAX_TOKENS.search(words) else None


def _change_form(dialect: Dialect, body: Mapping[str, Any], words: str) -> Dialect | None:
    """Return the dialect with a stream or without system turns, whichever a complaint asks for; None if neither."""
    if "stream" not in body and _STREAM.search(words):
        return replace(dialect, streams=True)
    if dialect.system_turns and _has_system_turn(body) and _SYSTEM.search(words):
        return replace(dialect, system_turns=False)
    return None


def _less_neutral(dialect: Dialect) -> Dialect:
    return replace(dialect, neutral=_NEUTRALS[_NEUTRALS.index(dialect.neutral) + 1])


_QUOTED = re.compile(r"[\"“][^\"“”]{40,}[\"”]|(?<!\w)'[^'\"]{40,}'(?!\w)")
"""Long quotations, which may repeat the prompt: a seed or a temperature mentioned there is no field of ours."""
_ACCEPTED_FIELDS = re.compile(
    r"(?:expected|must be|should be) one of[^·]*"
    r"|(?<!not )\b(?:supported|allowed|accepted|valid|permitted|available|known) "
    r"(?:parameters|params|fields|keys|arguments|properties|options)[^·:]{0,30}:[^·]*",
    re.IGNORECASE,
)
"""A list of all accepted fields, which strict servers add to the one that they refuse."""
_RANGE = re.compile(r"[\[(](\d{1,9}),(\d{1,9})[\])]")
_NO_MAX_TOKENS = re.compile(
    r"(?:unrecogni|unknown|unsupported|unexpected|not support)[^.·]{0,60}\bmax_tokens"
    r"|\bmax_tokens\b[^.·]{0,40}(?:unrecogni|unknown|unsupported|not support|not permitted|deprecated)",
    re.IGNORECASE,
)
_FIELDS = re.compile(r"\b(?:model|messages|temperature|top_p|max_tokens|stream|stop|n|seed|tools)\b")
_STREAM = re.compile(
    r"only (?:supports? )?(?:the )?stream|流式|non-stream|enable the stream|stream(?:ing)? (?:is required|only)"
    r"|\bstream\b.{0,20}(?:must be|should be|to be) (?:set to )?true"
    r"|\brequires? (?:the )?stream|\bstream[\"'`]{0,2} ?[:=] ?true\b",
    re.IGNORECASE,
)
_SYSTEM = re.compile(
    r"roles must alternate|only user and assistant roles|'user' or 'assistant'|developer instruction|start with a user"
    r"|invalid (?:message )?role"
    r"|\b(?:system|developer)\b.{0,30}(?:not|n't|un) ?(?:support|allow|accept|enabl|permit)"
    r"|(?:not|n't|un) ?(?:support|allow|accept|permit|expect)\w{0,3}\b.{0,25}\b(?:system|developer)\b",
    re.IGNORECASE,
)


def _drop_list(match: re.Match[str]) -> str:
    """Return a blank for a list of accepted fields, and the text itself if it names too few of them to be one."""
    return " " if len(set(_FIELDS.findall(match[0]))) > 2 else match[0]


_JSON = re.compile(
    r"response[_ ]?format|json[_ ]?(?:schema|object|mode|validate|output)|schema|grammar|generate json"
    r"|structured[ _-]?output|(?:guided|constrained)[ _-]?(?:json|decoding)|xgrammar|outlines"
    r"|llguidance|mime ?type|word 'json'",
    re.IGNORECASE,
)
_ONE_ANSWER = re.compile(r"json_validate|failed to generate|failed_generation", re.IGNORECASE)
"""One answer failed to be valid JSON; the mode itself works."""
_CHOICES = re.compile(
    r"""["'`\[]n["'`\]]|(?<![a-z0-9_])n (?:must|should|>|is|value|= ?\d)|value (?:of|for) n\b"""
    r"""|parameters? n\b|参数 ?n(?![a-z])|(?<![a-z_])choices?\b|candidate|num_return_sequences|multiple completions"""
    r"""|supplied: n\b|equal to n\b|· n ·|\(n[,)]""",
    re.IGNORECASE,
)


def _names(pattern: str, words: str) -> bool:
    """Return whether a complaint names a field. Letters of other scripts next to it don't belong to the name."""
    return re.search(rf"(?<![A-Za-z0-9_])(?:{pattern})(?![A-Za-z0-9_])", words, re.IGNORECASE | re.ASCII) is not None


def fewer_samples(dialect: Dialect, body: Mapping[str, Any]) -> Dialect:
    """Return the dialect with half of the body's `n`: a server's limit may be any number, and is often 1."""
    return replace(dialect, samples_per_request=body["n"] // 2)


def narrowest(one: Dialect, other: Dialect) -> Dialect:
    """Return what both dialects allow; two requests may narrow the dialect at the same time."""
    return Dialect(
        json_mode=max(one.json_mode, other.json_mode, key=_JSON_MODES.index),
        token_limit=max(one.token_limit, other.token_limit, key=_TOKEN_LIMITS.index),
        most_tokens=min(one.most_tokens, other.most_tokens),
        refused=one.refused | other.refused,
        samples_per_request=min(one.samples_per_request, other.samples_per_request),
        neutral=max(one.neutral, other.neutral, key=_NEUTRALS.index),
        system_turns=one.system_turns and other.system_turns,
        streams=one.streams or other.streams,
    )
