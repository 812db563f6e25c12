"""A sweep for reading in a terminal: a line a point, the run's own settings first."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from autoif.sweep.points import Sweep, SweepPoint


def print_sweep(sweep: Sweep, console: Console) -> None:
    """Print a sweep as a table, and what to know of it."""
    points = (sweep.own, *sweep.points)
    columns = ["instructions", "functions", *(["accepted", "SFT", "pairs", "rewards"] if sweep.sampled else [])]
    asked = any(point.unasked for point in points)
    precise, scored = (any(found) for found in ([each.precision for each in points], [each.score for each in points]))
    table = Table(box=None, pad_edge=False, header_style="bold")
    names = [key.partition(".")[2] for key in sweep.keys]
    for key in names if len(set(names)) == len(names) else sweep.keys:
        table.add_column(escape(key), overflow="fold")
    for name in [*columns, *(["not asked"] if asked else []), *(["precision, %"] if precise else [])]:
        table.add_column(name, justify="right", overflow="fold")
    if scored:
        table.add_column("score", justify="right")
    for point in points:
        cells = _describe_values(sweep, point)
        cells += [f"{point.instructions:,}", f"{point.functions:,}"]
        if sweep.sampled:
            cells += [f"{count:,}" for count in (point.accepted, point.sft, point.preferences, point.rewards)]
        cells += [_describe_unasked(point)] if asked else []
        cells += [_describe_precision(point)] if precise else []
        cells += ["" if point.score is None else f"{point.score:.2f}"] if scored else []
        table.add_row(*cells, style=None if point.settings else "dim")
    console.print(table)
    for note in sweep.notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True, markup=False)


def _describe_values(sweep: Sweep, point: SweepPoint) -> list[str]:
    if not point.settings:
        return ["as run", *[""] * (len(sweep.keys) - 1)]
    return [escape(str(point.settings[key])) for key in sweep.keys]


def _describe_unasked(point: SweepPoint) -> str:
    """Return how many answers are lacking, and what they would decide on."""
    total = sum(point.unasked.values())
    return f"{total:,}" if total else ""


def _describe_precision(point: SweepPoint) -> str:
    found = point.precision
    if found is None:
        return ""
    ends = "" if found.low is None or found.high is None else f" [{found.low:.0f}, {found.high:.0f}]"
    return f"{found.value:.1f}{ends}"
