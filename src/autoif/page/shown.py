"""What the pages of trainings and evaluations are put together from: texts of others, rows, notes, figures."""

import base64
import re
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from autoif.page.elements import Child, make, make_table
from autoif.reading.text_lines import show_in_line

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""Control characters, halves of letters, and marks that turn the order of letters round."""


def show_text(text: str, most: int = 3_000) -> str:
    """Return a text of others with what can't be seen written out, cut beyond `most` letters, which it says."""
    shown = _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text[:most])
    rest = len(text) - most
    return shown + (f"\n… {rest:,} more characters" if rest > 0 else "")


def make_lines(
    caption: str, columns: Sequence[str], rows: Sequence[Sequence[Child]], *, words: bool = False
) -> Element:
    """Return a table whose first column says what a row is of; all others hold numbers, unless `words`."""
    shown = [[show_in_line(each) if isinstance(each, str) else each for each in row] for row in rows]
    numbers = 0 if words else len(columns) - 1
    return make_table(show_in_line(caption), [show_in_line(column) for column in columns], shown, numbers=numbers)


def make_figure(svg: bytes, alt: str, caption: str) -> Element:
    """Return a figure as an image within the page: nothing in an image can run or load anything."""
    source = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}"
    return make("figure", make("img", alt=alt, src=source), make("figcaption", caption), class_="drawn")


def make_notes(notes: Sequence[str]) -> list[Element]:
    """Return notes as a list; nothing where there are none."""
    return [make("ul", *(make("li", show_in_line(note)) for note in notes))] if notes else []
