"""Reads how an answer ended, in all the words that servers use for it; words that are not known are allowed.

| said by                                                           | means                                         |
|-------------------------------------------------------------------|-----------------------------------------------|
| `finish_reason`, and the names that other APIs give it            | stop, length, refused, failed, unknown        |
| `stop_reason`, `matched_stop`, `stopping_word` with a text        | cut there, if nobody asked to stop at it      |
| `truncated`, `is_truncated`, `status: "incomplete"`               | cut                                           |
| `content_filter_results`, `output_sensitive`, guardrails, ratings | refused, if one says that it struck           |
| `error` in a choice; nothing written, and no end                  | failed: worth asking again                    |
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any

from autoif.models.requests import FinishReason
from autoif.models.text import clean_text

ENDS = (
    "finish_reason", "finishReason", "stop_reason", "stopReason", "done_reason", "stop_type", "native_finish_reason",
    "finish_details",
)  # fmt: skip
"""Fields that tell how an answer ended. The first that holds something counts."""
CALLS = frozenset({"tool_calls", "tool_call", "tool_use", "function_call"})
"""Finish reasons of answers that end with a tool call."""
_NOTHING = (None, "", "null", "none", "None")
_LONGEST_REASON = 100
_MOST_WORDS = 256
"""Finish reasons and field names that are cached: the answers of a server have the same few."""
_LABEL = re.compile(r"(?:finish_?reason|stop_?reason|alternative_status)[_.:]")
_STOPPED = re.compile(
    r"(?:hit_|natural_|im_)?(?:stop(?:ped)?|eos|eot|end|finish(?:ed)?|completed?)"
    r"(?:[_:](?:token|id|sequence|word|str|string|found|turn|of_text|of_turn|of_sequence|eos))*"
    r"|endoftext|natural|final|normal|done|success"
)
_CUT = re.compile(
    r"length|max\w{0,20}tokens?|(?<![a-z])max(?:_seq)?(?:_len)?(?![a-z_])|tokens?_limit|out_of_tokens|(?<!rate_)limit"
    r"|context|window_exceeded|truncat|incomplete|not_finished|unfinished|repetit|repeat|pause|partial|overflow"
    r"|cut_?off|budget|too_long|size_exceeded|compact|predict"
)
_REFUSED = re.compile(
    r"filter|refus|safety|sensitive|recitation|block|blacklist|denylist|prohibited|spii|moderat|guardrail|policy|toxic"
    r"|model_armor|censor|violat|flagged|unsafe|nsfw|harmful|jailbreak|illegal|copyright|inspection|risk|language"
)
_FAILED = re.compile(
    r"error|abort|cancel|insufficient_system_resource|timeout|timed_out|overload|unavailable|interrupt|fail|exception"
    r"|deadline|preempt|evict|shut_?down|disconnect|crash|kill|expired|out_of_memory|oom\b|unload|malformed|upstream"
    r"|network|internal|load_shed"
)
_STOPPED_AT = ("stop_reason", "matched_stop", "stopping_word", "stop_sequence", "stop_string")
_OWN_TOKEN = re.compile(r"\s*(?:[<\[(|◁｜]{1,2}.{0,40}[>\])|▷｜]{1,2}|\w{1,40})\s*", re.DOTALL)
"""A template's token, or a single word of an API. Other texts are stop strings that the server was configured with."""
_CUTS = ("truncated", "is_truncated", "isTruncated", "output_truncated", "incomplete")
_FILTERS = re.compile(
    r"content_filter_results?|(?:output|input)_sensitive|[\w-]{0,40}guardrail\w{0,20}|safety_?ratings|moderations?(?:_result)?"
    r"|moderation_hit_type|filter_results?|is_safe|flagged",
    re.IGNORECASE,
)
_STRUCK = frozenset({"filtered", "blocked", "flagged", "triggered"})
_DEEPEST = 5


def find_end(choice: Mapping[str, Any]) -> object:
    """Return a choice's finish reason, None if it has none. Where it is an object, the word within that is returned."""
    reason = next((choice[name] for name in ENDS if choice.get(name) not in _NOTHING), None)
    if isinstance(reason, dict):
        return next((reason[name] for name in ("type", "reason", "name") if isinstance(reason.get(name), str)), reason)
    return reason


def name_end(reason: object) -> str:
    """Return a finish reason in one spelling; "" if it is not a string."""
    return _name(reason[:_LONGEST_REASON]) if isinstance(reason, str) else ""


@lru_cache(_MOST_WORDS)
def _name(reason: str) -> str:
    spelled = re.sub(r"[-\s]|(?<=[a-z])(?=[A-Z])", "_", reason.strip(" <|>"))
    return _LABEL.sub("", spelled.lower(), count=1)


def read_finish_reason(reason: object) -> FinishReason:
    """Return what a finish reason means. Servers use some forty, and new versions add more."""
    return _read_name(name_end(reason))


@lru_cache(_MOST_WORDS)
def _read_name(name: str) -> FinishReason:
    if _STOPPED.fullmatch(name):
        return "stop"
    if _CUT.search(name):
        return "length"
    return "refused" if _REFUSED.search(name) else "unknown"


def find_failure(choice: Mapping[str, Any], message: Mapping[str, Any]) -> str:
    """Return why a choice with this message failed and should be asked for again; "" if it shouldn't."""
    error = choice.get("error")
    if error:
        complaint = error.get("message") if isinstance(error, dict) else error
        return clean_text(str(complaint or "error"))[:300]
    reason = find_end(choice)
    says_anything = bool(choice.get("text")) or any(value for name, value in message.items() if name != "role")
    if not says_anything and (reason is None or name_end(reason) == "load"):
        return "nothing was written, and no end is told"
    failed = read_finish_reason(reason) == "unknown" and _FAILED.search(name_end(reason))
    return f"finish_reason {reason!r}" if failed else ""


def find_cut(choice: Mapping[str, Any], answer: Mapping[str, Any], stop: Collection[str]) -> str:
    """Return how a choice, or the answer that holds it, shows that it was cut although it says `stop`; "" if it wasn't.

    `stop` are the stop strings of the request.
    """
    for name in _STOPPED_AT:
        text = choice.get(name)
        if isinstance(text, str) and text not in stop and text not in _NOTHING and not _OWN_TOKEN.fullmatch(text):
            return f"it stopped at {json.dumps(text[:40], ensure_ascii=False)}, which nobody asked for"
    for place in (choice, answer):
        if name := next((name for name in _CUTS if place.get(name) is True), ""):
            return f"it says {name}"
        if place.get("status") == "incomplete":
            return "it says that they are incomplete"
    return ""


def find_filter(*places: Mapping[str, Any]) -> str:
    """Return the name of a filter that struck, by a choice, its message or the whole answer; "" if none did."""
    for place in places:
        for name, value in place.items():
            if not _is_filter(name):
                continue
            if name == "moderation_hit_type":
                struck = isinstance(value, str) and bool(value)
            elif name == "is_safe":
                struck = value is False
            else:
                struck = value is True or any(_list_strikes(value))
            if struck:
                return next(_list_strikes(value), "") or name
    return ""


@lru_cache(_MOST_WORDS)
def _is_filter(name: str) -> bool:
    return _FILTERS.fullmatch(name) is not None


def _list_strikes(value: object, name: str = "", depth: int = 0) -> Iterator[str]:
    """Yield the names of everything that struck, within the report of a filter."""
    if depth == _DEEPEST:
        return
    if isinstance(value, dict):
        if any(value.get(word) is True for word in _STRUCK):
            yield name or next(
                (value[each] for each in ("category", "type") if isinstance(value.get(each), str)), "filter"
            )
        for inner, each in value.items():
            yield from _list_strikes(each, inner, depth + 1)
    elif isinstance(value, list):
        for each in value[:50]:
            yield from _list_strikes(each, name, depth + 1)
    elif isinstance(value, str) and value.upper() in {"INTERVENED", "GUARDRAIL_INTERVENED"}:
        yield name or "guardrail"
