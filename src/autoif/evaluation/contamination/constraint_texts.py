"""Texts with so many of something and few of anything else: words, sentences, bullets, sections …"""

from collections.abc import Callable
from itertools import cycle, islice

_Make = Callable[[int, int], str]
"""Makes a text of so many parts, in one of three variants."""
_FILLER = (
    "garden river window bridge morning winter market harbour lantern paper silver village forest summer kitchen "
    "mountain ticket captain blanket station evening orchard pencil meadow"
).split()
_STARTS = (0, 7, 13)
"""Where the words of each variant begin."""


def write_each(make: _Make, count: int) -> tuple[str, ...]:
    """Return a text of `count` parts in each of its variants."""
    return tuple(make(count, variant) for variant in range(len(_STARTS)))


def _words(count: int, variant: int) -> list[str]:
    return list(islice(cycle(_FILLER), _STARTS[variant], _STARTS[variant] + count))


def _line_up(separator: str, *patterns: str) -> _Make:
    """Return what makes a text of `count` parts of a pattern with a word and a number in it."""

    def make(count: int, variant: int) -> str:
        pattern = patterns[variant % len(patterns)]
        words = enumerate(_words(count, variant), 1)
        return separator.join(pattern.format(word=word, number=number) for number, word in words)

    return make


def _write_words(count: int, variant: int) -> str:
    return (" ".join(_words(count, variant)) + ("", ".", "!")[variant]).capitalize()


KINDS: dict[str, _Make] = {
    "words": _write_words,
    "sentences": _line_up(" ", "The {word} is here.", "We saw the {word} today.", "Look at the {word}!"),
    "paragraphs": _line_up("\n\n", "The {word} is here.", "We saw the {word} today.", "The {word} was open"),
    "lines": _line_up("\n", "the {word} is here", "we saw the {word}", "{word}"),
    "bullets": _line_up("\n", "* the {word}", "- the {word}", "* {word} and more"),
    "placeholders": _line_up(" and ", "[{word}]"),
    "highlights": _line_up(" and ", "*{word}*"),
    "sections": _line_up("\n", "Section {number}\nThe {word} is here."),
    "numbers": _line_up(" ", "{number} of the"),
}
