"""A sweep as a figure: its panels, one above the other."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autoif.figures.style import FAINT, choose_look, save_figure, write_value
from autoif.sweep.panels import SweepPanel, arrange_sweep
from autoif.sweep.points import Sweep

_LINES = ("-", "--", "-.", ":")
_FEW = 12
"""Points up to which each has its value beside it."""


def plot_sweep(sweep: Sweep, output: Path) -> None:
    """Draw what is left at each point; of several settings the last is the axis, each combination of others a line.

    Raises ConfigError: the file is to be of an unknown kind.
    """
    panels = arrange_sweep(sweep)

    def draw() -> Figure:
        size = (max(5.0, 0.7 * len(panels[0].labels)), 2.4 * len(panels) + 0.5)
        figure = Figure(figsize=size, layout="constrained")
        figure.suptitle("What the run would keep with other thresholds")
        places = figure.subplots(len(panels), 1, sharex=True, squeeze=False)
        for panel, (axes,) in zip(panels, places, strict=True):
            _draw_panel(axes, panel)
        places[-1][0].set_xlabel(f"threshold {sweep.keys[-1]}")
        if len(sweep.keys) > 1:
            places[0][0].legend()
        return figure

    save_figure(draw, output)


def _draw_panel(axes: Axes, panel: SweepPanel) -> None:
    axes.set(title=panel.title, ylabel=panel.axis, ylim=(0, 1.2 * panel.top))
    axes.set_xticks(range(len(panel.labels)), panel.labels)
    if panel.own is not None:
        axes.axhline(panel.own, color=FAINT, linewidth=0.8, linestyle=(0, (1, 3)))
        axes.annotate(
            "as run", (1, panel.own), xycoords=("axes fraction", "data"), fontsize=7, color=FAINT, ha="right", va="top"
        )
    for number, (name, points) in enumerate(panel.lines.items()):
        look, line = choose_look(number), _LINES[number % len(_LINES)]
        axes.plot(
            [each.place for each in points], [each.value for each in points], marker=look.marker, color=look.colour,
            linestyle=line, label=name or None,
        )  # fmt: skip
        for each in points:
            if len(points) <= _FEW:
                write_value(axes, panel.write(each.value), each.place, each.value)
            if each.ends:
                axes.plot([each.place, each.place], each.ends, color=FAINT, linewidth=1.0)
