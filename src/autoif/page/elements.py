"""The parts of a page as XML elements: the serialiser escapes all text, so that none is read as markup."""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from xml.etree.ElementTree import Element, tostring

from autoif.messages import show_in_line

Child = Element | str
NOTHING = "–"
"""Text of an empty cell."""
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""Control characters, lone surrogates, and marks that change the direction of text."""


def make(tag: str, *children: Child, **attributes: str) -> Element:
    """Return an element; `class_` and `for_` are written without their underscore, other underscores as hyphens."""
    names = {name.removesuffix("_").replace("_", "-"): value for name, value in attributes.items()}
    element = Element(tag, names)
    add(element, children)
    return element


def add(element: Element, children: Iterable[Child]) -> None:
    """Append texts and elements to an element."""
    for child in children:
        if isinstance(child, Element):
            element.append(child)
        elif len(element):
            element[-1].tail = (element[-1].tail or "") + child
        else:
            element.text = (element.text or "") + child


def make_table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[Child]], numbers: int = 0) -> Element:
    """Return a table whose first column names its rows; the last `numbers` columns are aligned right."""
    words = len(columns) - numbers

    def cell(tag: str, place: int, content: Child, **attributes: str) -> Element:
        return make(tag, content, **attributes, **({"class_": "number"} if place >= words else {}))

    heads = [cell("th", place, column, scope="col") for place, column in enumerate(columns)]
    lines = []
    for row in rows:
        first, *rest = row
        others = [cell("td", place, content) for place, content in enumerate(rest, start=1)]
        lines.append(make("tr", make("th", first, scope="row"), *others))
    table = make("table", make("caption", caption), make("thead", make("tr", *heads)), make("tbody", *lines))
    # A scrolling region must be reachable by keyboard.
    return make("div", table, class_="wide", tabindex="0", role="region", aria_label=caption)


def render(elements: Iterable[Element]) -> str:
    return "\n".join(tostring(element, encoding="unicode", method="html") for element in elements)


def show_text(text: str, most: int = 3_000) -> str:
    """Return a text with invisible characters written out, cut after `most` characters with a note on the rest."""
    shown = _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text[:most])
    rest = len(text) - most
    return shown + (f"\n… {rest:,} more characters" if rest > 0 else "")


def make_lines(
    caption: str, columns: Sequence[str], rows: Sequence[Sequence[Child]], *, words: bool = False
) -> Element:
    """Return a table whose first column names its rows; all others hold numbers, unless `words`."""
    shown = [[show_in_line(each) if isinstance(each, str) else each for each in row] for row in rows]
    numbers = 0 if words else len(columns) - 1
    return make_table(show_in_line(caption), [show_in_line(column) for column in columns], shown, numbers=numbers)


def make_facts(caption: str, told: Mapping[str, Mapping[str, str]]) -> Element:
    """Return a table of facts with a column for each of several things."""
    keys = dict.fromkeys(key for facts in told.values() for key in facts)
    rows = [[key, *(facts.get(key, NOTHING) for facts in told.values())] for key in keys]
    return make_lines(caption, ["fact", *told], rows, words=True)


def make_figure(svg: bytes, alt: str, caption: str) -> Element:
    """Return a figure as an embedded image, in which nothing can run or load anything."""
    source = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}"
    return make("figure", make("img", alt=alt, src=source), make("figcaption", caption), class_="drawn")


def make_notes(notes: Sequence[str]) -> list[Element]:
    """Return notes as a list element; empty if there are none."""
    return [make("ul", *(make("li", show_in_line(note)) for note in notes))] if notes else []
