"""Finds the JSON value in a model's answer, trying the strictest reading first.

    | reading                | what it tolerates                                                          |
    |------------------------|----------------------------------------------------------------------------|
    | as it is               | nothing                                                                    |
    | raw control characters | newlines and tabs inside strings, not escaped                              |
    | invalid escapes        | a backslash before a character that JSON doesn't escape, as in "\\d" or "\\'" |
    | json syntax            | anything else: triple quotes, backticks, True, comments, missing commas    |

If an object has a key twice, the last value counts, as in most JSON parsers, and a repair records it.

Each reading is tried on the text itself, on the inside of each fence, and on the text from each brace that opens an
object.
"""

import json
import re
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from types import FrameType
from typing import Any

import json_repair

from autoif.reading.json_text import TwoValues, refuse_two_values


class FormatRepair(StrEnum):
    """What was mended to read an answer."""

    SURROUNDING_TEXT = "surrounding_text"
    RAW_CONTROL_CHARACTERS = "raw_control_characters"
    INVALID_ESCAPE = "invalid_escape"
    JSON_SYNTAX = "json_syntax"
    REPEATED_KEY = "repeated_key"
    BARE_CODE = "bare_code"
    OTHER_KEYS = "other_keys"
    SPECIAL_TOKENS = "special_tokens"
    ESCAPED_NEWLINES = "escaped_newlines"
    ESCAPED_QUOTES = "escaped_quotes"
    LOST_ESCAPE = "lost_escape"
    BROKEN_LITERAL = "broken_literal"
    FENCED_SOURCE = "fenced_source"
    STRING_VERDICT = "string_verdict"
    ODD_CHARACTERS = "odd_characters"
    INDENTED = "indented"
    OTHER_NAME = "other_name"


FENCE = re.compile(r"(?:```|~~~)[ \t]*+(\w*+)[ \t]*+\r?\n(.*?)(?:```|~~~|\Z)", re.DOTALL)
_MAX_OBJECTS = 20
_MAX_REPAIRED = 3
_MAX_REPAIRED_CHARS = 10_000
_MAX_REPAIRED_BRACKETS = 500
_OBJECT = re.compile(r"\{\s*[\"']")
_ESCAPE = re.compile(r"\\(?:(?P<valid>[\"\\/bfnrt]|u[0-9a-fA-F]{4})|(?P<other>.))", re.DOTALL)
_ESCAPED = re.compile(r"\\([\"\\nt])")
_ESCAPED_OBJECT = re.compile(r"\{\s*(?:\\n\s*)?\\\"")
_TRIPLE = re.compile(r"(?P<before>:\s*)r?(?P<mark>\"\"\"|'''|```|`)(?:(?<=```)(?:python|py)?\n)?")
_TRIPLE_END = re.compile(r"(?=(\"\"\"|'''|```|`)\s*[,}\]])")

Found = tuple[Any, list[FormatRepair]]


@dataclass(slots=True)
class Effort:
    """What is left of the lenient parser's budget for one answer.

    The parser takes quadratic time or more for some texts. The budget is in calls rather than seconds, so that every
    machine reads the same.
    """

    calls: int = 1_000_000
    """An ordinary answer takes about 15 per character; a million take about a second."""


def find_json(text: str, wanted: Callable[[object], bool], effort: Effort | None = None) -> Found | None:
    """Return the first JSON value in a text that `wanted` accepts, with the repairs it took; None if there is none."""
    effort = effort or Effort()
    stripped = text.strip()
    candidates = list(dict.fromkeys(_candidates(stripped)))
    for candidate in candidates:
        for repairs, value, rest in _decode(candidate):
            if wanted(value):
                around = candidate != stripped or bool(rest.strip())
                return value, [FormatRepair.SURROUNDING_TEXT] * around + repairs
    for candidate in candidates[:_MAX_REPAIRED]:
        for value in _repair(candidate, effort):
            if wanted(value):
                return value, [FormatRepair.JSON_SYNTAX]
    return find_json(_unescape(stripped), wanted, effort) if _ESCAPED_OBJECT.search(stripped) else None


def _candidates(text: str) -> Iterator[str]:
    """Yield the texts to try: the whole, the inside of each fence, and the rest from each opening of an object."""
    if text.startswith(("{", "[")):
        yield text
    for match in FENCE.finditer(text):
        inside = match[2].strip()
        if inside.startswith(("{", "[")):
            yield inside
    for number, match in enumerate(_OBJECT.finditer(text)):
        if number == _MAX_OBJECTS:
            break
        yield text[match.start() :]


def _decode(text: str) -> Iterator[tuple[list[FormatRepair], Any, str]]:
    """Yield (repairs, value, text after it) for each reading that succeeds and mends nothing but strings."""
    readings: tuple[tuple[str, bool, list[FormatRepair]], ...] = (
        (text, True, []),
        (text, False, [FormatRepair.RAW_CONTROL_CHARACTERS]),
        (_ESCAPE.sub(_keep_backslash, text), False, [FormatRepair.INVALID_ESCAPE]),
    )
    for source, strict, repairs in readings:
        repeated = list[FormatRepair]()
        take = partial(_take_last, repeated=repeated)
        try:
            value, end = json.JSONDecoder(strict=strict, object_pairs_hook=take).raw_decode(source)
        except (ValueError, RecursionError):
            continue
        yield [*repairs, *repeated[:1]], value, source[end:]


def _take_last(members: list[tuple[str, Any]], repeated: list[FormatRepair]) -> dict[str, Any]:
    """Return an object of these members, and record a key that has two different values."""
    try:
        return refuse_two_values(members)
    except TwoValues:
        repeated.append(FormatRepair.REPEATED_KEY)
        return dict(members)


def _repair(text: str, effort: Effort) -> Iterator[Any]:
    """Yield what a lenient parser makes of a text, with triple-quoted strings first turned into JSON ones."""
    if len(text) > _MAX_REPAIRED_CHARS or text.count("{") + text.count("[") > _MAX_REPAIRED_BRACKETS:
        return
    for source in dict.fromkeys((_quote_triples(text), text)):
        try:
            value = _parse_leniently(_ESCAPE.sub(_keep_backslash, source), effort)
        except Exception:  # noqa: BLE001 - its own assertions fail on odd texts, too; such a text can't be read
            continue
        yield value
        if isinstance(value, list):  # an object followed by prose is read as a list
            yield from value


class _TooMuchEffort(Exception):
    """The lenient parser has used up its calls."""


def _parse_leniently(text: str, effort: Effort) -> Any:
    """Return what the lenient parser reads, counting the calls in it; raises what it raises, and _TooMuchEffort."""

    def count(frame: FrameType, event: str, argument: object) -> None:
        effort.calls -= 1
        if effort.calls < 0:
            raise _TooMuchEffort

    previous = sys.getprofile()
    sys.setprofile(count)
    try:
        return json_repair.loads(text)
    finally:
        sys.setprofile(previous)


def _keep_backslash(match: re.Match[str]) -> str:
    return match[0] if match["valid"] else "\\\\" + match["other"]


def _unescape(text: str) -> str:
    """Take one level of escapes off a text that was itself written as the inside of a JSON string."""
    return _ESCAPED.sub(lambda match: {"n": "\n", "t": "\t"}.get(match[1], match[1]), text)


def _quote_triples(text: str) -> str:
    """Turn triple-quoted values into JSON strings. Each begins after a colon and ends at a mark that ends a value."""
    ends: dict[str, list[int]] = {}
    for match in _TRIPLE_END.finditer(text):
        ends.setdefault(match[1], []).append(match.start())
    written, done = [], 0
    while opening := _TRIPLE.search(text, done):
        closings = ends.get(opening["mark"], [])
        place = bisect_left(closings, opening.end())
        if place == len(closings):
            written.append(text[done : opening.end()])
            done = opening.end()
            continue
        written += [text[done : opening.start()], opening["before"], json.dumps(text[opening.end() : closings[place]])]
        done = closings[place] + len(opening["mark"])
    return "".join([*written, text[done:]])
