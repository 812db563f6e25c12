"""A sweep as a figure: a panel each for instructions, SFT rows, pairs and, where it is known, precision."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autoif.figures.style import FAINT, choose_look, save_figure, write_value
from autoif.sweep.points import Sweep, SweepPoint

_LINES = ("-", "--", "-.", ":")
_FEW = 12
"""Points up to which each has its value beside it."""


def plot_sweep(sweep: Sweep, output: Path) -> None:
    """Draw what is left at each point; of several settings the last is the axis, each combination of others a line.

    Raises ConfigError: the file is to be of an unknown kind.
    """
    titles = ["instructions", *(["SFT rows", "preference pairs"] if sweep.sampled else [])]
    if any(point.precision for point in sweep.points):
        titles.append("precision of functions, %")

    def draw() -> Figure:
        values = {str(point.settings[sweep.keys[-1]]) for point in sweep.points}
        figure = Figure(figsize=(max(5.0, 0.7 * len(values)), 2.4 * len(titles) + 0.5), layout="constrained")
        figure.suptitle("What the run would keep with other thresholds")
        panels = figure.subplots(len(titles), 1, sharex=True, squeeze=False)
        for title, (panel,) in zip(titles, panels, strict=True):
            _draw_panel(panel, sweep, title)
        panels[-1][0].set_xlabel(f"threshold {sweep.keys[-1]}")
        if len(sweep.keys) > 1:
            panels[0][0].legend()
        return figure

    save_figure(draw, output)


def _draw_panel(panel: Axes, sweep: Sweep, title: str) -> None:
    panel.set(title=title, ylabel="right functions (%)" if title.startswith("precision") else f"number of {title}")
    if (own := _read(sweep.own, title)) is not None:
        panel.axhline(own, color=FAINT, linewidth=0.8, linestyle=(0, (1, 3)))
        panel.annotate(
            "as run", (1, own), xycoords=("axes fraction", "data"), fontsize=7, color=FAINT, ha="right", va="top"
        )
    for place, (name, points) in enumerate(_group(sweep).items()):
        labels = [str(point.settings[sweep.keys[-1]]) for point in points]
        values = [_read(point, title) for point in points]
        known = [(label, value) for label, value in zip(labels, values, strict=True) if value is not None]
        look, line = choose_look(place), _LINES[place % len(_LINES)]
        panel.plot(
            [x for x, _ in known], [y for _, y in known], marker=look.marker, color=look.colour, linestyle=line,
            label=name or None,
        )  # fmt: skip
        for label, value in known if len(points) <= _FEW else ():
            write_value(panel, f"{value:,.4g}", label, value)
        if title.startswith("precision"):
            _draw_ends(panel, labels, points)
    panel.margins(y=0.2)
    if not title.startswith("precision"):
        shown = [_read(point, title) or 0 for point in (sweep.own, *sweep.points)]
        panel.set_ylim(0, 1.2 * (max(shown) or 1))


def _draw_ends(panel: Axes, labels: Sequence[str], points: Sequence[SweepPoint]) -> None:
    """Draw the intervals of precision."""
    for label, point in zip(labels, points, strict=True):
        found = point.precision
        if found and found.low is not None and found.high is not None:
            panel.plot([label, label], [found.low, found.high], color=FAINT, linewidth=1.0)


def _read(point: SweepPoint, title: str) -> float | None:
    if title.startswith("precision"):
        return point.precision.value if point.precision else None
    return {"instructions": point.instructions, "SFT rows": point.sft, "preference pairs": point.preferences}[title]


def _group(sweep: Sweep) -> dict[str, list[SweepPoint]]:
    """Return the points by what the settings but the last are."""
    found: dict[str, list[SweepPoint]] = {}
    for point in sweep.points:
        name = ", ".join(f"{key.partition('.')[2]} {point.settings[key]}" for key in sweep.keys[:-1])
        found.setdefault(name, []).append(point)
    return found
