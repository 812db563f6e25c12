"""What trainers hand over to a reward, read: completions, and the data set's columns, as lists or as arrays."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from autoif.errors import ConfigError
from autoif.models import requests
from autoif.models.wire import read_choice, read_text

Completion = str | Sequence[Mapping[str, Any]] | requests.Completion
"""As trainers have it: a text, or messages, of which the assistant's last one is judged; or read already."""

PARTS: Final = ("instruction", "query")
"""Columns of what the prompt is made of, which an answer may copy too; so may it the instruction of a constraint."""
PROMPTS: Final = "prompts"
"""Column of what was asked, as trainers hand it over."""
CONSTRAINTS: Final = "constraints"
FUNCTIONS: Final = "functions"
"""Column: for each row the sources of its constraint, or a list of sources for each of several."""


def read_completion(completion: Completion) -> requests.Completion:
    """Return what a model wrote, the answer letter by letter and its thought apart: of messages, the assistant's last
    one, with a thought in a field of its own (`reasoning_content`, `thinking`, …), "" if there is none."""
    if isinstance(completion, requests.Completion):
        return completion
    if isinstance(completion, str):
        return read_text(completion, clean=False)
    messages: Any = [completion] if isinstance(completion, Mapping) else completion
    if not isinstance(messages, Sequence) or not all(
        isinstance(message, Mapping) and "role" in message for message in messages
    ):
        raise ConfigError(f"a completion is a text or a list of messages, not {completion!r:.80}")
    said = [message for message in messages if message["role"] == "assistant"]
    if messages and not said:
        roles = ", ".join(repr(message["role"]) for message in messages)
        raise ConfigError(f'a completion holds no message of the role "assistant": its roles are {roles:.80}')
    answer = said[-1] if said else {}
    if not isinstance(content := answer.get("content"), str | list | Mapping | int | float | None):
        raise ConfigError(f"the content of a message is a text or a list of parts, not {content!r:.80}")
    return read_choice({"message": answer, "finish_reason": "stop"}, clean=False)


def take_completions(given: Any) -> list[Any]:
    """Return the completions and their messages in lists. Raises ConfigError: it is one completion, or none."""
    completions = _list_out(given)
    if not isinstance(completions, list):  # a text is a sequence of texts, too: its letters
        kind = "one text" if isinstance(given, str) else type(given).__name__
        raise ConfigError(f"completions is a list of completions, and not {kind}")
    return completions


def take_columns(columns: Mapping[str, Any], constraints: str) -> dict[str, Any]:
    """Return the columns that a reward reads, in lists: tables that pandas read have arrays, nested ones too."""
    names = (constraints, FUNCTIONS, PROMPTS, *PARTS)
    return {name: _list_out(columns[name]) for name in names if columns.get(name) is not None}


_INTO_PYTHON: Final = ("tolist", "to_pylist", "as_py")
"""What arrays of numpy, pandas and torch, and columns and scalars of pyarrow, have to give what Python has."""


def _list_out(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _list_out(each) for key, each in value.items()}
    if into_python := next(filter(None, (getattr(value, name, None) for name in _INTO_PYTHON)), None):
        value = into_python()
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_list_out(each) for each in value]
    return value


def read_prompt(prompt: Any) -> list[str]:
    """Return what was said to the model: a text, or of a conversation each message that is not its own."""
    if isinstance(prompt, str):
        return [prompt]
    if not isinstance(prompt, list):  # a column of the same name that holds something else
        return []
    said = [each.get("content") for each in prompt if isinstance(each, Mapping) and each.get("role") != "assistant"]
    return [text for content in said if (text := _read_content(content))]


def _read_content(content: Any) -> str:
    """Return a text, or what of the parts of a message is text, where a model also sees images."""
    parts = content if isinstance(content, list) else [content]
    texts = (part.get("text") if isinstance(part, Mapping) else part for part in parts)
    return "".join(text for text in texts if isinstance(text, str))


def read_constraints(row: Any, column: str) -> list[list[str]]:
    """Return the functions of each constraint of a row. A row without any, as of another data set that is trained on
    too, is allowed."""
    given = row or []
    if _are_sources(given):
        given = [{"functions": given}]
    each_one = given if isinstance(given, list) else [given]
    constraints = [_list_sources(one) for one in each_one]
    if not all(map(_are_sources, constraints)):
        raise ConfigError(
            f'the column {column!r} must hold a list of {{"functions": [source, ...]}}, or of sources, in each row, '
            f"not {row!r:.80}"
        )
    return [list(each) for each in constraints if each]


def _list_sources(constraint: Any) -> Any:
    """Return a constraint's functions; null, which `datasets` fills up a lacking key with, is none."""
    if isinstance(constraint, list):
        return constraint
    if not isinstance(constraint, Mapping) or "functions" not in constraint:
        return None
    return constraint["functions"] or []


def _are_sources(given: Any) -> bool:
    return isinstance(given, list) and all(isinstance(each, str) for each in given)
