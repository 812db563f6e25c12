"""What a figure of a sweep shows, panel by panel; `figures/plots.py` draws it into a file, `page/` into a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoif.sweep.points import Sweep, SweepPoint

_COUNTS = {"instructions": "instructions", "SFT rows": "sft", "preference pairs": "preferences"}
"""Fields of a `SweepPoint`, by their titles."""
PRECISION = "right functions, %"


@dataclass(frozen=True, slots=True)
class PanelPoint:
    """One value: the place of its threshold among the labels, and the ends of its 95 % interval where it has one."""

    place: int
    value: float
    ends: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class SweepPanel:
    """One quantity over the threshold; of several settings that is the last."""

    title: str
    axis: str
    labels: Sequence[str]
    lines: Mapping[str, Sequence[PanelPoint]]
    """By what the other settings are; by "" where there are none."""
    own: float | None
    """With the run's own settings; None as for points that have no value."""

    @property
    def top(self) -> float:
        """Where the axis ends, which begins at 0."""
        ends = [end for line in self.lines.values() for each in line for end in (each.value, *each.ends)]
        return max([*ends, self.own or 0]) or 1

    def write(self, value: float) -> str:
        """Return a value in words."""
        return f"{value:.1f}" if self.title == PRECISION else f"{value:,.0f}"


def name_counts(sweep: Sweep) -> dict[str, str]:
    """Return the titles of what is counted, with the fields of a `SweepPoint`; without responses there are no rows."""
    return {title: field for title, field in _COUNTS.items() if sweep.sampled or title == "instructions"}


def arrange_sweep(sweep: Sweep) -> list[SweepPanel]:
    """Return a panel each for instructions and, where they are known, for rows, pairs and precision."""
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
    """Return a value and the ends of its interval; None where it isn't known."""
    if title != PRECISION:
        return getattr(point, _COUNTS[title]), ()
    if not (found := point.precision):
        return None
    return found.value, () if found.low is None or found.high is None else (found.low, found.high)
