"""What other thresholds would leave of a run: a table and small charts for each threshold that matters most.

Everything is judged again from what is stored (`autoif.sweep`), and no model is asked. That needs all responses in
memory, so of a large run the page says with which command to do it.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from autoif.errors import AutoIFError
from autoif.page.charts import draw_line
from autoif.page.elements import make, make_table
from autoif.sweep.points import Precision, Sweep, SweepPoint, sweep_usual

MOST_RESPONSES: Final = 5_000
"""Of a run that is swept for its page."""
_NOTHING = "–"


def show_sweeps(run: Path, responses: int, status: str) -> list[Element]:
    """Return what each threshold would leave of a run, or why that isn't shown."""
    if status == "running":
        return [make("p", "What other thresholds would leave is shown when the run has ended.", class_="note")]
    if responses > MOST_RESPONSES:
        said = f"With more than {MOST_RESPONSES:,} responses this takes some minutes, so the page leaves it out: "
        return [make("p", said, _name_command(run, "scoring.mean=5:10:1"), " makes it.", class_="note")]
    try:
        with ThreadPoolExecutor(1) as pool:  # a notebook has an event loop of its own
            usual = pool.submit(sweep_usual, run).result()
    except AutoIFError as error:
        return [make("p", f"What other thresholds would leave is not known: {error}", class_="note")]
    said = "What the run would have kept with other thresholds, judged again from what it stored, without a model."
    notes = dict.fromkeys(note for sweep in usual.sweeps for note in sweep.notes)
    return [
        make("p", said, class_="note"),
        *(part for sweep in usual.sweeps for part in _show_sweep(sweep)),
        *(make("p", "Functions have to run again to say more: ", _name_command(run, each)) for each in usual.left_out),
        *(make("p", f"Note: {note}.", class_="note") for note in notes),
    ]


def _name_command(run: Path, sweep: str) -> Element:
    return make("code", f"autoif replay {run} --sweep {sweep}")


def _show_sweep(sweep: Sweep) -> list[Element]:
    [key] = sweep.keys
    name = key.replace("_", " ").replace(".", ": ")
    columns = {"instructions": [point.instructions for point in (sweep.own, *sweep.points)]}
    if sweep.sampled:
        columns["SFT rows"] = [point.sft for point in (sweep.own, *sweep.points)]
        columns["pairs"] = [point.preferences for point in (sweep.own, *sweep.points)]
    labels = [_name_value(point, key) for point in sweep.points]
    charts = [draw_line(title, labels, values[1:], values[0]) for title, values in columns.items()]
    precisions = [point.precision for point in (sweep.own, *sweep.points)]
    if any(precisions):
        values = [each.value if each else None for each in precisions]
        charts.append(draw_line("right functions, %", labels, values[1:], values[0]))
    return [
        make("h3", name),
        make("div", *charts, class_="panels"),
        make_table(f"What {name} leaves", *_tabulate(sweep, key, columns, precisions), numbers=len(columns) + 2),
    ]


def _tabulate(
    sweep: Sweep, key: str, columns: dict[str, list[int]], precisions: Sequence[Precision | None]
) -> tuple[list[str], list[list[str]]]:
    rows = []
    for place, point in enumerate((sweep.own, *sweep.points)):
        first = _name_value(point, key) if place else "as run"
        found = precisions[place]
        ends = (
            f" [{found.low:.0f}, {found.high:.0f}]"
            if found and found.low is not None and found.high is not None
            else ""
        )
        counts = [f"{values[place]:,}" for values in columns.values()]
        asked = sum(point.unasked.values())
        rows.append([first, *counts, f"{asked:,}" if asked else "0", f"{found.value:.1f}{ends}" if found else _NOTHING])
    return ["threshold", *columns, "answers never asked for", "right functions, %"], rows


def _name_value(point: SweepPoint, key: str) -> str:
    return str(point.settings[key])
