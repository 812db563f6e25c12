"""Charts as inline SVG, drawn when the page is made and coloured by its style sheet, so that they follow dark mode.

They need no plotting library: a chart is a row of bars, or some points on a line. matplotlib writes colours as style
attributes, which the page's content security policy forbids, and `make demo` would have to install it. Each chart comes
with a table of its numbers.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

from autoif.page.elements import make, make_table
from autoif.sweep.panels import SweepPanel

_WIDTH, _TOP, _FULL = 480, 16, 124
"""Width, top margin and height of the highest bar; the margins below and on the left depend on the slanted labels."""
_BINS = 10


def draw_bar(kept: int, dropped: int, most: int) -> Element:
    """Return one bar of what a stage kept and dropped; `most` is the count of the widest bar."""
    scale = 200 / max(most, 1)
    return make(
        "svg",
        make("rect", class_="kept", x="0", y="2", width=f"{kept * scale:.1f}", height="12"),
        make("rect", class_="dropped", x=f"{kept * scale:.1f}", y="2", width=f"{dropped * scale:.1f}", height="12"),
        viewBox="0 0 200 16", width="200", height="16", aria_hidden="true",
    )  # fmt: skip


def draw_panel(panel: SweepPanel) -> Element:
    """Return a small chart of a sweep over one setting: points with their numbers above."""
    [points] = panel.lines.values()
    width, height, foot = 260, 130, 104
    step = width / max(len(panel.labels), 1)

    def at(place: int, value: float) -> tuple[str, str]:
        return f"{(place + 0.5) * step:.1f}", f"{foot - 78 * value / panel.top:.1f}"

    spots = [at(each.place, each.value) for each in points]
    parts = [
        make("line", class_="axis", x1="0", y1=str(foot), x2=str(width), y2=str(foot)),
        make("polyline", class_="curve", points=" ".join(f"{x},{y}" for x, y in spots)),
    ]
    if panel.own is not None:
        _, level = at(0, panel.own)
        parts.append(make("line", class_="own", x1="0", y1=level, x2=str(width), y2=level))
    for each, (x, y) in zip(points, spots, strict=True):
        if each.ends:
            low, high = (at(0, end)[1] for end in each.ends)
            parts.append(make("line", class_="axis", x1=x, y1=low, x2=x, y2=high))
        above = f"{float(y) - 7:.1f}"
        parts.append(make("circle", class_="bar", cx=x, cy=y, r="3"))
        parts.append(make("text", panel.write(each.value), class_="value", x=x, y=above, text_anchor="middle"))
    for place, label in enumerate(panel.labels):
        parts.append(make("text", label, class_="label", x=at(place, 0)[0], y=str(foot + 16), text_anchor="middle"))
    told = ", ".join(f"{panel.labels[each.place]} {panel.write(each.value)}" for each in points)
    svg = make(
        "svg", *parts, class_="chart", viewBox=f"0 0 {width} {height}", role="img",
        aria_label=f"{panel.title}: {told}" + ("" if panel.own is None else f"; as run {panel.write(panel.own)}"),
    )  # fmt: skip
    return make("figure", make("figcaption", panel.title), svg)


def draw_histogram(title: str, values: Sequence[float], most: float) -> list[Element]:
    """Return a histogram of ten bins from 0 to `most`; values beyond it are in the last bin."""
    width = most / _BINS
    counts = Counter(min(_BINS - 1, max(0, int(value / width + 1e-9))) for value in values)
    labels = [f"{place * width:g}–{(place + 1) * width:g}" for place in range(_BINS)]
    return draw_counts(title, [(label, counts[place]) for place, label in enumerate(labels)])


def draw_counts(title: str, counted: Sequence[tuple[str, int]]) -> list[Element]:
    """Return a figure of bars with their numbers above, and a table of the same numbers."""
    if not any(count for _, count in counted):
        return [make("h3", title), make("p", "Nothing to show yet.", class_="note")]
    most = max(count for _, count in counted)
    longest = max(len(label) for label, _ in counted)
    svg = make(
        "svg",
        *_draw_bars(counted, most, left=max(48, 4 * longest)),
        class_="chart", viewBox=f"0 0 {_WIDTH} {_TOP + _FULL + 22 + 3.4 * longest:.0f}", role="img",
        aria_label=f"{title}: {', '.join(f'{label} {count:,}' for label, count in counted if count)}",
    )  # fmt: skip
    table = make_table(title, ["of", "number"], [[label, f"{count:,}"] for label, count in counted], numbers=1)
    numbers = make("details", make("summary", "The same in numbers"), table)
    return [make("figure", make("figcaption", title), svg, numbers)]


def _draw_bars(counted: Sequence[tuple[str, int]], most: int, left: int) -> Iterable[Element]:
    foot, step = _TOP + _FULL, (_WIDTH - left) / len(counted)
    yield make("line", class_="axis", x1=str(left), y1=str(foot), x2=str(_WIDTH), y2=str(foot))
    for place, (label, count) in enumerate(counted):
        height = _FULL * count / most
        start = left + place * step
        middle = f"{start + step / 2:.1f}"
        yield make(
            "rect", class_="bar", x=f"{start + 1:.1f}", y=f"{foot - height:.1f}", width=f"{step - 2:.1f}",
            height=f"{height:.1f}",
        )  # fmt: skip
        above, number = f"{foot - height - 3:.1f}", f"{count:,}" if count else ""
        yield make("text", number, class_="value", x=middle, y=above, text_anchor="middle")
        yield make(
            "text", label, class_="label", x=middle, y=str(foot + 12), text_anchor="end",
            transform=f"rotate(-30 {middle} {foot + 12})",
        )  # fmt: skip
