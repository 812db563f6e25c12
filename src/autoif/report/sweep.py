"""Prints a sweep in a terminal: a row for each point, the run's own settings first."""

from collections.abc import Callable

from rich.console import Console
from rich.markup import escape

from autoif.report.terminal import make_table, print_notes
from autoif.sweep.points import Sweep, SweepPoint

_COUNTS = ("instructions", "functions")
_COUNTS_OF_SAMPLES = {"accepted": "accepted", "SFT": "sft", "pairs": "preferences", "rewards": "rewards"}


def print_sweep(sweep: Sweep, console: Console) -> None:
    """Print a sweep as a table, with notes."""
    points = (sweep.own, *sweep.points)
    cells = {name: [f"{getattr(point, name):,}" for point in points] for name in _COUNTS}
    if sweep.sampled:
        cells |= {name: [f"{getattr(point, key):,}" for point in points] for name, key in _COUNTS_OF_SAMPLES.items()}
    others: dict[str, Callable[[SweepPoint], str]] = {
        "not asked": lambda point: f"{sum(point.unasked.values()):,}" if any(point.unasked.values()) else "",
        "precision, %": lambda point: point.precision.describe() if point.precision else "",
        "score": lambda point: "" if point.score is None else f"{point.score:.2f}",
    }  # fmt: skip
    cells |= {name: column for name, describe in others.items() if any(column := [*map(describe, points)])}
    names = [key.partition(".")[2] for key in sweep.keys]
    keys = names if len(set(names)) == len(names) else sweep.keys
    table = make_table(*map(escape, keys), *cells, numbers=cells)
    for point, *row in zip(points, *cells.values(), strict=True):
        values = [escape(str(value)) for value in point.settings.values()] or ["as run", *[""] * (len(keys) - 1)]
        table.add_row(*values, *row, style=None if point.settings else "dim")
    console.print(table)
    print_notes(sweep.notes, console)
