"""§3.2, reading what the model wrote for one verification prompt: a function and its cases.

Much of what other implementations lose is form, not logic: a missing fence, a newline escaped twice, "True" for true.
`read_function_answer` mends what can be mended and names each repair; what it can't read is a format loss, counted
apart from functions that are wrong.

# Deviation: the released code reads only strict JSON in a ```json fence, and no cases of an answer whose function
# doesn't load (docs/method.md#verification).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from autoif.instructions.json_reading import FENCE, Effort, FormatRepair, find_json
from autoif.instructions.source_repair import mend_source, name_evaluate
from autoif.language import is_garbled
from autoif.records import Case, Function
from autoif.vocabulary import carry

MAX_ANSWER_CHARS = 50_000
"""A function and three cases take about 1,000; longer answers are repetition."""


class FormatLoss(StrEnum):
    """Why nothing could be read from an answer."""

    REFUSED = "refused"
    ONLY_REASONING = "only_reasoning"
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


_SPECIAL_TOKEN = re.compile(r"<\|(?:im_end|im_start|endoftext|end_of_text|eot_id|eom_id|end)\|>|</s>")
_DEFINITION = re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t]+evaluate[ \t]*\(", re.MULTILINE)
_FUNCTION_KEYS = (
    "func", "function", "code", "evaluate", "evaluation_function", "verification_function", "evaluate_function",
    "python_code", "python", "source_code", "source",
)  # fmt: skip
_CASES_KEYS = ("cases", "test_cases", "tests", "testcases")
_INPUT_KEYS = ("input", "response", "text", "answer", "example")
_EXPECTED_KEYS = (
    "output", "expected", "expected_output", "result", "expected_result", "label", "verdict", "should_pass", "is_valid"
)  # fmt: skip
_VERDICTS = {
    **dict.fromkeys(("true", "yes", "1", "1.0", "pass", "passed", "valid"), True),
    **dict.fromkeys(("false", "no", "0", "0.0", "fail", "failed", "invalid"), False),
}
_CASES_IN_CODE = re.compile(r"^(?:test_?)?cases[ \t]*(?::[^=\n]{1,80})?=[ \t]*(?=\[)", re.MULTILINE | re.IGNORECASE)
_FIRST_CODE = re.compile(r"(?:import|from|def|class|@|[A-Za-z_]\w*[ \t]*=(?!=))(?!\w)")
_MORE_CODE = re.compile(r"\s|\Z|[#@)\]}]|(?:import|from|def|class|if|for|try|except|with)\b|[A-Za-z_]\w*[ \t]*=(?!=)")


def read_function_answer(text: str, *, complete: bool = True, vocabulary: bool = False) -> ReadAnswer:
    """Read one answer, from which the reasoning was removed; `complete` is false if the server cut it off.

    With `vocabulary` the helpers that the function calls are added to its source.
    """
    answer = _read_answer(text, complete)
    if answer.function is None or not vocabulary:
        return answer
    return replace(answer, function=Function.of(carry(answer.function.source)))


def _read_answer(text: str, complete: bool) -> ReadAnswer:
    loss = _unreadable(text, complete)
    if loss:
        return ReadAnswer(None, loss=loss)
    effort = Effort()
    found = find_json(text, _holds_function, effort) or find_json(text, _names_function, effort)
    if found is None:
        return _read_bare_code(text, complete, effort)
    answer, repairs = found
    source = _find_source(_take(answer, _FUNCTION_KEYS, repairs))
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "\n".join(source)
    if _stops_in_function(answer, text, repairs) or (not complete and not _has_text(source)):
        return ReadAnswer(None, loss=FormatLoss.TRUNCATED)
    if not _has_text(source):
        return ReadAnswer(None, loss=FormatLoss.NO_FUNCTION)
    given = _take(answer, _CASES_KEYS, repairs)
    given = _find_cases(text, repairs, effort) if given is None else given  # cases in an object of their own
    cases, lost = _read_cases(given, repairs, effort)
    return ReadAnswer(_make_function(source, repairs), cases, _each_once(repairs), cases_lost=lost)


def _unreadable(text: str, complete: bool) -> FormatLoss | None:
    if not text.strip():
        return FormatLoss.EMPTY if complete else FormatLoss.TRUNCATED
    if len(text) > MAX_ANSWER_CHARS:
        return FormatLoss.TOO_LONG
    return FormatLoss.NOT_TEXT if is_garbled(text) else None


def _names_function(value: object) -> bool:
    return isinstance(value, dict) and _has_key(value, _FUNCTION_KEYS)


def _holds_function(value: object) -> bool:
    """Tell whether a value has a real function, unlike an example of the form such as {"func": "...", "cases": []}."""
    source = _find_source(_take(value, _FUNCTION_KEYS, [])) if isinstance(value, dict) else None
    lines = source if isinstance(source, list) else [source]
    return any(isinstance(line, str) and "evaluate" in line for line in lines)


def _find_source(value: Any) -> Any:
    """Return the source within an object such as {"name": "evaluate", "code": …}; any other value as it is."""
    if not isinstance(value, dict):
        return value
    return next((each for each in value.values() if isinstance(each, str) and "def " in each), value)


def _simplify_key(name: object) -> str:
    """Return a key without the capitals, blanks, hyphens and underscores in which models vary."""
    return re.sub(r"[\W_]", "", name.lower()) if isinstance(name, str) else ""


def _has_key(value: dict[str, Any], keys: tuple[str, ...]) -> bool:
    return any(key in value for key in keys) or bool({*map(_simplify_key, value)} & {*map(_simplify_key, keys)})


def _names_cases(value: object) -> bool:
    if isinstance(value, dict):
        return _has_key(value, _CASES_KEYS)
    return isinstance(value, list) and any(map(_is_case, value))


def _is_case(value: object) -> bool:
    return isinstance(value, dict) and _has_key(value, _INPUT_KEYS)


def _has_text(source: object) -> bool:
    return isinstance(source, str) and bool(source.strip())


def _stops_in_function(answer: dict[str, Any], body: str, repairs: list[FormatRepair]) -> bool:
    """Tell whether the answer ends before its function does: half a function may load and be wrong."""
    return (
        FormatRepair.JSON_SYNTAX in repairs
        and not _has_key(answer, _CASES_KEYS)
        and not body.rstrip("`~ \n").endswith("}")
    )


def _take(answer: dict[str, Any], keys: tuple[str, ...], repairs: list[FormatRepair]) -> Any:
    """Return the value of the first of these keys that is there. Only `keys[0]` was asked for; another is a repair."""
    for key in keys:
        if key in answer:
            if key != keys[0]:
                repairs.append(FormatRepair.OTHER_KEYS)
            return answer[key]
    spelled = {_simplify_key(name): name for name in answer}
    if name := next((spelled[each] for each in map(_simplify_key, keys) if each in spelled), ""):
        repairs.append(FormatRepair.OTHER_KEYS)
        return answer[name]
    return None


def _read_bare_code(text: str, complete: bool, effort: Effort) -> ReadAnswer:
    """Read an answer that is Python, in a fence or not; look for its cases after it, before it, and in it."""
    fence = next((match for match in FENCE.finditer(text) if _DEFINITION.search(match[2])), None)
    source = fence[2] if fence else "\n".join(_code_lines(text))
    if not _DEFINITION.search(source):
        return ReadAnswer(None, loss=FormatLoss.NO_JSON if complete else FormatLoss.TRUNCATED)
    repairs = [FormatRepair.BARE_CODE]
    function = _make_function(source, repairs)
    rest = text[fence.end() :] if fence else text[text.index(source) + len(source) :]
    value = _find_cases(rest, repairs, effort)
    if value is None and fence:
        value = _find_cases(text[: fence.start()], repairs, effort)
    if value is None and (listed := _CASES_IN_CODE.search(source)):
        value = _find_cases(source[listed.end() :], repairs, effort)
    if value is None:
        loss = None if complete else FormatLoss.TRUNCATED
        return ReadAnswer(None if loss else function, repairs=_each_once(repairs), loss=loss)
    cases, lost = _read_cases(value, repairs, effort)
    return ReadAnswer(function, cases, _each_once(repairs), cases_lost=lost)


def _find_cases(text: str, repairs: list[FormatRepair], effort: Effort) -> Any:
    """Return the cases in a text: a list, an object with a list, or one case per line; None if there are none."""
    found = find_json(text, _names_cases, effort)
    if found:
        return _take(found[0], _CASES_KEYS, repairs) if isinstance(found[0], dict) else found[0]
    lines = [found[0] for line in text.splitlines() if (found := find_json(line, _is_case, effort))]
    return lines or None


def _code_lines(text: str) -> Iterator[str]:
    """Yield the lines of a text from the first that looks like code up to the next that doesn't."""
    lines = iter(text.split("\n"))
    first = next((line for line in lines if _FIRST_CODE.match(line)), None)
    if first is None:
        return
    yield first
    for line in lines:
        if not _MORE_CODE.match(line):
            return
        yield line


def _make_function(source: str, repairs: list[FormatRepair]) -> Function:
    fence = FENCE.search(source)
    if fence and _DEFINITION.search(fence[2]):
        source = fence[2]
        repairs.append(FormatRepair.FENCED_SOURCE)
    special = _SPECIAL_TOKEN.search(source)
    if special:
        source = source[: special.start()]
        repairs.append(FormatRepair.SPECIAL_TOKENS)
    mended, mends = mend_source(source)
    repairs += mends
    named = name_evaluate(mended)
    if named != mended:
        repairs.append(FormatRepair.OTHER_NAME)
    return Function.of(named)


def _read_cases(value: Any, repairs: list[FormatRepair], effort: Effort) -> tuple[tuple[Case, ...], int]:
    """Return the cases that can be read, each once, and how many could not be."""
    if isinstance(value, str):
        found = find_json(value, lambda inside: isinstance(inside, list), effort)
        value = found[0] if found else value
    if isinstance(value, dict) and value and all(map(_is_case, value.values())):
        value = list(value.values())
    elif isinstance(value, dict) and value and all(_read_verdict(each, []) is not None for each in value.values()):
        value = [[text, verdict] for text, verdict in value.items()]
    items = value if isinstance(value, list) else [] if value is None else [value]
    cases: dict[Case, None] = {}
    lost = 0
    for item in items:
        case = _read_case(item, repairs)
        if case:
            cases[case] = None
        else:
            lost += 1
    return tuple(cases), lost


def _read_case(item: Any, repairs: list[FormatRepair]) -> Case | None:
    if isinstance(item, list) and len(item) == 2:
        item = dict(zip((_INPUT_KEYS[0], _EXPECTED_KEYS[0]), item, strict=True))
        repairs.append(FormatRepair.OTHER_KEYS)
    if not isinstance(item, dict):
        return None
    text = _take(item, _INPUT_KEYS, repairs)
    match text:
        case [str(only)]:
            text = only
        case dict() if len(text) == 1:
            text = _take(text, _INPUT_KEYS, repairs)
    expected = _read_verdict(_take(item, _EXPECTED_KEYS, repairs), repairs)
    return Case(input=text, expected=expected) if isinstance(text, str) and expected is not None else None


def _read_verdict(value: Any, repairs: list[FormatRepair]) -> bool | None:
    if isinstance(value, bool):
        return value
    verdict = _VERDICTS.get(str(value).strip(" .").lower()) if isinstance(value, str | int | float) else None
    if verdict is not None:
        repairs.append(FormatRepair.STRING_VERDICT)
    return verdict


def _each_once(repairs: list[FormatRepair]) -> tuple[FormatRepair, ...]:
    return tuple(dict.fromkeys(repairs))
