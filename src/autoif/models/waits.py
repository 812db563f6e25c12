"""Reads how long a busy server asks to wait, from its headers or its complaint.

| where                                                           | used by                                    |
|-----------------------------------------------------------------|--------------------------------------------|
| `Retry-After`, `retry-after-ms`, `x-ms-retry-after-ms`          | the standard; OpenAI, Azure                |
| `retryDelay`, `retry_after`, `estimated_time` within the body   | Google, gateways; Hugging Face             |
| "try again in 6m0s"                                             | Groq, OpenAI and most others               |
| `x-ratelimit-reset-requests`, `anthropic-ratelimit-…-reset` …   | many; only limits that are used up count   |
| `RateLimit: "default";r=0;t=30`                                 | the draft standard                         |

A value may be in seconds or milliseconds, a duration ("6m0s"), an HTTP or ISO 8601 date, or a Unix time in seconds,
milliseconds or smaller units.
"""

import math
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

_MAX_DEPTH = 9
_RETRY = re.compile(
    r"(?:[\w-]{0,40}[-_])?retry[-_]?(?:after|delay|in)(?:[-_]?(ms|milliseconds|s|seconds))?|estimated_time"
)
_RESET = re.compile(r"[\w-]{0,40}rate[-_]?limit[\w-]{0,40}?(?:reset|timeremaining)[\w-]{0,40}")
_POLICY = re.compile(r"(?:remaining=|;\s?r=)0\b[^,]{0,40}?(?:,\s?reset=|;\s?t=)(\d{1,9})")
_LONG_AGO = 1e9
"""A larger number is a Unix time, in seconds or one of the smaller units in `_UNITS`."""
_UNITS = (1.0, 1e3, 1e6, 1e9)
_LONGEST_RESET_S = 300.0
"""Limit for a bare number where the server doesn't say that the limit is used up: it may be milliseconds."""
_DURATION = re.compile(
    r"(?:(\d{1,6})\s?d(?:ays?)?)?\s?(?:(\d{1,6})\s?h(?:ours?)?)?\s?(?:(\d{1,6})\s?m(?:in(?:utes?)?)?(?!s))?\s?(?:(\d{1,9}(?:\.\d{1,6})?)\s?s(?:ec(?:onds?)?)?)?"
)
_ASKED = re.compile(
    r"(?:again|retry|wait|back off|reset)[^.\d]{0,40}(\d[\ddhms. ]{0,20}(?:ms|[dhms]\b|sec|min|hour|day))",
    re.IGNORECASE,
)
_ASKED_FOREIGN = re.compile(
    r"(?:等待|[请於于在]|\b(?:dans|in|en|em|через)\s)\s?(\d{1,6})\s?(秒|分|secon|sek|seg|сек|мин|minut)"
    r"|(\d{1,6})\s?(秒|分|초|분)[钟鐘]?\s?[后後후]",
    re.IGNORECASE,
)
_MINUTES = ("分", "분", "мин", "minut")
_RESETS_AT = re.compile(
    r"\bresets?\b[^\d]{0,20}(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z| ?UTC))", re.IGNORECASE
)


def find_wait_s(headers: Mapping[str, str], words: str, body: Any, *, resets: bool = True) -> float:
    """Return how long a server asks to wait, by its headers, the words of its complaint or its JSON `body`; 0 if it
    doesn't ask.

    With `resets`, the time until a used-up limit is reset counts, too.
    """
    now = _read_clock(headers)
    sent, members = [(name.lower(), value) for name, value in headers.items()], list(_members(body))
    asked = _find_retry(sent, now) or _find_retry(members, now) or _find_in_words(words, now)
    return asked or (resets and (_find_reset(members, now) or _find_reset(sent, now))) or 0.0


def _find_retry(members: list[tuple[str, Any]], now: float) -> float:
    named = [(match, value) for name, value in members if (match := _RETRY.fullmatch(name))]
    named.sort(key=lambda each: not (each[0][1] or "").startswith("m"))  # milliseconds are more precise than seconds
    waits = (_read_wait(value, now, in_ms=(match[1] or "").startswith("m")) for match, value in named)
    return next(filter(None, waits), 0.0)


def _find_reset(members: list[tuple[str, Any]], now: float) -> float:
    """Return the seconds until all used-up limits are reset; if none is, until the first reset of a limit whose state
    isn't told."""
    named = dict(members)
    if policy := _POLICY.search(str(named.get("ratelimit", ""))):
        return float(policy[1])
    spent, unknown = [], []
    for name, value in members:
        if not _RESET.fullmatch(name):
            continue
        wait_s, left = _read_wait(value, now), named.get(name.replace("reset", "remaining"))
        if left is not None and _number(str(left)) <= 0:
            spent.append(wait_s)
        elif (left is None or left == value) and (wait_s < _LONGEST_RESET_S or _number(str(value)) != wait_s):
            unknown.append(wait_s)
    return max(spent) if spent else min(filter(None, unknown), default=0.0)


def _find_in_words(words: str, now: float) -> float:
    if asked := _ASKED.search(words):
        return _read_duration(asked[1])
    if asked := _ASKED_FOREIGN.search(words):
        number, unit = (asked[1], asked[2]) if asked[1] else (asked[3], asked[4])
        return int(number) * (60.0 if unit.lower() in _MINUTES else 1.0)
    return _read_wait(asked[1], now) if (asked := _RESETS_AT.search(words)) else 0.0


def _members(body: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    if depth == _MAX_DEPTH:
        return
    if isinstance(body, dict):
        for name, value in body.items():
            yield name.lower(), value
            yield from _members(value, depth + 1)
    elif isinstance(body, list):
        for item in body[:20]:
            yield from _members(item, depth + 1)


def _read_clock(headers: Mapping[str, str]) -> float:
    """Return the time by the server's clock if it sends a `Date`, as clocks may differ; else by this machine's."""
    try:
        return parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return time.time()


def _read_wait(value: object, now: float, *, in_ms: bool = False) -> float:
    """Return the seconds from now that a value stands for; 0 if it is no time or in the past."""
    if isinstance(value, dict):
        value = value.get("seconds")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return 0.0
    text = str(value)[:100].strip()
    number = _number(text)
    if math.isfinite(number):
        if number > _LONG_AGO:
            number = next((each for each in (number / unit for unit in _UNITS) if each < _LONG_AGO * 100), 0.0) - now
        elif in_ms:
            number /= 1000
        return max(0.0, number)
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = parse(text if parse is parsedate_to_datetime else text.replace(" UTC", "Z"))
            return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now)
        except (ValueError, OverflowError, IndexError, TypeError):
            continue
    return _read_duration(text)


def _number(text: str) -> float:
    try:
        return float(text) if text.isascii() else math.nan
    except ValueError:
        return math.nan


def _read_duration(text: str) -> float:
    """Return the seconds in a duration such as "34.07s", "6m0s", "1h2m" or "250ms"; 0 if it is none."""
    text = text.strip().lower()
    if text.endswith("ms"):
        milliseconds = _number(text.removesuffix("ms").strip())
        return milliseconds / 1000 if math.isfinite(milliseconds) else 0.0
    match = _DURATION.match(text)
    days, hours, minutes, seconds = match.groups() if match else ("", "", "", "")
    return ((int(days or 0) * 24 + int(hours or 0)) * 60.0 + int(minutes or 0)) * 60.0 + float(seconds or 0)
