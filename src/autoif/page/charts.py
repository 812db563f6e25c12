"""Charts as SVG in the page: drawn when it is made, coloured by its style sheet, so that they are dark in the dark.

No plotting library: a chart here is a row of bars, or some points on a line. matplotlib writes colours as style
attributes, which the page's content security policy forbids, and `make demo` would have to install it. Each chart has
its numbers as a table.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

from autoif.page.elements import make, make_table

_WIDTH, _TOP, _FULL = 480, 16, 124
"""Of a chart of bars; the room below and on the left depends on its labels, which are slanted."""
_BINS = 10


def draw_bar(kept: int, dropped: int, most: int) -> Element:
    """Return what a stage kept, and what it dropped, as one bar; `most` is the widest."""
    scale = 200 / max(most, 1)
    return make(
        "svg",
        make("rect", class_="kept", x="0", y="2", width=f"{kept * scale:.1f}", height="12"),
        make("rect", class_="dropped", x=f"{kept * scale:.1f}", y="2", width=f"{dropped * scale:.1f}", height="12"),
        viewBox="0 0 200 16", width="200", height="16", aria_hidden="true",
    )  # fmt: skip


def draw_line(title: str, labels: Sequence[str], values: Sequence[float | None], own: float | None) -> Element:
    """Return a small chart of values from 0 up, a point each with its number above; `own` is a dashed line across."""
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    most = max((value for value in (*(value for _, value in known), own) if value is not None), default=0) or 1
    width, height, foot = 260, 130, 104
    step = width / max(len(values), 1)

    def at(place: int, value: float) -> tuple[str, str]:
        return f"{(place + 0.5) * step:.1f}", f"{foot - 78 * value / most:.1f}"

    spots = [at(place, value) for place, value in known]
    parts = [make("line", class_="axis", x1="0", y1=str(foot), x2=str(width), y2=str(foot))]
    if own is not None:
        _, level = at(0, own)
        parts.append(make("line", class_="own", x1="0", y1=level, x2=str(width), y2=level))
    parts.append(make("polyline", class_="curve", points=" ".join(f"{x},{y}" for x, y in spots)))
    for (x, y), (_, value) in zip(spots, known, strict=True):
        parts.append(make("circle", class_="bar", cx=x, cy=y, r="3"))
        parts.append(make("text", f"{value:,.4g}" if value < 10_000 else f"{value:,.0f}", class_="value", x=x,
                          y=f"{float(y) - 7:.1f}", text_anchor="middle"))  # fmt: skip
    for place, label in enumerate(labels):
        parts.append(make("text", label, class_="label", x=at(place, 0)[0], y=str(foot + 16), text_anchor="middle"))
    told = ", ".join(f"{label} {value:,.4g}" for label, value in zip(labels, values, strict=True) if value is not None)
    svg = make(
        "svg", *parts, class_="chart", viewBox=f"0 0 {width} {height}", role="img",
        aria_label=f"{title}: {told}" + ("" if own is None else f"; as run {own:,.4g}"),
    )  # fmt: skip
    return make("figure", make("figcaption", title), svg)


def draw_histogram(title: str, values: Sequence[float], most: float) -> list[Element]:
    """Return how many values there are in each tenth of the range from 0; what lies beyond is in the last."""
    width = most / _BINS
    counts = Counter(min(_BINS - 1, max(0, int(value / width + 1e-9))) for value in values)
    labels = [f"{place * width:g}–{(place + 1) * width:g}" for place in range(_BINS)]
    return draw_counts(title, [(label, counts[place]) for place, label in enumerate(labels)])


def draw_counts(title: str, counted: Sequence[tuple[str, int]]) -> list[Element]:
    """Return a figure of bars with their numbers above, and the same as a table."""
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
