"""Prompts of benchmarks: the official data sets, fetched with `datasets` where no file is named; none counts twice."""

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
    """Return the rows of a data set's split, or of one of its parts, as `read` makes them of what is there; `instead`
    says what can be named in its place.

    Raises ConfigError: `datasets` is not installed, or the data set can't be fetched, or has another form than it had.
    """
    if importlib.util.find_spec("datasets") is None:
        raise ConfigError(f"{name} is fetched with `datasets`: pip install 'autoif[eval]', or name {instead}")
    import datasets

    try:
        rows = list(datasets.load_dataset(name, *([part] if part else []), split=split))
    except Exception as error:  # noqa: BLE001  # of several libraries and the network below
        raise ConfigError(f"{name} can't be fetched ({first_line(error)}): name {instead}") from None
    try:
        return list(map(read, rows))
    except ValidationError as error:
        raise ConfigError(f"{name} has another form than it had ({name_problem(error)})") from None


def refuse_twins(source: object, what: str, values: Iterable[str]) -> None:
    """Raise ConfigError if two rows of a source have the same prompt, or another value that tells them apart."""
    [(twice, count)] = Counter(values).most_common(1)
    if count > 1:
        raise ConfigError(f"{source} has the {what} {twice[:80]!r} {count} times: each would count {count} times")
