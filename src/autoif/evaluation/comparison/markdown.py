"""Tables in Markdown, as GitHub reads it."""

from autoif.evaluation.comparison.tables import Cell, Report, Table
from autoif.report.markdown import escape_markdown


def render_markdown(report: Report) -> str:
    """Return all tables with their notes."""
    parts = [_render_table(table) for table in report.tables]
    parts.append("".join(f"* {escape_markdown(note)}\n" for note in report.notes))
    return "\n".join(parts)


def _render_table(table: Table) -> str:
    groups = [heading.text for heading in table.headings for _ in range(heading.columns)]
    above = [""] * table.heads + groups if groups else [""] * len(table.columns)
    # Markdown has no cell over several columns: each column says its heading.
    names = [f"{group} {name}".strip() for group, name in zip(above, table.columns, strict=True)]
    lines = ["---" if index in table.texts else "--:" for index in range(len(names))]
    rows = [
        [escape_markdown(name) for name in names],
        lines,
        *([_render_cell(cell) for cell in row] for row in table.rows),
    ]
    return f"**{escape_markdown(table.caption)}**\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _render_cell(cell: Cell) -> str:
    return escape_markdown(cell.text) + (f" {cell.mark.value}" if cell.mark else "")
