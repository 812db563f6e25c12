"""The official data sets of benchmarks, fetched with `datasets` where no file is named."""

import importlib.util
from collections.abc import Callable
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

    Raises:
        ConfigError: `datasets` is not installed, or the data set can't be fetched, or has another form than it had.
    """
    if importlib.util.find_spec("datasets") is None:
        raise ConfigError(f"{name} is fetched with `datasets`: pip install 'autoif[datasets]', or name {instead}")
    import datasets

    try:
        rows = list(datasets.load_dataset(name, *([part] if part else []), split=split))
    except Exception as error:  # noqa: BLE001  # of several libraries and the network below
        raise ConfigError(f"{name} can't be fetched ({first_line(error)}): name {instead}") from None
    try:
        return list(map(read, rows))
    except ValidationError as error:
        raise ConfigError(f"{name} has another form than it had ({name_problem(error)})") from None
