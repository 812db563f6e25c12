"""Tables in LaTeX, with the rules of the package booktabs and nothing else."""

import re

from autoif.evaluation.comparison.tables import Cell, Heading, Mark, Report, Table

_ESCAPES = {
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
_MARKS = {Mark.BETTER: r"$^{\uparrow}$", Mark.WORSE: r"$^{\downarrow}$"}


def render_latex(report: Report) -> str:
    """Return all tables, each a float over both columns of a page, and the notes as a list."""
    parts = [r"% Needs \usepackage{booktabs}.", *map(_render_table, report.tables)]
    notes = "".join(f"  \\item {escape_latex(note)}\n" for note in report.notes)
    return "\n".join([*parts, f"\\begin{{itemize}}\n{notes}\\end{{itemize}}\n"])


def _render_table(table: Table) -> str:
    kinds = "".join("l" if index in table.texts else "r" for index in range(len(table.columns)))
    rows = [
        [escape_latex(name) for name in table.columns],
        *([_render_cell(cell, index in table.texts) for index, cell in enumerate(row)] for row in table.rows),
    ]
    head, *body = (f"    {' & '.join(row)} \\\\" for row in rows)
    lines = [
        r"\begin{table*}[tp]",
        r"  \centering\footnotesize\setlength{\tabcolsep}{4pt}",
        f"  \\caption{{{escape_latex(table.caption)}}}",
        f"  \\begin{{tabular}}{{{kinds}}}",
        r"    \toprule",
        *_render_headings(table.headings, table.heads),
        head,
        r"    \midrule",
        *body,
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def _render_headings(headings: tuple[Heading, ...], heads: int) -> list[str]:
    if not headings:
        return []
    cells = [f"\\multicolumn{{{each.columns}}}{{c}}{{{escape_latex(each.text)}}}" for each in headings]
    rules, column = [], heads + 1
    for each in headings:
        rules.append(f"\\cmidrule(lr){{{column}-{column + each.columns - 1}}}")
        column += each.columns
    return [f"    {'& ' * heads}{' & '.join(cells)} \\\\", f"    {' '.join(rules)}"]


def _render_cell(cell: Cell, words: bool) -> str:
    text = escape_latex(cell.text)
    text = text if words else re.sub(r"(?<![\w.])-(?=\d)", "$-$", text)
    return text + (_MARKS[cell.mark] if cell.mark else "")


def escape_latex(text: str) -> str:
    """Return text that LaTeX sets as it is; letters beyond the fonts' need another engine than pdfTeX."""
    escaped = re.sub("-(?=-)", "-{}", "".join(_ESCAPES.get(letter, letter) for letter in text))  # no dash of hyphens
    escaped = re.sub(r"\A[\[*]", r"{\g<0>}", escaped)  # at the beginning of a row they would belong to the one above
    return escaped.replace("–", "--")
