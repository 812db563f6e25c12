"""Reads what trainers pass to a reward: completions and the data set's columns, as lists or arrays."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from autoif.errors import ConfigError
from autoif.models import requests
from autoif.models.wire import read_choice, read_text

Completion = str | Sequence[Mapping[str, Any]] | requests.Completion
"""A text, messages (the assistant's last one is judged), or a completion that has already been read."""

PARTS: Final = ("instruction", "query")
"""Columns with the parts of the prompt, which an answer may copy, as it may the instruction of a constraint."""
PROMPTS: Final = "prompts"
"""Column of the prompts, as trainers pass it."""
CONSTRAINTS: Final = "constraints"
FUNCTIONS: Final = "functions"
"""Column: for each row the sources of its constraint, or a list of sources for each of several."""


def read_completion(completion: Completion) -> requests.Completion:
    """Return what a model wrote: the answer unchanged, and its thought separately.

    Of messages, the assistant's last one counts, with a thought in a field of its own (`reasoning_content`, `thinking`,
    …) if there is one. An empty list of messages is the empty answer.
    """
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
    """Return the completions and their messages as lists. Raises ConfigError: it is a single completion, or no list."""
    completions = _to_lists(given)
    if not isinstance(completions, list):  # a text is a sequence, too, and would be split into letters
        kind = "one text" if isinstance(given, str) else type(given).__name__
        raise ConfigError(f"completions is a list of completions, and not {kind}")
    return completions


def take_columns(columns: Mapping[str, Any], constraints: str) -> dict[str, Any]:
    """Return the columns that a reward reads, as lists. Tables read by pandas have arrays, also nested ones."""
    names = (constraints, FUNCTIONS, PROMPTS, *PARTS)
    return {name: _to_lists(columns[name]) for name in names if columns.get(name) is not None}


_INTO_PYTHON: Final = ("tolist", "to_pylist", "as_py")
"""Methods by which arrays of numpy, pandas and torch, and pyarrow's columns and scalars, become Python values."""


def _to_lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _to_lists(each) for key, each in value.items()}
    if into_python := next(filter(None, (getattr(value, name, None) for name in _INTO_PYTHON)), None):
        value = into_python()
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_to_lists(each) for each in value]
    return value


def read_prompt(prompt: Any) -> list[str]:
    """Return what the model was told: a text, or each message of a conversation that is not the assistant's."""
    if isinstance(prompt, str):
        return [prompt]
    if not isinstance(prompt, list):  # a column of the same name that holds something else
        return []
    said = [each.get("content") for each in prompt if isinstance(each, Mapping) and each.get("role") != "assistant"]
    return [text for content in said if (text := _read_content(content))]


def _read_content(content: Any) -> str:
    """Return the text of a message's content; of a list of parts (text and images), the text parts joined."""
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
    """Return a constraint's functions; none for null, which `datasets` puts where a row lacks a key."""
    if isinstance(constraint, list):
        return constraint
    if not isinstance(constraint, Mapping) or "functions" not in constraint:
        return None
    return constraint["functions"] or []


def _are_sources(given: Any) -> bool:
    return isinstance(given, list) and all(isinstance(each, str) for each in given)
