"""FollowBench from the hub: one data set in which all types of both languages follow one another."""

from collections.abc import Iterable

from pydantic import ValidationError

from autoif.errors import ConfigError
from autoif.evaluation.followbench.data import TYPES, Benchmark, Row, build_benchmark, is_chinese
from autoif.evaluation.followbench.rules import Language
from autoif.evaluation.hub import fetch_rows

HUB = "YuxinJiang/FollowBench"


class _HubRow(Row):
    category: str
    """Its type, at the first level of a group; of a mixed one the types of its constraints at the others."""


def fetch_benchmark(language: Language) -> Benchmark:
    """Return the official prompts of one language.

    Raises:
        ConfigError: the data set can't be fetched, or has another form than it had.
    """
    rows = fetch_rows(HUB, "a folder of prompts by --data")
    try:
        groups = _split([_HubRow.model_validate(row) for row in rows])
    except ValidationError as error:
        raise ConfigError(f"{HUB} has another form than it had ({error.errors()[0]['msg']})") from None
    found: dict[str, list[Row]] = {}
    for group in groups:
        if group[0].category not in TYPES:
            raise ConfigError(f"{HUB} has another form than it had ({group[0].category[:40]!r} is no type)")
        # Of level 1 alone: an English instruction that asks for a translation shows Chinese later.
        if is_chinese([row.instruction for row in group if row.level == 1]) == (language == "zh"):
            found.setdefault(group[0].category, []).extend(group)
    return build_benchmark({kind: found[kind] for kind in TYPES if kind in found}, language, HUB)


def _split(rows: Iterable[_HubRow]) -> list[list[_HubRow]]:
    """Return the rows of each initial instruction, whose levels rise."""
    groups: list[list[_HubRow]] = []
    for row in rows:
        if not groups or row.level <= groups[-1][-1].level:
            groups.append([])
        groups[-1].append(row)
    return groups
