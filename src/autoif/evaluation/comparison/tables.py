"""What a comparison shows, as plain text in cells; the forms (Markdown, LaTeX, HTML) say how it is written.

The first table is the paper's: a row a model, the benchmarks side by side. A table for each benchmark follows, with the
interval of every score and every difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from autoif.evaluation.bootstrap import describe
from autoif.evaluation.comparison.evaluated import Score
from autoif.evaluation.comparison.paired import Compared, ComparedBenchmark, Comparison

NOTHING = "–"
_DETAILS = ("score", "model", "value", "difference", "verdict", "McNemar p")


class Mark(StrEnum):
    """What is shown of a difference beside a score."""

    BETTER = "↑"
    WORSE = "↓"


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell; its text is plain, as for a reader."""

    text: str
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading above several columns."""

    text: str
    columns: int


@dataclass(frozen=True, slots=True)
class Table:
    """A table. Every row has a cell for each of `columns`."""

    caption: str
    headings: tuple[Heading, ...]
    """Above the columns but the first `heads`; none if it is empty."""
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    heads: int = 1
    """How many cells at the beginning of a row say what it is of."""
    texts: tuple[int, ...] = (0,)
    """The columns that hold words; all others hold numbers."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that is shown of a comparison."""

    tables: tuple[Table, ...]
    notes: tuple[str, ...]


def tabulate(comparison: Comparison) -> Report:
    """Return the tables of a comparison, and how to read them."""
    details = [_tabulate_details(comparison, benchmark) for benchmark in comparison.benchmarks]
    return Report((_tabulate_scores(comparison), *details), tuple(_explain(comparison)))


def _tabulate_scores(comparison: Comparison) -> Table:
    scores = [score for benchmark in comparison.benchmarks for score in benchmark.scores]
    rows = []
    for model in comparison.models:
        cells = [Cell(_clean(model))]
        for benchmark in comparison.benchmarks:
            there = benchmark.models.get(model)
            cells += [_show(each) for each in there] if there else [Cell(NOTHING)] * len(benchmark.scores)
        rows.append(tuple(cells))
    return Table(
        caption=f"Scores{' in percent' if any(score.unit == '%' for score in scores) else ''}, and what differs "
        f"from {_clean(comparison.models[0])}",
        headings=tuple(Heading(group, len(list(some))) for group, some in groupby(score.group for score in scores)),
        columns=("model", *(score.name for score in scores)),
        rows=tuple(rows),
    )


def _show(compared: Compared) -> Cell:
    interval = compared.score.interval
    mark = {"better": Mark.BETTER, "worse": Mark.WORSE}.get(compared.verdict)
    return Cell(f"{interval.value:.{compared.score.digits}f}" if interval else NOTHING, mark)


def _tabulate_details(comparison: Comparison, benchmark: ComparedBenchmark) -> Table:
    rows = [
        (Cell(_name(score, benchmark.title)), Cell(_clean(model)), *_detail(compared[index]))
        for index, score in enumerate(benchmark.scores)
        for model, compared in benchmark.models.items()
    ]
    return Table(
        caption=f"{benchmark.title}: scores and differences to {_clean(comparison.models[0])}, with 95 % intervals",
        headings=(),
        columns=_DETAILS,
        rows=tuple(rows),
        heads=2,
        texts=(0, 1, 4),
    )


def _detail(compared: Compared) -> Sequence[Cell]:
    score, difference = compared.score, compared.difference
    return (
        Cell(describe(score.interval, digits=score.digits) if score.interval else NOTHING),
        Cell(describe(difference, signed=True, digits=score.digits) if difference else ""),
        Cell(compared.verdict),
        Cell("" if compared.mcnemar is None else f"{compared.mcnemar:.3g}"),
    )


def _name(score: Score, title: str) -> str:
    """Return what a score is called under the title of its benchmark."""
    return f"{score.group.removeprefix(title)} {score.name}".strip()


def _explain(comparison: Comparison) -> list[str]:
    notes = [benchmark.about for benchmark in comparison.benchmarks]
    if count := comparison.differences:
        notes.append(
            f"Differences are to {_clean(comparison.models[0])} and paired, prompt by prompt. {Mark.BETTER} and "
            f"{Mark.WORSE} mark a score where the 95 % interval of the difference excludes zero. "
            f"Where nothing differs, chance alone marks one in twenty; {count} differences are shown. McNemar's exact "
            "test is over the first response to each prompt and takes prompts as independent: the interval is the one "
            "to go by."
        )
    return [_clean(note) for note in (*notes, *comparison.notes)]


def _clean(text: str) -> str:
    """Return text in one line: a folder's name may hold anything."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split()) or "?"
