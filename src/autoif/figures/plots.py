"""Figures: curves of trainings from their metrics.jsonl, scores of a comparison with intervals, calibration, and what a
run would keep with other thresholds. Their look is in style.py.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from autoif.errors import ConfigError
from autoif.evaluation.comparison import ComparedBenchmark, Comparison
from autoif.figures import style
from autoif.figures.curves import CurvePanel, arrange_curves, read_trainings
from autoif.messages import show_in_line
from autoif.sweep.panels import SweepPanel, arrange_sweep
from autoif.sweep.points import Sweep

_COLUMNS = 2
_ROW_INCHES = 0.38
_MARKS = 10
"""Approximate number of markers along a curve."""
_NAMED = 3
"""Most trainings that a title names."""
_LINES = ("-", "--", "-.", ":")
_FEW = 12
"""Most points of a line in a sweep whose values are written beside them."""


def plot_training(folders: Sequence[Path], output: Path) -> list[str]:
    """Draw the metrics of trained folders over their steps, one panel per metric; return the titles of the panels.

    Raises ConfigError: a folder has no metrics, or the file suffix is unknown.
    """
    style.check_kind(output)
    trainings = read_trainings(folders)
    panels = arrange_curves(trainings)
    if not panels:
        raise ConfigError(f"{', '.join(map(str, folders))}: no step was logged yet; there is nothing to draw")
    style.save_figure(lambda: draw_training(panels), output)
    return [panel.title for panel in panels]


def plot_comparison(comparison: Comparison, output: Path) -> None:
    """Draw each model's main scores and their differences to the first model, with intervals; one row per score.

    Raises ConfigError: the file suffix is unknown.
    """
    style.check_kind(output)
    style.save_figure(lambda: draw_comparison(comparison), output)


def plot_calibration(bins: Sequence[tuple[float, float, int]], output: Path) -> None:
    """Draw a reliability diagram: the share of right functions over their score, beside the line of exact scores. A bin
    is a mean score, the share that is right, and the number of functions.

    Raises ConfigError: the file suffix is unknown.
    """
    style.check_kind(output)

    def draw() -> Figure:
        figure = Figure(figsize=(5.2, 4.8), layout="constrained")
        figure.suptitle("Right functions by their score without gold")
        panel = figure.add_subplot()
        panel.plot(
            [0, 1], [0, 1], color=style.FAINT, linewidth=0.9, linestyle=(0, (4, 3)), label="if scores held exactly"
        )
        scores, right, counts = zip(*bins, strict=True)
        look = style.choose_look(0)
        [line] = panel.plot(scores, right, f"{look.marker}-", color=look.colour, label="measured (how many functions)")
        line.set_gid("calibration")
        for score, share, count in zip(scores, right, counts, strict=True):
            style.write_value(panel, f"{share:.2f} ({count:,})", score, share)
        panel.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.1), xlabel="score (0 to 1)", ylabel="share that is right (0 to 1)")
        figure.legend(loc="outside lower center", ncols=2)
        return figure

    style.save_figure(draw, output)


def plot_sweep(sweep: Sweep, output: Path) -> None:
    """Draw what each point of a sweep keeps, over the last swept setting; each combination of the others is a line.

    Raises ConfigError: the file suffix is unknown.
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

    style.save_figure(draw, output)


def draw_training(panels: Sequence[CurvePanel]) -> Figure:
    """Return the figure of one or more panels."""
    columns = min(len(panels), _COLUMNS)
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(4.8 * columns, 2.9 * lines + 0.5), layout="constrained")
    trainings = {curve.training.place: curve.training.name for panel in panels for curve in panel.curves}
    names = [style.show_name(name) for _, name in sorted(trainings.items())]
    figure.suptitle(f"Training of {', '.join(names[:_NAMED])}" + ", …" * (len(names) > _NAMED))
    for index, panel in enumerate(panels, 1):
        _draw_curves(figure.add_subplot(lines, columns, index), panel)
    return figure


def draw_comparison(comparison: Comparison) -> Figure:
    """Return the figure of a comparison; for a single model it shows scores only."""
    shown = [
        (benchmark, index)
        for benchmark in comparison.benchmarks
        for index, column in enumerate(benchmark.columns)
        if column.shown == "figures"
    ]
    heights = [1.0 + _ROW_INCHES * len(benchmark.models) for benchmark, _ in shown]
    looks = {model: style.choose_look(place) for place, model in enumerate(comparison.models)}
    first, several = style.show_name(comparison.models[0]), len(comparison.models) > 1
    figure = Figure(figsize=(9 if several else 5.5, sum(heights) + 0.8), layout="constrained")
    figure.suptitle(f"Scores{f' and their differences to {first}' if several else ''}, with 95 % intervals")
    lines = figure.subplots(len(shown), 1 + several, sharey="row", squeeze=False, height_ratios=heights)
    for line, (benchmark, index) in zip(lines, shown, strict=True):
        _draw_values(line[0], benchmark, index, looks, differences=False)
        if several:
            _draw_values(line[1], benchmark, index, looks, differences=True)
            line[1].set_title(f"Difference to {first}")
    if comparison.differences:
        figure.legend(handles=_explain_marks(), loc="outside lower center", ncols=2)
    return figure


def _draw_curves(axes: Axes, panel: CurvePanel) -> None:
    """Draw the curves of a metric, with the last value written at each end."""
    ends = []
    for curve in panel.curves:
        look = style.choose_look(curve.training.place)
        steps, values = zip(*curve.points, strict=True)
        every = max(1, len(steps) // _MARKS)
        [line] = axes.plot(
            steps, values, "--" if curve.on_evaluation_data else "-", color=look.colour, marker=look.marker,
            markevery=[*range(0, len(steps) - 1, every), len(steps) - 1],
            markerfacecolor="white" if curve.on_evaluation_data else look.colour, markersize=4,
            label=style.show_name(curve.training.name) + ", evaluation data" * curve.on_evaluation_data,
        )  # fmt: skip
        line.set_gid(f"{curve.key} {show_in_line(curve.training.name)}")
        ends.append(curve.points[-1])
    style.write_ends(axes, ends)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(title=panel.title, xlabel="optimiser step", ylabel=panel.metric.axis)
    axes.legend()


def _draw_values(
    panel: Axes, benchmark: ComparedBenchmark, index: int, looks: Mapping[str, style.SeriesLook], *, differences: bool
) -> None:
    """Draw a score of every model, the first at the top; or, with `differences`, each difference to the first model."""
    column = benchmark.columns[index]
    title = f"{column.heading} {column.label}"
    for place, (model, scores) in enumerate(benchmark.models.items()):
        if found := scores[index].difference if differences else scores[index].interval:
            filled = not differences or not found.includes_zero
            name = f"{'difference ' if differences else ''}{title} {show_in_line(model)}"
            drawn = style.draw_interval(panel, found, place, looks[model], filled=filled)
            for part, gid in zip(drawn, (name, f"{name} interval"), strict=False):
                part.set_gid(gid)
            style.write_value(panel, f"{found.value:{'+' if differences else ''}.{column.digits}f}", found.value, place)
    if differences:
        panel.set_xlabel(f"difference ({'percentage points' if column.unit == '%' else column.unit})")
        panel.axvline(0, color=style.INK, linewidth=0.9)
        return
    panel.set_yticks(range(len(benchmark.models)), [style.show_name(model) for model in benchmark.models])
    panel.set_ylim(len(benchmark.models) - 0.4, -0.7)
    panel.set(title=title, xlabel=style.name_axis(column), ylabel="model")


def _explain_marks() -> list[Line2D]:
    """Return the legend of the differences: the meaning of filled and hollow markers."""
    meanings = {style.INK: "filled: the interval excludes zero", "white": "hollow: no difference shown"}
    return [
        Line2D([], [], linestyle="", marker=style.MARKERS[0], color=style.INK, markerfacecolor=face, label=text)
        for face, text in meanings.items()
    ]


def _draw_panel(axes: Axes, panel: SweepPanel) -> None:
    axes.set(title=panel.title, ylabel=panel.axis, ylim=(0, 1.2 * panel.top))
    axes.set_xticks(range(len(panel.labels)), panel.labels)
    if panel.own is not None:
        axes.axhline(panel.own, color=style.FAINT, linewidth=0.8, linestyle=(0, (1, 3)))
        axes.annotate(
            "as run", (1, panel.own), xycoords=("axes fraction", "data"), fontsize=7, color=style.FAINT, ha="right",
            va="top",
        )  # fmt: skip
    for number, (name, points) in enumerate(panel.lines.items()):
        look, line = style.choose_look(number), _LINES[number % len(_LINES)]
        axes.plot(
            [each.place for each in points], [each.value for each in points], marker=look.marker, color=look.colour,
            linestyle=line, label=name or None,
        )  # fmt: skip
        for each in points:
            if len(points) <= _FEW:
                style.write_value(axes, panel.write(each.value), each.place, each.value)
            if each.ends:
                axes.plot([each.place, each.place], each.ends, color=style.FAINT, linewidth=1.0)
