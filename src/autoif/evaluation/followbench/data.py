"""FollowBench's prompts: a folder of TYPE_constraints.json in English or Chinese, or the data set on the hub.

An initial instruction (level 0) gains one constraint with each level; those of type example have only levels 1 to 5.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from autoif.errors import ConfigError
from autoif.evaluation.followbench.rules import Language, Rule, find_rule
from autoif.evaluation.hub import fetch_rows
from autoif.reading.jsonl import name_problem
from autoif.reading.row_files import SourceRow, read_rows
from autoif.records import ForeignRow

HUB = "YuxinJiang/FollowBench"
TYPES = ("content", "situation", "style", "format", "example", "mixed")
LEVELS = (1, 2, 3, 4, 5)
SIZES: dict[Language, dict[str, int]] = {
    "en": {"content": 25, "situation": 22, "style": 30, "format": 30, "example": 40, "mixed": 17},
    "zh": {"content": 23, "situation": 22, "style": 30, "format": 30, "example": 40, "mixed": 13},
}
"""How many initial instructions the benchmark has of each type; each has five prompts."""


@dataclass(frozen=True, slots=True)
class Item:
    """One prompt."""

    type: str
    group: str
    """Name of the initial instruction, which makes the five prompts a cluster."""
    level: int
    source: str
    instructions: tuple[str, ...]
    """From the initial instruction to the prompt, each with one more constraint; for type example, only the prompt."""
    target: str
    rule: Rule | None
    """None if a judge decides."""

    @property
    def id(self) -> str:
        return f"{self.group}/{self.level}"

    @property
    def prompt(self) -> str:
        return self.instructions[-1]


@dataclass(frozen=True, slots=True)
class Items:
    """All prompts of a folder, by type, group and level."""

    items: tuple[Item, ...]
    language: Language
    sha256: str
    """Hash of all prompts."""
    lacks: tuple[str, ...]
    """Descriptions of the parts of the benchmark that are missing here."""


class FollowBenchRow(ForeignRow):
    """One object of a file."""

    example_id: int
    source: str
    level: int
    instruction: str
    target: str = ""


class _HubRow(FollowBenchRow):
    category: str
    """At the first level of a group its type; at the others of a mixed group the types of its constraints."""


def read_items(folder: Path) -> Items:
    """Return the prompts of the TYPE_constraints.json in a folder; some types may be missing.
    Raises ConfigError: there are no such files, one holds something else, or levels are missing or repeated."""
    files = {kind: folder / f"{kind}_constraints.json" for kind in TYPES}
    found = {kind: file for kind, file in files.items() if file.exists()}
    if not found:
        raise ConfigError(f"{folder} is no FollowBench data: it has no {files['content'].name} or other type")
    rows = {kind: [_parse(file, row) for row in read_rows(file, "FollowBench")] for kind, file in found.items()}
    chinese = is_chinese([row.instruction for some in rows.values() for row in some])
    return build_items(rows, "zh" if chinese else "en", folder)


def fetch_items(language: Language) -> Items:
    """Return the official prompts of one language.
    Raises ConfigError: the data set can't be fetched, or has changed its form."""
    groups = _split(fetch_rows(HUB, "a folder of prompts by --data", _HubRow.model_validate))
    found: dict[str, list[FollowBenchRow]] = {}
    for group in groups:
        if group[0].category not in TYPES:
            raise ConfigError(f"{HUB} has another form than it had ({group[0].category[:40]!r} is no type)")
        # Only level 1 tells: an English instruction that asks for a translation shows Chinese later.
        if is_chinese([row.instruction for row in group if row.level == 1]) == (language == "zh"):
            found.setdefault(group[0].category, []).extend(group)
    return build_items({kind: found[kind] for kind in TYPES if kind in found}, language, HUB)


def build_items(rows: Mapping[str, Sequence[FollowBenchRow]], language: Language, source: Path | str) -> Items:
    """Return the prompts of these rows, given by type; `source` names their origin in errors.
    Raises ConfigError: a row has no text or a target that can't be read, or levels are missing or repeated."""
    items = [item for kind, some in rows.items() for item in _grow(f"{source}, {kind}", kind, some, language)]
    content = json.dumps([[item.id, item.source, item.instructions, item.target] for item in items])
    lacks = [
        f"{kind}: {there} of {whole} initial instructions"
        for kind, whole in SIZES[language].items()
        if (there := len({item.group for item in items if item.type == kind})) < whole
    ]
    return Items(tuple(items), language, hashlib.sha256(content.encode("ascii")).hexdigest(), tuple(lacks))


def is_chinese(texts: Sequence[str]) -> bool:
    """Tell whether more than half of the texts have Chinese characters."""
    return sum(re.search(r"[\u4e00-\u9fff]", text) is not None for text in texts) > len(texts) / 2


def _parse(file: Path, row: SourceRow) -> FollowBenchRow:
    try:
        return FollowBenchRow.model_validate(row.value)
    except ValidationError as error:
        raise ConfigError(f"{file} is no FollowBench file ({row.place}: {name_problem(error)})") from None


def _grow(place: str, kind: str, rows: Sequence[FollowBenchRow], language: Language) -> list[Item]:
    """Return the prompts of a type, each with its earlier levels."""
    groups: dict[int, dict[int, FollowBenchRow]] = {}
    for row in rows:
        levels = groups.setdefault(row.example_id, {})
        if row.level in levels:
            raise ConfigError(f"{place}: example {row.example_id} has level {row.level} twice")
        levels[row.level] = row
    first = 1 if kind == "example" else 0
    items = []
    for example, levels in sorted(groups.items()):
        if sorted(levels) != [*range(first, 6)]:
            raise ConfigError(f"{place}: example {example} has levels {sorted(levels)}, not {first} to 5")
        for level in LEVELS:
            row = levels[level]
            rule = find_rule(kind, row.source, example, language)
            _check(place, row, rule)
            grown = (levels[number].instruction for number in range(level + 1))
            instructions = (row.instruction,) if kind == "example" else tuple(grown)
            items.append(Item(kind, f"{kind}/{example}", level, row.source, instructions, row.target, rule))
    return items


def _check(place: str, row: FollowBenchRow, rule: Rule | None) -> None:
    """Raise `ConfigError` for a prompt without text, and for a target that its rule can't read."""
    if not row.instruction.strip():
        raise ConfigError(f"{place}: example {row.example_id}, level {row.level}, has no instruction")
    try:
        if rule:
            rule("", row.target, row.level)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ConfigError(
            f"{place}: example {row.example_id}, level {row.level}, has a target that its rule can't read"
        ) from None


def _split(rows: Iterable[_HubRow]) -> list[list[_HubRow]]:
    """Return the rows of each initial instruction: a new one begins where the level doesn't rise."""
    groups: list[list[_HubRow]] = []
    for row in rows:
        if not groups or row.level <= groups[-1][-1].level:
            groups.append([])
        groups[-1].append(row)
    return groups
