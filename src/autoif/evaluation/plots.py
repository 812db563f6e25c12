"""Figures: curves of trainings, from their metrics.jsonl; scores of a comparison with their intervals; calibration.

The same input gives the same file, byte for byte, with the same version of matplotlib: no date, no random ids.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autoif.errors import ConfigError, StoreError
from autoif.evaluation.comparison import ComparedBenchmark, Comparison, name_folders
from autoif.evaluation.statistics import Interval
from autoif.reading.text_lines import parse_json
from autoif.store import storage_errors
from autoif.training.card import read_record

METRICS = "metrics.jsonl"
PANELS = {
    "loss": "loss",
    "mean_token_accuracy": "token accuracy",
    "rewards/margins": "DPO margin",
    "rewards/accuracies": "DPO accuracy",
    "reward": "reward",
    "completions/mean_length": "tokens of a completion",
}
"""What is drawn, where a training has it; a value on --eval-data, `eval_…`, is drawn in the same panel."""
_SUFFIXES = {
    ".svg": {"Date": None, "Creator": "autoif"},
    ".png": {"Software": "autoif"},
    ".pdf": {"CreationDate": None},
}
_STYLE = {"svg.hashsalt": "autoif", "svg.fonttype": "none", "axes.grid": True, "grid.alpha": 0.3, "font.size": 9}
_COLUMNS = 2
_LOSSES = {"sft": "SFT loss", "dpo": "DPO loss", "online-dpo": "DPO loss", "grpo": "GRPO loss"}
"""By the kind of a training: losses of different methods are different quantities, and have panels of their own."""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Training:
    """What is drawn of a trained folder."""

    name: str
    kind: str | None
    """As training.json has it; None where there is none."""
    rows: list[Row]
    colour: str


def plot_training(folders: Sequence[Path], output: Path) -> list[str]:
    """Draw the metrics of trained folders over their steps, a panel a metric; return the titles of the panels.

    Raises:
        ConfigError: a folder has no metrics, or the file is to be of an unknown kind.
        StoreError: a metrics.jsonl is damaged, or the file can't be written.
    """
    check_kind(output)
    panels = _arrange([
        Training(_clean(name), (read_record(folder) or {}).get("kind"), read_metrics(folder), f"C{index}")
        for index, (name, folder) in enumerate(zip(name_folders(folders), folders, strict=True))
    ])  # fmt: skip
    if not panels:
        raise ConfigError(f"{', '.join(map(str, folders))}: no step was logged yet; there is nothing to draw")

    def draw() -> Figure:
        columns = min(len(panels), _COLUMNS)
        lines = -(-len(panels) // columns)
        figure = Figure(figsize=(4.5 * columns, 2.8 * lines), layout="constrained")
        for index, (title, (metric, trainings)) in enumerate(panels.items(), 1):
            panel = figure.add_subplot(lines, columns, index)
            panel.set_title(title)
            _draw_metric(panel, metric, trainings)
        return figure

    save_figure(draw, output)
    return list(panels)


def plot_comparison(comparison: Comparison, output: Path) -> None:
    """Draw each model's main scores and their differences to the first model, with their intervals; a row a score.

    Raises:
        ConfigError: the file is to be of an unknown kind.
        StoreError: it can't be written.
    """
    check_kind(output)
    shown = [
        (benchmark, index)
        for benchmark in comparison.benchmarks
        for index, column in enumerate(benchmark.columns)
        if column.shown == "figures"
    ]
    heights = [1.0 + 0.3 * len(benchmark.models) for benchmark, _ in shown]

    def draw() -> Figure:
        figure = Figure(figsize=(9, sum(heights)), layout="constrained")
        panels = figure.subplots(len(shown), 2, sharey="row", squeeze=False, height_ratios=heights)
        for (left, right), (benchmark, index) in zip(panels, shown, strict=True):
            _draw_score(left, right, benchmark, index)
            unit = benchmark.columns[index].unit.replace("%", "points")
            right.set_xlabel(f"difference to {_plain(comparison.models[0])}, {unit}")
        return figure

    save_figure(draw, output)


def plot_calibration(bins: Sequence[tuple[float, float, int]], title: str, output: Path) -> None:
    """Draw a reliability diagram: what is right of what has a score, beside what would be if scores held.

    Args:
        bins: mean score, share that is right, and how many there are, each.
        title: what the scores are of.
        output: the figure.

    Raises:
        ConfigError: the file is to be of an unknown kind.
        StoreError: it can't be written.
    """
    check_kind(output)

    def draw() -> Figure:
        figure = Figure(figsize=(4.5, 4.2), layout="constrained")
        panel = figure.add_subplot()
        panel.plot([0, 1], [0, 1], color="black", linewidth=0.8)
        scores, right, counts = zip(*bins, strict=True)
        [line] = panel.plot(scores, right, "o-", color="C0", linewidth=1)
        line.set_gid("calibration")
        for score, share, count in zip(scores, right, counts, strict=True):
            panel.annotate(f"{count:,}", (score, share), textcoords="offset points", xytext=(6, -9), fontsize=7)
        panel.set(xlim=(0, 1), ylim=(0, 1), xlabel="score", ylabel="share that is right", title=_plain(title))
        return figure

    save_figure(draw, output)


def _draw_score(left: Axes, right: Axes, benchmark: ComparedBenchmark, index: int) -> None:
    column = benchmark.columns[index]
    title = f"{column.heading} {column.label}"
    for place, (model, scores) in enumerate(benchmark.models.items()):
        interval, difference = scores[index].interval, scores[index].difference
        if interval:
            _draw_interval(left, interval, place, "C0", f"{title} {_clean(model)}")
        if difference:
            colour = "C7" if difference.includes_zero else "C0"  # grey: no difference shown
            _draw_interval(right, difference, place, colour, f"difference {title} {_clean(model)}")
    left.set_yticks(range(len(benchmark.models)), [_plain(model) for model in benchmark.models])
    left.set_ylim(len(benchmark.models) - 0.5, -0.5)
    left.set_xlabel(f"{title}, {column.unit}")
    right.axvline(0, color="black", linewidth=0.8)


def _plain(name: str) -> str:
    """Return a name that is drawn as it is, and not read as a formula."""
    return _clean(name).replace("$", r"\$")


def _clean(name: str) -> str:
    """Return a name without what no SVG may hold."""
    return "".join(letter if letter.isprintable() else " " for letter in name)


def check_kind(output: Path) -> None:
    """Refuse a file of a kind that can't be written, before any work. Raises ConfigError."""
    if output.suffix.lower() not in _SUFFIXES:
        raise ConfigError(f"{output}: name a figure with {', '.join(_SUFFIXES)}")


def read_metrics(folder: Path) -> list[Row]:
    """Return the logged rows of a trained folder; a last line that was cut is left out.

    Where the training was one in rounds, their steps are counted on.

    Raises:
        ConfigError: it holds none.
        StoreError: a line is damaged.
    """
    path = folder / METRICS
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise ConfigError(f"{folder} has no {METRICS}: name a folder that `autoif train` made") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} can't be read: {error}") from None
    rows: list[Row] = []
    done = last = 0
    for number, line in enumerate(lines[:-1], 1):
        try:
            row = parse_json(line)
            last_round = rows[-1].get("round") if rows else row.get("round")
            done += last if row.get("round") != last_round else 0
            last = row["step"]
            rows.append({**row, "step": done + last})
        except (ValueError, TypeError, KeyError, AttributeError):
            raise StoreError(f"{path}, line {number}: no row of metrics") from None
    return rows


def _arrange(trainings: Sequence[Training]) -> dict[str, tuple[str, list[Training]]]:
    """Return for each panel, by its title, the metric and the trainings that have it."""
    panels: dict[str, tuple[str, list[Training]]] = {}
    for metric, title in PANELS.items():
        for training in trainings:
            if any(row.get(name) is not None for row in training.rows for name in (metric, f"eval_{metric}")):
                shown = _LOSSES.get(training.kind or "", title) if metric == "loss" else title
                panels.setdefault(shown, (metric, []))[1].append(training)
    return panels


def _draw_metric(panel: Axes, metric: str, trainings: Sequence[Training]) -> None:
    for training in trainings:
        for key, style in ((metric, "-"), (f"eval_{metric}", "--")):
            points = [(row["step"], row[key]) for row in training.rows if row.get(key) is not None]
            if points:
                label = _plain(training.name) + ("" if style == "-" else ", evaluation data")
                steps, values = zip(*points, strict=True)
                marker = "o" if len(points) == 1 else ""
                [line] = panel.plot(
                    steps, values, style, color=training.colour, label=label, marker=marker, linewidth=1
                )  # fmt: skip
                line.set_gid(f"{key} {training.name}")
    panel.set_xlabel("step")
    panel.legend(fontsize=7)


def _draw_interval(panel: Axes, interval: Interval, place: int, colour: str, name: str) -> None:
    if interval.low is not None and interval.high is not None:
        [bar] = panel.plot([interval.low, interval.high], [place, place], color=colour, linewidth=1.5)
        bar.set_gid(f"{name} interval")
    [point] = panel.plot([interval.value], [place], "o", color=colour)
    point.set_gid(name)


def save_figure(draw: Callable[[], Figure], output: Path) -> None:
    """Draw and write a figure, whole or not at all."""
    kind = output.suffix.lower()
    temporary = output.with_name(f".{output.name}.tmp{kind}")
    style: dict[Any, Any] = {**mpl.rcParamsDefault, **_STYLE}  # whatever the user's own matplotlibrc says
    with mpl.rc_context(style), storage_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        try:
            draw().savefig(temporary, metadata=_SUFFIXES[kind], dpi=150)
            temporary.replace(output)
        finally:
            temporary.unlink(missing_ok=True)
