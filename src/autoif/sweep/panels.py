"""The content of a sweep's figure, panel by panel; `figures/plots.py` draws it into a file, `page/` into a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoif.sweep.points import Sweep, SweepPoint

_COUNTS = {"instructions": "instructions", "SFT rows": "sft", "preference pairs": "preferences"}
"""Fields of a `SweepPoint`, by their titles."""
PRECISION = "right functions, %"


@dataclass(frozen=True, slots=True)
class PanelPoint:
    """One value: the place of its threshold among the labels, and the ends of its 95 % interval, if any."""

    place: int
    value: float
    ends: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class SweepPanel:
    """One quantity plotted over a threshold: with several swept settings, over the last."""

    title: str
    axis: str
    labels: Sequence[str]
    lines: Mapping[str, Sequence[PanelPoint]]
    """By the values of the other settings; by "" if there are none."""
    own: float | None
    """The value with the run's own settings; None if there is none."""

    @property
    def top(self) -> float:
        """The end of the axis, which begins at 0."""
        ends = [end for line in self.lines.values() for each in line for end in (each.value, *each.ends)]
        return max([*ends, self.own or 0]) or 1

    def write(self, value: float) -> str:
        """Return a value as text."""
        return f"{value:.1f}" if self.title == PRECISION else f"{value:,.0f}"


def name_counts(sweep: Sweep) -> dict[str, str]:
    """Return the counts to show, by title, as fields of `SweepPoint`. Counts of rows need a run with responses."""
    return {title: field for title, field in _COUNTS.items() if sweep.sampled or title == "instructions"}


def arrange_sweep(sweep: Sweep) -> list[SweepPanel]:
    """Return a panel for instructions and, if known, one each for rows, pairs and precision."""
    *others, axis = sweep.keys
    labels = [*dict.fromkeys(str(point.settings[axis]) for point in sweep.points)]
    titles = [*name_counts(sweep), *[PRECISION] * any(point.precision for point in (sweep.own, *sweep.points))]
    panels = []
    for title in titles:
        lines: dict[str, list[PanelPoint]] = {}
        for point in sweep.points:
            line = lines.setdefault(", ".join(f"{key.partition('.')[2]} {point.settings[key]}" for key in others), [])
            if found := _measure(point, title):
                line.append(PanelPoint(labels.index(str(point.settings[axis])), *found))
        own = _measure(sweep.own, title)
        name = "right functions (%)" if title == PRECISION else f"number of {title}"
        panels.append(SweepPanel(title, name, labels, lines, own and own[0]))
    return panels


def _measure(point: SweepPoint, title: str) -> tuple[float, tuple[float, ...]] | None:
    """Return a value and the ends of its interval; None if unknown."""
    if title != PRECISION:
        return getattr(point, _COUNTS[title]), ()
    if not (found := point.precision):
        return None
    return found.value, () if found.low is None or found.high is None else (found.low, found.high)
