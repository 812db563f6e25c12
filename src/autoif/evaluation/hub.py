"""Fetches the official data sets of benchmarks with `datasets`, if no file is named; refuses repeated prompts."""

import importlib.util
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeVar

from pydantic import ValidationError

from autoif.errors import ConfigError, first_line
from autoif.reading.jsonl import name_problem

R = TypeVar("R")


def fetch_rows(
    name: str, instead: str, read: Callable[[object], R], *, part: str | None = None, split: str = "train"
) -> list[R]:
    """Return the rows of a data set, each converted by `read`.

    Args:
        name: of the data set on the hub.
        instead: what the user can name in its place, for errors.
        read: converts a row; a `ValidationError` means that the data set has changed its form.
        part: a configuration of the data set.
        split: a split of the data set.

    Raises:
        ConfigError: `datasets` is not installed, or the data set can't be fetched or has changed its form.
    """
    if importlib.util.find_spec("datasets") is None:
        raise ConfigError(f"{name} is fetched with `datasets`: pip install 'autoif[eval]', or name {instead}")
    import datasets

    try:
        rows = list(datasets.load_dataset(name, *([part] if part else []), split=split))
    except Exception as error:  # noqa: BLE001  # raised by several libraries and the network
        raise ConfigError(f"{name} can't be fetched ({first_line(error)}): name {instead}") from None
    try:
        return list(map(read, rows))
    except ValidationError as error:
        raise ConfigError(f"{name} has another form than it had ({name_problem(error)})") from None


def refuse_twins(source: object, what: str, values: Iterable[str]) -> None:
    """Raise `ConfigError` if two rows of a source have the same prompt, or another value that should be unique."""
    [(value, count)] = Counter(values).most_common(1)
    if count > 1:
        raise ConfigError(f"{source} has the {what} {value[:80]!r} {count} times: each would count {count} times")
