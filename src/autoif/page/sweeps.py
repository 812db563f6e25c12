"""What a run would keep with other thresholds: a table and small charts for each of the thresholds that matter most.

Stored verdicts are judged again (`autoif.sweep`), and no model is asked. That needs all responses in memory; for a
large run the page gives the command instead.
"""

import shlex
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from autoif.errors import AutoIFError
from autoif.page.charts import draw_panel
from autoif.page.elements import NOTHING, make, make_table
from autoif.sweep.panels import PRECISION, arrange_sweep, name_counts
from autoif.sweep.points import Sweep, sweep_usual

MOST_RESPONSES: Final = 5_000
"""Runs with more responses are not swept for their page."""


def show_sweeps(run: Path, responses: int, status: str) -> list[Element]:
    """Return what the run would keep with each threshold, or why that isn't shown."""
    if status == "running":
        return [make("p", "What other thresholds would leave is shown when the run has ended.", class_="note")]
    if responses > MOST_RESPONSES:
        said = f"With more than {MOST_RESPONSES:,} responses this takes some minutes, so the page leaves it out: "
        return [make("p", said, _name_command(run, "scoring.mean=5:10:1"), " makes it.", class_="note")]
    try:
        usual = sweep_usual(run)
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
    return make("code", shlex.join(["autoif", "replay", str(run), "--sweep", sweep]))


def _show_sweep(sweep: Sweep) -> list[Element]:
    [key] = sweep.keys
    name = key.replace("_", " ").replace(".", ": ")
    counts = name_counts(sweep)
    heads = ["threshold", *counts, "answers never asked for", PRECISION]
    rows = [
        [
            label, *(f"{getattr(point, field):,}" for field in counts.values()), f"{sum(point.unasked.values()):,}",
            point.precision.describe() if point.precision else NOTHING,
        ]
        for label, point in [("as run", sweep.own), *((str(point.settings[key]), point) for point in sweep.points)]
    ]  # fmt: skip
    return [
        make("h3", name),
        make("div", *map(draw_panel, arrange_sweep(sweep)), class_="panels"),
        make_table(f"What {name} leaves", heads, rows, numbers=len(heads) - 1),
    ]
