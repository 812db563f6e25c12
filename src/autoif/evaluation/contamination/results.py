"""What a comparison with benchmarks leaves in its folder.

nearest.jsonl        a row a prompt: the training prompts that are most like it, and what a judge said of them
contaminated.jsonl   a row a training row that has something in common with a prompt: which, and what
report.json          the numbers
"""

from collections.abc import Sequence
from pathlib import Path

from autoif.records import Record
from autoif.store import write_json, write_jsonl

REPORT, NEAREST, CONTAMINATED = "report.json", "nearest.jsonl", "contaminated.jsonl"


class TrainingFile(Record):
    """A file that was compared."""

    name: str
    sha256: str
    rows: int


class Neighbour(Record):
    """A training prompt that is like a benchmark's."""

    row: str
    """FILE:NUMBER of the first row that asks it."""
    text: str
    similarity: float
    """0 to 1."""


class Rephrasing(Record):
    """What a judge said of a prompt and its neighbours."""

    same: tuple[str, ...] | None
    """The rows that ask for the same; None if that can't be read from the answer."""
    problem: str | None
    """Why it can't be read."""
    text: str
    """The answer."""


class NearestResult(Record):
    """A prompt with its neighbours, the most similar first."""

    benchmark: str
    id: str
    prompt: str
    overlaps: bool
    """Whether a training row has a run of its words, or is the same prompt."""
    nearest: tuple[Neighbour, ...]
    """By words."""
    nearest_by_embedding: tuple[Neighbour, ...] = ()
    rephrasing: Rephrasing | None = None
    """None if no judge was asked."""

    @property
    def compared(self) -> tuple[Neighbour, ...]:
        """What a judge is shown: the neighbours by embedding, if they were looked for."""
        return self.nearest_by_embedding or self.nearest


class Shared(Record):
    """What a training row has in common with a prompt."""

    benchmark: str
    id: str
    what: str
    """"run": n words that follow one another. "prompt": all of a prompt that is shorter than that."""


class ContaminatedRow(Record):
    """A training row, and the prompts that it has something in common with."""

    row: str
    """FILE:NUMBER, the number of the line (in a JSON list of the element), from 1."""
    shared: tuple[Shared, ...]


class RephrasingCount(Record):
    """What a judge said of a benchmark's prompts."""

    judge: str
    judged: int
    """Prompts that it was asked about: those with a neighbour."""
    rephrased: int
    """Prompts of which a training prompt asks the same."""
    unread: int
    """Answers that can't be read: they are neither yes nor no."""


class BenchmarkOverlap(Record):
    """One benchmark. Shares are in percent."""

    content: str
    """Of its prompts in any order: the same, the same prompts."""
    prompts: int
    overlapping: int
    """Prompts that have a run of n words in common with a training row."""
    short: int
    """Prompts of fewer than n words."""
    short_matching: int
    """Those of them that a training row asks word for word."""
    overlapping_percent: float
    """Of all prompts, both kinds."""
    rows: int
    """Training rows that have something in common with a prompt."""
    rows_percent: float
    similarity_median: float
    """Of each prompt with its nearest training prompt."""
    similarity_p90: float
    similarity_highest: float
    rephrasing: RephrasingCount | None = None
    """None if no judge was asked."""


class TypeInstruction(Record):
    """A training instruction whose functions check a type of constraint."""

    row: str
    text: str
    agreement: float
    """Matthews' correlation of its verdicts with the checker's, 0.9 to 1."""


class TypeCoverage(Record):
    """A type of constraint of a benchmark."""

    prompts: int
    """Prompts of the benchmark that have it."""
    tried: bool
    """Whether there are texts that tell a function that checks it from others."""
    instructions: tuple[TypeInstruction, ...]
    """Of the training data, that check the same."""


class Report(Record):
    """report.json."""

    ngram: int
    training: tuple[TrainingFile, ...]
    rows: int
    blank: int
    """Rows of a known form without any text."""
    asked: int
    """Different user turns in them: what the prompts' neighbours are looked for in."""
    contaminated_rows: int
    """Rows that have something in common with any benchmark."""
    benchmarks: dict[str, BenchmarkOverlap]
    constraint_types: dict[str, dict[str, TypeCoverage]] | None = None
    """By benchmark and type; None if the training data has no functions, or they were not tried."""


def write_results(
    folder: Path, report: Report, nearest: Sequence[NearestResult], contaminated: Sequence[ContaminatedRow]
) -> None:
    """Write all three; report.json comes last, so that it is there only if all is."""
    write_jsonl(folder / NEAREST, nearest)
    write_jsonl(folder / CONTAMINATED, contaminated)
    write_json(folder / REPORT, report)
