"""The parts of a page as elements, so that no text of others is ever read as markup: the serialiser escapes it."""

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, tostring

Child = Element | str


def make(tag: str, *children: Child, **attributes: str) -> Element:
    """Return an element; `class_` and `for_` are written without their underscore, other underscores as hyphens."""
    names = {name.removesuffix("_").replace("_", "-"): value for name, value in attributes.items()}
    element = Element(tag, names)
    add(element, children)
    return element


def add(element: Element, children: Iterable[Child]) -> None:
    """Put texts and elements at the end of an element."""
    for child in children:
        if isinstance(child, Element):
            element.append(child)
        elif len(element):
            element[-1].tail = (element[-1].tail or "") + child
        else:
            element.text = (element.text or "") + child


def make_table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[Child]], numbers: int = 0) -> Element:
    """Return a table whose first column names its rows; the last `numbers` columns are set to the right."""
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
    # A region that scrolls must be reached by keyboard.
    return make("div", table, class_="wide", tabindex="0", role="region", aria_label=caption)


def render(elements: Iterable[Element]) -> str:
    """Return elements as HTML."""
    return "\n".join(tostring(element, encoding="unicode", method="html") for element in elements)
