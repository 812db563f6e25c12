"""Gold: responses that are known to follow, or not to follow, an instruction.

    {"instruction": "Use at most 20 words.", "response": "Tea is hot.", "followed": true}

A row may name a `group`, such as "near-misses"; each group is measured separately. Gold is matched to the run's
instructions by their words; spaces, numbering and marks around the whole instruction are ignored.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import StrictBool, model_validator

from autoif.errors import ConfigError
from autoif.messages import cut_text
from autoif.reading.jsonl import read_jsonl
from autoif.reading.lines import make_key
from autoif.records import ForeignRow

RESPONSES = "responses"
"""The group of rows that name no other."""
_KEYS = ("instruction", "response", "followed")
_SHOWN_CHARS = 60


class GoldRow(ForeignRow):
    """One row of a gold file."""

    instruction: str
    response: str
    followed: StrictBool
    group: str = RESPONSES

    @model_validator(mode="before")
    @classmethod
    def _name_what_lacks(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            raise ValueError(f"it is no object {{{', '.join(_KEYS)}}}")
        if lacking := [key for key in _KEYS if key not in given]:
            there = ", ".join(map(str, given)) or "nothing"
            raise ValueError(f"it needs instruction, response and followed; {lacking[0]} is missing, there is {there}")
        return given


@dataclass(slots=True)
class Gold:
    """Labels of responses, by instruction and group."""

    name: str
    """Name of the file, or of the benchmark."""
    labels: dict[str, dict[str, dict[str, bool]]] = field(default_factory=dict)
    """Whether a response follows: by the key of the instruction, the group, and the response."""
    texts: dict[str, str] = field(default_factory=dict)
    """The first wording of the instruction with each key."""
    notes: list[str] = field(default_factory=list)
    """Notes for the user, a line each."""

    @property
    def rows(self) -> int:
        """How many different rows there are."""
        return sum(len(labels) for groups in self.labels.values() for labels in groups.values())

    def add(self, row: GoldRow) -> None:
        """Add a row; repeats count once.

        Raises:
            ValueError: an earlier row says the opposite.
        """
        key = make_key(row.instruction)
        self.texts.setdefault(key, row.instruction)
        earlier = self.find(row.instruction, row.response)
        if earlier is not None and earlier != row.followed:
            raise ValueError(f"an earlier row says that this response does {'' if earlier else 'not '}follow")
        self.labels.setdefault(key, {}).setdefault(row.group, {})[row.response] = row.followed

    def of(self, instruction: str) -> Mapping[str, Mapping[str, bool]]:
        """Return the labels of an instruction by group; empty if it has none."""
        return self.labels.get(make_key(instruction), {})

    def find(self, instruction: str, response: str) -> bool | None:
        """Return whether this response follows this instruction; None if gold doesn't say."""
        return next((each[response] for each in self.of(instruction).values() if response in each), None)


def read_gold(path: Path) -> Gold:
    """Read a gold file.

    Raises:
        StoreError: it can't be read, or a line, which is named, is no gold row or contradicts an earlier one.
        ConfigError: it has no rows.
    """
    gold = Gold(path.name)
    if not read_jsonl(path, GoldRow, exact=True, check=gold.add):
        raise ConfigError(f'{path} has no rows: write {{"instruction", "response", "followed"}}, one a line')
    return gold


def describe_missing(gold: Gold, instructions: Iterable[str]) -> list[str]:
    """Return notes on the instructions that only gold or only the run has.

    Raises:
        ConfigError: they share no instruction.
    """
    keys = {make_key(text) for text in instructions}
    unknown = [text for key, text in gold.texts.items() if key not in keys]
    unlabelled = len(keys - gold.labels.keys())
    if not keys & gold.labels.keys():
        raise ConfigError(
            f"gold {gold.name} is of other instructions than the run's: none of its {len(gold.texts):,} is one of the "
            f"run's {len(keys):,}, as {_quote(unknown[0])}"
            if unknown
            else f"gold {gold.name} says nothing of the run's {len(keys):,} instructions"
        )
    lines = []
    if unknown:
        lines.append(
            f"{len(unknown):,} instructions of gold have no functions in the run, as {_quote(unknown[0])}: not measured"
        )
    if unlabelled:
        lines.append(f"{unlabelled:,} of the run's {len(keys):,} instructions have no gold: not measured")
    return lines


def _quote(text: str) -> str:
    return repr(cut_text(text, _SHOWN_CHARS))
