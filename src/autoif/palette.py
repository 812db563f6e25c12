"""How models, trainings and runs are told apart wherever they are drawn: by colour, and by a marker as well.

The colours are as far apart in lightness as in hue, so they hold on a grey print and for eyes that see fewer hues.
All of them stand out from white at 3:1 or more. Markers go round seven, colours round five: 35 series differ.
"""

from dataclasses import dataclass

COLOURS = ("#0c4287", "#d9780b", "#0a0a0a", "#0b6d67", "#3f0f57")
"""Blue, orange, black, teal, purple; neighbours differ most, since few models are compared more often than many."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""By matplotlib's names: disc, square, triangle, diamond, triangle downwards, plus, cross."""
INK, FAINT = "#222222", "#6b6b6b"
"""Of words, and of lines that only help to read."""


@dataclass(frozen=True, slots=True)
class SeriesLook:
    """How one series is drawn."""

    colour: str
    marker: str


def choose_look(place: int) -> SeriesLook:
    """Return how the series at a place, 0 or more, in the given order is drawn."""
    return SeriesLook(COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)])
