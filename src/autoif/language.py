"""Tells text from garbage, and scripts apart: enough to notice, in a line or two, that a model changed language."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
)
_NON_TEXT = re.compile(rf"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff{_NONCHARACTERS}]")


def count_non_text(text: str) -> int:
    """Count the characters that are no text: surrogates, noncharacters, and controls other than tabs and line ends.

    Spaces of any width, joiners, marks of direction and new emoji are text.
    """
    if text.isascii() and text.isprintable():
        return 0
    return len(_NON_TEXT.findall(text))


def is_garbled(text: str) -> bool:
    """Tell whether more than a tenth of a text is no text."""
    return count_non_text(text) * 10 > len(text)


LATIN = frozenset({"LATIN"})
WITHOUT_SPACES = frozenset({"CJK", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"})
"""Scripts that put no spaces between words."""
_WRITTEN_TOGETHER = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "KATAKANA-HIRAGANA": "CJK", "BOPOMOFO": "CJK"}
_WIDTHS = ("FULLWIDTH ", "HALFWIDTH ")
_SYMBOLS = frozenset({"MATHEMATICAL", "MODIFIER", "DOUBLE-STRUCK", "SCRIPT", "BLACK-LETTER", "FEMININE", "MASCULINE"})
"""First words of the Unicode names of letters that occur in texts of any script."""


def count_scripts(text: str) -> Counter[str]:
    """Count the letters of each script, as in {"LATIN": 12, "CYRILLIC": 3}; Japanese and Chinese are one script."""
    counts = Counter[str]()
    for char, number in Counter(text).items():  # a text has few distinct characters
        if script := _script(char):
            counts[script] += number
    return counts


def main_scripts(texts: Iterable[str]) -> frozenset[str]:
    """Return the main scripts of texts: for each text, the one with the most letters."""
    counts = (count_scripts(text) for text in texts)
    return frozenset(count.most_common(1)[0][0] for count in counts if count)


def has_foreign_script(text: str, known: frozenset[str] = LATIN) -> bool:
    """Tell whether most letters of a text belong to scripts other than the known ones.

    If the text has letters of a known script, Latin ones are taken for names and quoted words, and count as known.
    """
    if text.isascii() and "LATIN" in known:
        return False
    counts = count_scripts(text)
    familiar = sum(counts[script] for script in known)
    if familiar:
        familiar += counts["LATIN"] * ("LATIN" not in known)
    return (counts.total() - familiar) * 2 > counts.total()


@lru_cache(maxsize=10_000)
def _script(char: str) -> str:
    """Return the script of a letter by its Unicode name; "" for other characters and for letters used in any script."""
    if not char.isalpha():
        return ""
    name = unicodedata.name(char, "UNNAMED")
    for width in _WIDTHS:
        name = name.removeprefix(width)
    first = name.split()[0]
    return "" if first in _SYMBOLS else _WRITTEN_TOGETHER.get(first, first)
