"""Parses JSON, TOML and Python literals from outside; refuses JSON that nests too deep for the code that uses it.

| function        | returns                                                             |
|-----------------|---------------------------------------------------------------------|
| `parse_json`    | the value as it is written                                          |
| `try_json`      | the same, or a default if the text is no JSON                       |
| `load_json`     | a value fit for writing: no lone surrogates, null in place of NaN   |
| `parse_literal` | the value of a Python literal                                       |

If an object has a key twice, Python's parser silently keeps the last value. In a row of data that is refused, like two
columns of one name in a table: nobody knows which was meant. A server's responses are read as they are.
"""

import ast
import json
import json.scanner
import re
import tomllib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autoif.errors import ConfigError

MAX_DEPTH = 100
"""For JSON. Answers and rows nest some ten deep; much deeper values break the recursive code that walks them."""
TOO_DEEP = f"nested more than {MAX_DEPTH} deep"
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class _PatientDecoder(json.JSONDecoder):
    """The standard library's decoder in pure Python. The one in C blocks all other threads until it is done."""

    def __init__(self, **hooks: Any) -> None:
        super().__init__(**hooks)
        self.parse_string = json.decoder.py_scanstring  # type: ignore[attr-defined]  # as old as the module
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]


class TwoValues(ValueError):
    """An object has a key twice, with different values."""


def refuse_two_values(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object from these members; a hook for the parser. Raises TwoValues."""
    found = dict(members)
    if len(found) < len(members) and (twice := [name for name, value in members if found[name] != value]):
        raise TwoValues(f"{twice[0][:80]!r} is there twice, with different values")
    return found


def parse_json(
    text: str,
    parse_constant: Callable[[str], Any] | None = None,
    *,
    patient: bool = False,
    strict: bool = True,
    unique: bool = False,
) -> Any:
    """Return the value of a JSON text from outside, with limited depth, so that later code can't recurse too deep.

    With `patient` it takes some ten times as long, and other threads run meanwhile. Without `strict`, strings may hold
    raw control characters. With `unique`, no object may have two values for one key.

    Raises:
        ValueError: it is no JSON, nests more than `MAX_DEPTH` deep, or holds a number of thousands of digits; or
            TwoValues.
    """
    try:
        lenient: dict[str, Any] = {} if strict else {"strict": False}
        value = json.loads(
            text, cls=_PatientDecoder if patient else None, parse_constant=parse_constant,
            object_pairs_hook=refuse_two_values if unique else None, **lenient,
        )  # fmt: skip
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    except (json.JSONDecodeError, TwoValues):
        raise
    except ValueError:
        raise ValueError("a number of thousands of digits") from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    return value


def try_json(text: str, instead: object = None) -> Any:
    """Return the value of a JSON text from outside, as `parse_json`; `instead` if it can't be parsed."""
    try:
        return parse_json(text)
    except ValueError:
        return instead


def load_json(text: str) -> Any:
    """Return the value of a JSON text, with U+FFFD for lone surrogates (half characters) and null for NaN.

    No tokenizer accepts a lone surrogate, and no strict reader NaN, so neither may reach an output file.

    Raises:
        ValueError: as `parse_json` with `unique` does.
    """
    value = parse_json(text, lambda _: None, unique=True)
    return replace_surrogates(value) if _ESCAPED_SURROGATE.search(text) else value


def parse_literal(text: str) -> object:
    """Return the value of a Python literal, as pandas and models write lists. Raises ValueError if it is none.

    Python 3.12 and later warn on the terminal of unknown escapes such as `\\_`; these warnings are suppressed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value: object = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError("no Python literal") from None
    return value


def read_toml(path: Path) -> dict[str, Any]:
    """Return the table in a TOML file. Raises ConfigError."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        _check_depth(table)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} can't be read as TOML: {f'{error}'.partition(';')[0]}") from None
    except RecursionError:
        raise ConfigError(f"{path} can't be read as TOML: {TOO_DEEP}") from None
    return table


def replace_surrogates(value: Any) -> Any:
    """Return a JSON value with U+FFFD in place of each lone surrogate."""
    match value:
        case str():
            return _SURROGATE.sub("\ufffd", value)
        case list():
            return [replace_surrogates(each) for each in value]
        case dict():
            return {replace_surrogates(key): replace_surrogates(each) for key, each in value.items()}
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for each in level if isinstance(each, dict | list)
                 for inner in (each.values() if isinstance(each, dict) else each)]  # fmt: skip
        if not level:
            return
    raise ValueError(TOO_DEEP)
