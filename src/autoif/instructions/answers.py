"""§3.2, reading what the model wrote for one verification prompt: a function and its cases.

Much of what other implementations lose is form, not logic (METHOD §6, §7.5): an answer without its fence, a newline
escaped twice, "True" for true. `read_answer` mends what can be mended and names each repair; what it can't read is a
format loss, counted apart from functions that are wrong.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import json_repair

from autoif.instructions.source_repair import mend_source
from autoif.records import Case, Function

MAX_ANSWER_CHARS = 50_000
"""A function and three cases take about 1,000; longer answers are repetition."""


class FormatRepair(StrEnum):
    """What was mended to read an answer."""

    SURROUNDING_TEXT = "surrounding_text"
    RAW_CONTROL_CHARACTERS = "raw_control_characters"
    JSON_SYNTAX = "json_syntax"
    BARE_CODE = "bare_code"
    OTHER_KEYS = "other_keys"
    ESCAPED_NEWLINES = "escaped_newlines"
    BROKEN_LITERAL = "broken_literal"
    FENCED_SOURCE = "fenced_source"
    STRING_VERDICT = "string_verdict"


class FormatLoss(StrEnum):
    """Why nothing could be read from an answer."""

    EMPTY = "empty"
    TOO_LONG = "too_long"
    NOT_TEXT = "not_text"
    TRUNCATED = "truncated"
    NO_JSON = "no_json"
    NO_FUNCTION = "no_function"


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """A function with its cases, or the reason why there is none."""

    function: Function | None
    cases: tuple[Case, ...] = ()
    repairs: tuple[FormatRepair, ...] = ()
    loss: FormatLoss | None = None
    cases_lost: int = 0


_FENCE = re.compile(r"```[ \t]*(\w*)[ \t]*\r?\n(.*?)(?:```|\Z)", re.DOTALL)
_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_DEFINITION = re.compile(r"^[ \t]*def\s+evaluate\s*\(", re.MULTILINE)
_FUNCTION_KEYS = ("func", "function", "code", "evaluate")
_CASES_KEYS = ("cases", "test_cases", "tests", "testcases")
_EXPECTED_KEYS = ("output", "expected", "expected_output", "result")


def read_answer(text: str, *, complete: bool = True) -> ReadAnswer:
    """Read one answer.

    Args:
        text: what the model wrote: the JSON object that was asked for, or something like it.
        complete: False if the server cut the answer off at its token limit.
    """
    loss = _unreadable(text)
    if loss:
        return ReadAnswer(None, loss=loss)
    body = _THOUGHTS.sub("", text)
    repairs: list[FormatRepair] = []
    answer = _find_object(body, repairs)
    if answer is None:
        return _read_bare_code(body, complete)
    source = _take(answer, _FUNCTION_KEYS, repairs)
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "\n".join(source)
    if not isinstance(source, str) or not source.strip():
        return ReadAnswer(None, loss=FormatLoss.NO_FUNCTION if complete else FormatLoss.TRUNCATED)
    cases, lost = _read_cases(_take(answer, _CASES_KEYS, repairs), repairs)
    return ReadAnswer(_function(source, repairs), cases, _in_order(repairs), cases_lost=lost)


def _unreadable(text: str) -> FormatLoss | None:
    if not text.strip():
        return FormatLoss.EMPTY
    if len(text) > MAX_ANSWER_CHARS:
        return FormatLoss.TOO_LONG
    unprintable = sum(not (char.isprintable() or char.isspace()) for char in text)
    return FormatLoss.NOT_TEXT if unprintable * 10 > len(text) else None


def _find_object(text: str, repairs: list[FormatRepair]) -> dict[str, Any] | None:
    """Return the JSON object in a text that names a function, trying the strictest reading first."""
    stripped = text.strip()
    for candidate in _candidates(stripped):
        for strict in (True, False):
            try:
                value, end = json.JSONDecoder(strict=strict).raw_decode(candidate)
            except ValueError:
                continue
            if _names_function(value):
                if candidate != stripped or end != len(stripped):
                    repairs.append(FormatRepair.SURROUNDING_TEXT)
                if not strict:
                    repairs.append(FormatRepair.RAW_CONTROL_CHARACTERS)
                return dict(value)
    for candidate in _candidates(stripped):
        value = json_repair.loads(candidate)
        if isinstance(value, list):  # an object followed by prose is read as a list
            value = next((item for item in value if _names_function(item)), None)
        if _names_function(value):
            repairs.append(FormatRepair.JSON_SYNTAX)
            return dict(value)
    return None


def _candidates(text: str) -> Iterator[str]:
    """Yield what may be the JSON object: the text, each fence in it, and the text from its first brace on."""
    if text.startswith("{"):
        yield text
    for match in _FENCE.finditer(text):
        inside = match[2].strip()
        if inside.startswith("{"):
            yield inside
    brace = text.find("{")
    if brace > 0:
        yield text[brace:]


def _names_function(value: object) -> bool:
    return isinstance(value, dict) and any(key in value for key in _FUNCTION_KEYS)


def _take(answer: dict[str, Any], keys: tuple[str, ...], repairs: list[FormatRepair]) -> Any:
    """Return the value of the first of these keys; the first key is the one that was asked for."""
    for key in keys:
        if key in answer:
            if key != keys[0]:
                repairs.append(FormatRepair.OTHER_KEYS)
            return answer[key]
    return None


def _read_bare_code(text: str, complete: bool) -> ReadAnswer:
    """Read an answer that is Python in a fence, or nothing but Python: a function without cases."""
    for match in _FENCE.finditer(text):
        if _DEFINITION.search(match[2]):
            repairs = [FormatRepair.BARE_CODE]
            return ReadAnswer(_function(match[2], repairs), repairs=_in_order(repairs))
    if _DEFINITION.match(text.lstrip("\n")):
        repairs = [FormatRepair.BARE_CODE]
        return ReadAnswer(_function(text, repairs), repairs=_in_order(repairs))
    return ReadAnswer(None, loss=FormatLoss.NO_JSON if complete else FormatLoss.TRUNCATED)


def _function(source: str, repairs: list[FormatRepair]) -> Function:
    fence = _FENCE.search(source)
    if fence and _DEFINITION.search(fence[2]):
        source = fence[2]
        repairs.append(FormatRepair.FENCED_SOURCE)
    mended, kinds = mend_source(source)
    repairs += [FormatRepair(kind) for kind in kinds]
    return Function.of(mended)


def _read_cases(value: Any, repairs: list[FormatRepair]) -> tuple[tuple[Case, ...], int]:
    """Return the cases that can be read, each once, and how many could not be."""
    items = value if isinstance(value, list) else []
    cases: dict[Case, None] = {}
    lost = 0
    for item in items:
        text = item.get("input") if isinstance(item, dict) else None
        expected = _read_verdict(_take(item, _EXPECTED_KEYS, repairs), repairs) if isinstance(item, dict) else None
        if isinstance(text, str) and expected is not None:
            cases[Case(input=text, expected=expected)] = None
        else:
            lost += 1
    return tuple(cases), lost


def _read_verdict(value: Any, repairs: list[FormatRepair]) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in {"true", "false"}:
        repairs.append(FormatRepair.STRING_VERDICT)
        return value.strip().lower() == "true"
    return None


def _in_order(repairs: list[FormatRepair]) -> tuple[FormatRepair, ...]:
    return tuple(dict.fromkeys(repairs))
