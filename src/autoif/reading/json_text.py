"""Parses JSON, TOML and Python literals of others; JSON that nests too deep for the code that uses it is refused.

| function        | returns                                                             |
|-----------------|---------------------------------------------------------------------|
| `parse_json`    | what is written                                                     |
| `try_json`      | the same, and something else in place of what is no JSON            |
| `load_json`     | what may be written again: no half characters, null in place of NaN |
| `parse_literal` | the value of a Python literal                                       |

Of an object that has a name twice, Python's parser keeps the last value without a word. A row of data is refused there,
as a table is in which two columns have one name: nobody knows which was meant. What a server sends is read as it is.
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
"""Of JSON: answers and rows nest some ten deep, and what goes much deeper stops whoever walks through it."""
TOO_DEEP = f"nested more than {MAX_DEPTH} deep"
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class _PatientDecoder(json.JSONDecoder):
    """The decoder of the standard library that is written in Python: the one in C holds up all threads until it is
    done."""

    def __init__(self, **hooks: Any) -> None:
        super().__init__(**hooks)
        self.parse_string = json.decoder.py_scanstring  # type: ignore[attr-defined]  # as old as the module
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]


class TwoValues(ValueError):
    """An object has a name twice, with different values."""


def refuse_two_values(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of these members, for the parser. Raises TwoValues."""
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
    """Return the value of a JSON text from outside, such that nothing done with it later can go too deep.

    With `patient` it takes some ten times as long, and other threads go on meanwhile. Without `strict` texts may hold
    control characters as they are. With `unique` no object may have two values of one name.

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
    """Return the value of a JSON text from outside, as `parse_json`; `instead` for what is none."""
    try:
        return parse_json(text)
    except ValueError:
        return instead


def load_json(text: str) -> Any:
    """Return the value of a JSON text. Half a character (a lone surrogate) becomes U+FFFD, and NaN null.

    No tokenizer takes half a character, and no strict reader takes NaN, so neither may reach a file that is written.

    Raises:
        ValueError: as `parse_json` with `unique` does.
    """
    value = parse_json(text, lambda _: None, unique=True)
    return replace_surrogates(value) if _ESCAPED_SURROGATE.search(text) else value


def parse_literal(text: str) -> object:
    """Return the value of a Python literal, as pandas and models write lists. Raises ValueError if it is none.

    Nothing is said of escapes that Python doesn't know, such as `\\_`: from 3.12 on it warns of them on the terminal.
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
    """Return a JSON value with U+FFFD for each half of a character."""
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
