"""Printing that every report shares: literal lines, notes and plain tables."""

import io
from collections.abc import Callable, Collection, Iterable

from rich.console import Console
from rich.table import Table

from autoif.messages import show_in_line


def print_line(line: str, console: Console, style: str | None = None) -> None:
    """Print a line as it is: without markup, as models wrote parts of it, without highlighting or folding."""
    console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def print_notes(notes: Iterable[str], console: Console) -> None:
    """Print notes, one a line."""
    for note in notes:
        print_line(f"note: {show_in_line(note)}", console)


def print_to_text(print_report: Callable[[Console], None]) -> str:
    """Return a printed report as text, without colours, in lines of 120 characters."""
    text = io.StringIO()
    print_report(Console(width=120, file=text, color_system=None, force_terminal=False, force_jupyter=False))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def make_table(*columns: str, numbers: Collection[str] = ()) -> Table:
    """Return an empty table without rules; the columns named in `numbers` are aligned right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        # Fold rather than cut: a number cut to "1,2…" would read as another one.
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return table
