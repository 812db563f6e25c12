"""From a folder to what was measured in it: the one place that knows which benchmarks there are."""

from collections.abc import Callable
from itertools import chain
from pathlib import Path

from autoif.errors import ConfigError, StoreError
from autoif.evaluation.comparison.checked import read_checked
from autoif.evaluation.comparison.evaluated import Evaluated
from autoif.evaluation.comparison.followbench import read_followbench
from autoif.evaluation.comparison.general import read_general
from autoif.evaluation.comparison.pass_rate import read_pass_rate
from autoif.evaluation.results import SAMPLES, SCORES
from autoif.text_lines import parse_json

READERS: dict[str, Callable[[Path], list[Evaluated]]] = {
    "pass_rate": read_pass_rate,
    "ifeval": read_checked,
    "ifbench": read_checked,
    "followbench": read_followbench,
    "general": read_general,
}
"""By the `metric` of scores.json, in the order of the table's columns."""


def read_model(folder: Path) -> list[Evaluated]:
    """Return what was measured of a model: the folder's own evaluation, or those of the folders in it.

    Raises:
        ConfigError: one benchmark is there twice.
        StoreError: there is none, or a damaged one.
    """
    within = [folder] if (folder / SCORES).exists() else sorted(path.parent for path in folder.glob(f"*/{SCORES}"))
    if not within:
        raise StoreError(f"{folder} holds no finished evaluation: neither it nor a folder in it has a {SCORES}")
    found: dict[str, Evaluated] = {}
    for evaluated in chain.from_iterable(READERS[_read_metric(place)](place) for place in within):
        if other := found.get(evaluated.benchmark):
            raise ConfigError(
                f"{folder} holds {evaluated.title} twice, in {other.folder.name} and {evaluated.folder.name}: keep one "
                "of them there, or name folders of one evaluation each"
            )
        found[evaluated.benchmark] = evaluated
    return list(found.values())


def order(benchmark: str) -> int:
    """Return the place of a benchmark in the table."""
    return list(READERS).index(benchmark.partition(" ")[0])


def list_unfinished(folder: Path) -> list[str]:
    """Return the names of folders in a model's whose evaluation was begun and has no scores yet."""
    begun = sorted(path.parent for path in folder.glob(f"*/{SAMPLES}"))
    return [place.name for place in begun if not (place / SCORES).exists() and not (folder / SCORES).exists()]


def _read_metric(folder: Path) -> str:
    path = folder / SCORES
    try:
        metric = str(parse_json(path.read_text(encoding="utf-8"))["metric"])
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{path} is no scores file of this version") from None
    if metric not in READERS:
        raise StoreError(f"{path} has scores of {metric!r}; what can be compared is {', '.join(READERS)}")
    return metric
