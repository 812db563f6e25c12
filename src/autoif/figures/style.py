"""The look of all figures: titles, axes, values beside points, and saving to a file.

Models, trainings and runs differ in colour and in marker. The colours differ as much in lightness as in hue, so they
remain distinct in grey print and for colour-blind readers; all contrast with white at 3:1 or more.

The same input gives the same file, byte for byte, with the same version of matplotlib: no date, no random ids.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autoif.errors import ConfigError
from autoif.evaluation.results import Column
from autoif.evaluation.statistics import Interval
from autoif.messages import show_in_line
from autoif.runs.whole_files import new_file

COLOURS = ("#0c4287", "#d9780b", "#0a0a0a", "#0b6d67", "#3f0f57")
"""Blue, orange, black, teal, purple. Neighbours differ most, since most comparisons have few models."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""In matplotlib's codes: disc, square, triangle, diamond, downward triangle, plus, cross."""
INK, FAINT = "#222222", "#6b6b6b"
"""Colours of text, and of lines that only guide the eye."""
_SUFFIXES: dict[str, dict[str, str | None]] = {
    ".svg": {"Date": None, "Creator": "autoif"},
    ".png": {"Software": "autoif"},
    ".pdf": {"CreationDate": None, "Creator": "autoif"},
}
_STYLE = {
    "svg.hashsalt": "autoif", "svg.fonttype": "none", "font.size": 9, "figure.titlesize": 11, "axes.titlesize": 9.5,
    "axes.grid": True, "axes.axisbelow": True, "grid.alpha": 0.3, "lines.linewidth": 1.3, "lines.markersize": 5,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "legend.fontsize": 8,
    "figure.constrained_layout.h_pad": 0.09,
    "text.color": INK, "axes.labelcolor": INK, "axes.titlecolor": INK, "axes.edgecolor": INK, "xtick.color": INK,
    "ytick.color": INK,
}  # fmt: skip
_VALUE_POINTS = 7.5
"""Font size of the values beside points."""
_NAME_CHARS = 36
"""Longest name in an axis or a legend."""
_AXES = {
    "pass_rate": "accepted answers",
    "faultless_pass_rate": "accepted answers without a fault",
    "prompt_strict": "prompts followed whole, strictly",
    "prompt_loose": "prompts followed whole, loosely",
    "instruction_strict": "instructions followed, strictly",
    "instruction_loose": "instructions followed, loosely",
    "hsr_average": "answers that satisfy all constraints, mean of five levels",
    "ssr_average": "constraints satisfied, mean of five levels",
    "csl": "levels satisfied in a row, of five",
}
"""What a score counts, in plain words, by the score's name."""


@dataclass(frozen=True, slots=True)
class SeriesLook:
    """How one series is drawn."""

    colour: str
    marker: str


def choose_look(place: int) -> SeriesLook:
    """Return the look of the series at an index, 0 or more."""
    return SeriesLook(COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)])


def check_kind(output: Path) -> None:
    """Raise ConfigError for a file suffix that can't be written, before any work."""
    if output.suffix.lower() not in _SUFFIXES:
        raise ConfigError(f"{output}: name a figure with {', '.join(_SUFFIXES)}")


def save_figure(draw: Callable[[], Figure], output: Path) -> None:
    """Draw a figure and write it, whole or not at all. Its title goes into the file's metadata.

    Raises:
        StoreError: it can't be written.
    """
    content = render_figure(draw, output.suffix.lower())
    with new_file(output) as file:
        file.add(content)


def render_figure(draw: Callable[[], Figure], kind: str = ".svg") -> bytes:
    """Return a figure, drawn in the common style, as the content of a file with this suffix."""
    style: dict[Any, Any] = {**mpl.rcParamsDefault, **_STYLE}  # independent of the user's matplotlibrc
    with mpl.rc_context(style):
        figure, content = draw(), io.BytesIO()
        metadata = {**_SUFFIXES[kind], "Title": figure.get_suptitle()}
        figure.savefig(content, format=kind.removeprefix("."), metadata=metadata, dpi=150)
    return content.getvalue()


def name_axis(column: Column) -> str:
    """Return the plain name of a score's axis, with its unit."""
    label = _AXES.get(column.name, "right answers" if column.paired and column.unit == "%" else column.label)
    return f"{label} ({column.unit})" if column.unit not in label else label


def show_name(name: str) -> str:
    """Return a name for an axis or a legend: never read as a formula, and cut in the middle if long."""
    text = show_in_line(name)
    if len(text) > _NAME_CHARS:
        text = f"{text[: _NAME_CHARS // 2 - 1]}…{text[-(_NAME_CHARS // 2) :]}"
    return text.replace("$", r"\$")


def draw_interval(panel: Axes, interval: Interval, place: int, look: SeriesLook, *, filled: bool = True) -> list[Any]:
    """Draw a value with its interval on a separate line; return the point, then the bar if there is an interval."""
    drawn: list[Any] = []
    if interval.low is not None and interval.high is not None:
        drawn += panel.plot([interval.low, interval.high], [place, place], color=look.colour, linewidth=1.8)
    face = look.colour if filled else "white"
    points = panel.plot(
        [interval.value], [place], look.marker, color=look.colour, markerfacecolor=face, markeredgewidth=1.3
    )
    return [*points, *drawn]


def write_value(panel: Axes, text: str, x: float | str, y: float) -> None:
    """Write a value above its point, on a background that keeps it readable over a line."""
    panel.annotate(
        text, (x, y), textcoords="offset points", xytext=(0, 6), ha="center", fontsize=_VALUE_POINTS, color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
    )  # fmt: skip


def write_ends(panel: Axes, ends: Sequence[tuple[float, float]]) -> None:
    """Write the value of each line's last point beside it; move apart values that would overlap."""
    low, high = panel.get_ylim()
    least = 0.07 * (high - low)
    place = -float("inf")
    for x, y in sorted(ends, key=lambda end: end[1]):
        place = max(y, place + least)
        panel.annotate(
            f"{y:.3g}", (x, place), textcoords="offset points", xytext=(6, 0), va="center", fontsize=_VALUE_POINTS,
            color=INK, annotation_clip=False,
        )  # fmt: skip
