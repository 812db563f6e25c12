"""The tables of a comparison in Markdown and LaTeX (with booktabs); all text is escaped.

The first table has the form of the paper's: a row for each model, the benchmarks side by side. A table for each
benchmark follows, with the intervals of scores and differences. `autoif.page.evaluations` shows them in HTML.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Literal, get_args

from autoif.errors import ConfigError
from autoif.evaluation.comparison import Compared, ComparedBenchmark, Comparison
from autoif.evaluation.results import Column
from autoif.evaluation.statistics import describe
from autoif.markdown import escape_markdown, write_table
from autoif.messages import show_in_line

NOTHING = "–"
_DETAILS = ("score", "model", "value", "difference", "verdict", "McNemar p")
_ALONE = 3
"""How many of these columns a single model has."""


class Mark(StrEnum):
    """Marks a score that differs from the first model's."""

    BETTER = "↑"
    WORSE = "↓"


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell; its text is not escaped."""

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
    """Headings above all columns but the first `heads`; empty if there are none."""
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    heads: int = 1
    """How many cells at the beginning of a row are its header."""
    texts: tuple[int, ...] = (0,)
    """The columns that hold words; all others hold numbers."""

    @property
    def names(self) -> list[str]:
        """The columns with the headings above them, for formats without cells that span columns."""
        groups = [heading.text for heading in self.headings for _ in range(heading.columns)]
        above = [""] * (len(self.columns) - len(groups)) + groups
        return [f"{group} {column}".strip() for group, column in zip(above, self.columns, strict=True)]


@dataclass(frozen=True, slots=True)
class Report:
    """The tables and notes of a comparison."""

    tables: tuple[Table, ...]
    notes: tuple[str, ...]


def tabulate(comparison: Comparison) -> Report:
    """Return the tables of a comparison, with notes on how to read them."""
    details = [_tabulate_details(comparison, benchmark) for benchmark in comparison.benchmarks]
    return Report((_tabulate_scores(comparison), *details), tuple(_explain(comparison)))


def _tabulate_scores(comparison: Comparison) -> Table:
    columns = [column for benchmark in comparison.benchmarks for column in benchmark.columns]
    rows = []
    for model in comparison.models:
        cells = [Cell(_clean(model))]
        for benchmark in comparison.benchmarks:
            there = benchmark.models.get(model)
            cells += [_show_score(each) for each in there] if there else [Cell(NOTHING)] * len(benchmark.columns)
        rows.append(tuple(cells))
    return Table(
        caption=f"Scores{' in percent' if any(column.unit == '%' for column in columns) else ''}"
        + (f", and what differs from {_clean(comparison.models[0])}" if len(comparison.models) > 1 else ""),
        headings=tuple(
            Heading(group, len(list(some))) for group, some in groupby(column.heading for column in columns)
        ),
        columns=("model", *(column.label for column in columns)),
        rows=tuple(rows),
    )


def _show_score(compared: Compared) -> Cell:
    interval = compared.interval
    mark = {"better": Mark.BETTER, "worse": Mark.WORSE}.get(compared.verdict)
    return Cell(f"{interval.value:.{compared.column.digits}f}" if interval else NOTHING, mark)


def _tabulate_details(comparison: Comparison, benchmark: ComparedBenchmark) -> Table:
    columns = _DETAILS if len(comparison.models) > 1 else _DETAILS[:_ALONE]
    rows = [
        (Cell(_name_score(column, benchmark.title)), Cell(_clean(model)), *_detail(compared[index]))[: len(columns)]
        for index, column in enumerate(benchmark.columns)
        for model, compared in benchmark.models.items()
    ]
    related = f" and differences to {_clean(comparison.models[0])}" if len(comparison.models) > 1 else ""
    return Table(
        caption=f"{benchmark.title}: scores{related}, with 95 % intervals",
        headings=(),
        columns=columns,
        rows=tuple(rows),
        heads=2,
        texts=(0, 1, 4),
    )


def _detail(compared: Compared) -> Sequence[Cell]:
    digits, difference = compared.column.digits, compared.difference
    return (
        Cell(describe(compared.interval, digits=digits) if compared.interval else NOTHING),
        Cell(describe(difference, signed=True, digits=digits) if difference else ""),
        Cell(compared.verdict),
        Cell("" if compared.mcnemar is None else f"{compared.mcnemar:.3g}"),
    )


def _name_score(column: Column, title: str) -> str:
    """Return the name of a score in a table that has the benchmark's title."""
    return f"{column.heading.removeprefix(title)} {column.label}".strip()


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
    """Return text as one printable line: a folder's name may hold anything."""
    return show_in_line(text) or "?"


def render_markdown(report: Report) -> str:
    notes = "".join(f"* {escape_markdown(note)}\n" for note in report.notes)
    return "\n".join([*map(_render_table_md, report.tables), notes])


def _render_table_md(table: Table) -> str:
    rules = ["---" if index in table.texts else "--:" for index in range(len(table.columns))]
    rows = (
        [escape_markdown(cell.text) + (f" {cell.mark.value}" if cell.mark else "") for cell in row]
        for row in table.rows
    )
    lines = write_table([escape_markdown(name) for name in table.names], rows, rules)
    return "\n".join([f"**{escape_markdown(table.caption)}**", "", *lines, ""])


_TEX_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    **{special: f"\\{special}" for special in "_%&#${}"},
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
}
_TEX_MARKS = {Mark.BETTER: r"$^{\uparrow}$", Mark.WORSE: r"$^{\downarrow}$"}


def render_latex(report: Report) -> str:
    """Return each table as a float over both columns of a page, and the notes as a list."""
    parts = [r"% Needs \usepackage{booktabs}.", *map(_render_table_tex, report.tables)]
    notes = "".join(f"  \\item {escape_latex(note)}\n" for note in report.notes)
    return "\n".join([*parts, f"\\begin{{itemize}}\n{notes}\\end{{itemize}}\n"])


def _render_table_tex(table: Table) -> str:
    kinds = "".join("l" if index in table.texts else "r" for index in range(len(table.columns)))
    rows = [
        [escape_latex(name) for name in table.columns],
        *([_render_cell_tex(cell, index in table.texts) for index, cell in enumerate(row)] for row in table.rows),
    ]
    head, *body = (f"    {' & '.join(row)} \\\\" for row in rows)
    lines = [
        r"\begin{table*}[tp]",
        r"  \centering\footnotesize\setlength{\tabcolsep}{4pt}",
        f"  \\caption{{{escape_latex(table.caption)}}}",
        f"  \\begin{{tabular}}{{{kinds}}}",
        r"    \toprule",
        *_render_headings_tex(table.headings, table.heads),
        head,
        r"    \midrule",
        *body,
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def _render_headings_tex(headings: tuple[Heading, ...], heads: int) -> list[str]:
    if not headings:
        return []
    cells = [f"\\multicolumn{{{each.columns}}}{{c}}{{{escape_latex(each.text)}}}" for each in headings]
    rules, column = [], heads + 1
    for each in headings:
        rules.append(f"\\cmidrule(lr){{{column}-{column + each.columns - 1}}}")
        column += each.columns
    return [f"    {'& ' * heads}{' & '.join(cells)} \\\\", f"    {' '.join(rules)}"]


def _render_cell_tex(cell: Cell, words: bool) -> str:
    text = escape_latex(cell.text)
    text = text if words else re.sub(r"(?<![\w.])-(?=\d)", "$-$", text)
    return text + (_TEX_MARKS[cell.mark] if cell.mark else "")


def escape_latex(text: str) -> str:
    """Escape text for LaTeX; characters that the fonts lack need another engine than pdfTeX."""
    escaped = "".join(_TEX_ESCAPES.get(letter, letter) for letter in text)
    escaped = re.sub(r"([-',])(?=\1)", r"\1{}", escaped)  # no ligatures: "--" is a dash, "''" and ",," are quotes
    escaped = re.sub(r"\A[\[*]", r"{\g<0>}", escaped)  # at the start of a row: arguments of the "\\" before
    return escaped.replace("–", r"\textendash{}")  # "--" would become an em dash beside a hyphen


Form = Literal["md", "tex", "html"]


def choose_form(output: Path | None, asked: Form | None = None) -> Form:
    """Return the form of a file of tables: `asked`, or by the file's suffix; Markdown without a file.

    Raises:
        ConfigError: the suffix stands for no form, or for data (.json, .jsonl), which tables must not replace.
    """
    suffix = output.suffix.lower().removeprefix(".") if output else "md"
    forms: tuple[Form, ...] = get_args(Form)
    if asked and suffix not in {"json", "jsonl"}:
        return asked
    for form in forms:
        if suffix == form:
            return form
    raise ConfigError(f"{output}: name a table with .md, .tex, .html, or say which with --format")


def render(comparison: Comparison, form: Literal["md", "tex"] = "md") -> str:
    """Return the tables of a comparison as text, with notes on how to read them."""
    return (render_markdown if form == "md" else render_latex)(tabulate(comparison))
