"""What is text, and in which script: for telling that a model answered in another language in a line or two."""

import re
import unicodedata

_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
)
_NO_TEXT = re.compile(rf"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff{_NONCHARACTERS}]")


def count_non_text(text: str) -> int:
    """Count the characters that are no text: controls but tab and line ends, surrogates, noncharacters.

    Spaces of any width, joiners, marks of direction and new emoji are text.
    """
    return len(_NO_TEXT.findall(text))


def has_foreign_script(text: str) -> bool:
    """Tell whether most letters of a text are not Latin ones. Text without letters (emoji, Morse) has no script."""
    letters = [char for char in text if char.isalpha()]
    foreign = sum(
        not (char.isascii() or unicodedata.name(char, "").startswith(("LATIN", "FULLWIDTH LATIN"))) for char in letters
    )
    return foreign * 2 > len(letters)
