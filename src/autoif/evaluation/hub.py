"""The official data sets of benchmarks, fetched with `datasets` where no file is named."""

import importlib.util

from autoif.errors import ConfigError


def fetch_rows(name: str, instead: str, *, part: str | None = None, split: str = "train") -> list[object]:
    """Return the rows of a data set's split, or of one of its parts; `instead` says what can be named in its place.

    Raises:
        ConfigError: `datasets` is not installed, or the data set can't be fetched.
    """
    if importlib.util.find_spec("datasets") is None:
        raise ConfigError(f"{name} is fetched with `datasets`: pip install 'autoif[datasets]', or name {instead}")
    import datasets

    try:
        return list(datasets.load_dataset(name, *([part] if part else []), split=split))
    except Exception as error:  # noqa: BLE001  # of several libraries and the network below
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(f"{name} can't be fetched ({reason[0]}): name {instead}") from None
