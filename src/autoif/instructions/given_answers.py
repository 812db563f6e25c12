"""Answers to instructions from a file, such as a better model's, by which contrast can choose functions.

    {"instruction": "Use at most 20 words.", "response": "Tea is hot."}

Any file of rows with these two columns works (JSON lines, JSON, CSV, Parquet); other columns are ignored. A row belongs
to an instruction of the run if the words are the same; numbering, quotes around the whole and spaces don't matter. The
texts only serve to choose functions: they never enter a data set.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from math import gcd
from pathlib import Path

from autoif.errors import ConfigError
from autoif.language import is_garbled
from autoif.models.requests import sampling_seed
from autoif.reading.lines import make_key
from autoif.reading.row_files import SourceRow, read_rows
from autoif.records import Record

_SHOWN_CHARS = 60


class GivenAnswer(Record):
    """One row of the file."""

    instruction: str
    response: str


@dataclass(frozen=True, slots=True)
class GivenAnswers:
    """Answers by instruction; empty where no file is named."""

    rows: tuple[GivenAnswer, ...] = ()
    """Each once, in the order of the file."""
    left_out: int = 0
    """Rows that hold no answer: blank, too long, or not text."""
    _by_instruction: dict[str, list[str]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for row in self.rows:
            self._by_instruction.setdefault(make_key(row.instruction), []).append(row.response)

    def of(self, instruction: str) -> tuple[str, ...]:
        """Return the answers to an instruction, in the order of the file."""
        return tuple(self._by_instruction.get(make_key(instruction), ()))

    def of_others(self, instruction: str, count: int, seed: int) -> tuple[str, ...]:
        """Return up to `count` different answers to other instructions, from all over the file."""
        key, own, whole = make_key(instruction), {*self.of(instruction)}, len(self.rows)
        if not whole:
            return ()
        start = sampling_seed(seed, "contrast", key) % whole
        # About 0.618 of the file, and coprime to its length: the walk visits every row once, far apart at first.
        stride = next(step for step in range(max(1, whole * 618 // 1000), whole + 2) if gcd(step, whole) == 1)
        walk = (self.rows[(start + turn * stride) % whole] for turn in range(whole))
        others = (row.response for row in walk if row.response not in own and make_key(row.instruction) != key)
        return tuple(islice(_each_once(others), count))

    def describe(self, instructions: Iterable[str]) -> str:
        """Return in words how many of a run's instructions have answers here, and what was left out."""
        asked = list(instructions)
        known = sum(bool(self.of(text)) for text in asked)
        lost = f"; {self.left_out:,} rows hold no answer (blank, too long, or not text)" if self.left_out else ""
        return (
            f"contrast.answers: {len(self.rows):,} answers to {len(self._by_instruction):,} instructions, "
            f"{known:,} of the run's {len(asked):,}{lost}"
        )


def read_given_answers(path: Path, max_chars: int) -> GivenAnswers:
    """Read a file of answers; those of more than `max_chars` characters are left out. Raises ConfigError: the file
    can't be read, a row has another form (its line is named), or no row holds an answer."""
    rows: dict[GivenAnswer, None] = {}
    left_out = 0
    for row in read_rows(path, "answers"):
        answer = _read_row(path, row)
        if 0 < len(answer.response) <= max_chars and not is_garbled(answer.response):
            rows[answer] = None
        else:
            left_out += 1
    if not rows:
        raise ConfigError(f'{path} has no answers: write {{"instruction", "response"}}, one a line')
    return GivenAnswers(tuple(rows), left_out)


def _read_row(path: Path, row: SourceRow) -> GivenAnswer:
    found = row.value if isinstance(row.value, Mapping) else {}
    instruction, response = found.get("instruction"), found.get("response")
    if isinstance(instruction, str) and isinstance(response, str) and instruction.strip():
        return GivenAnswer(instruction=instruction.strip(), response=response.strip())
    there = ", ".join(map(str, found)) or "no object"
    raise ConfigError(
        f'answers file {path}, {row.place}: no row {{"instruction", "response"}} of texts, there is '
        f"{there[:_SHOWN_CHARS]}"
    )


def _each_once(texts: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for text in texts:
        if text not in seen:
            seen.add(text)
            yield text
