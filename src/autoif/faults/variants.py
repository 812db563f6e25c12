"""Makes less plain texts of two numbers, with what a function may count by mistake, or fail to count.

    vary_count(Count(2, 2, "lines"), 2, 1)    two lines without a full stop beside one of two sentences

Each pair has a text with the right number, and one with the wrong number or with something else in its place.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle, islice, pairwise
from typing import Final

from autoif.faults.counts import Count
from autoif.faults.texts import SENTENCES, make_text, repeat_text
from autoif.faults.things import THINGS


def vary_count(count: Count, right: int, wrong: int) -> Iterator[tuple[str, str]]:
    """Yield texts that obey a count beside texts that don't; `wrong` is the first number beyond a limit."""
    if count.text:
        yield from _repeat_otherwise(count, right, wrong)
    elif thing := THINGS.get(count.unit):
        if wrong < right:
            yield from ((thing.make(right), decoy) for decoy in thing.make_decoys(wrong))
    elif make := _VARIANTS.get(count.unit):
        yield from make(count, right, wrong)


def make_counted(count: Count, number: int) -> str:
    """Return a plain text with exactly this number."""
    return repeat_text(count, number) if count.text else make_text(count.unit, number)


def _repeat_otherwise(count: Count, right: int, wrong: int) -> Iterator[tuple[str, str]]:
    """Yield texts with a named word in other letter case, and a longer word where one is too many."""
    if count.unit != "word" or not count.text.isalpha() or len(count.text) == 1:
        return
    obeys, breaks = repeat_text(count, right), repeat_text(count, wrong)
    if right < wrong:
        yield f"{obeys[:-1]} un{count.text.lower()}ly.", breaks
    if count.text.islower():
        larger = replace(count, text=count.text.capitalize())
        if wrong < right:
            yield repeat_text(larger, right), breaks
        else:
            yield obeys, f"{repeat_text(larger, wrong)[:-1]}, all day."


def _end_otherwise(count: Count, right: int, wrong: int) -> Iterator[tuple[str, str]]:
    """Yield sentences that end with an exclamation mark or a question mark, by turns."""

    def change(number: int) -> str:
        ends = cycle("!?")
        return re.sub(r"\.", lambda _: next(ends), make_text("sentences", number))

    yield change(right), change(wrong)


def _fill_lines(count: Count, right: int, wrong: int) -> Iterator[tuple[str, str]]:
    """Yield lines of two sentences each where few lines matter, beside lines that end with no full stop."""
    pairs = [f"{one} {other}" for one, other in pairwise(SENTENCES)]
    few, many = sorted((right, wrong))
    texts = "\n".join(islice(cycle(pairs), few)), make_text("lines", many).replace(".", "")
    yield texts if few == right else texts[::-1]


def _name_items(count: Count, right: int, wrong: int) -> Iterator[tuple[str, str]]:
    """Yield items with a number and a hyphen in them, and as many lines that are no items."""
    text = make_text(count.unit, right)
    rich = re.sub(r"^(\S+) (\w+)", r"\1 Well-known route 7: \2", text, flags=re.MULTILINE)
    yield rich, make_text(count.unit, wrong) if wrong else SENTENCES[0]
    if count.least and right > 1:
        yield text, make_text("lines", right)


_VARIANTS: dict[str, Callable[[Count, int, int], Iterator[tuple[str, str]]]] = {
    "sentences": _end_otherwise,
    "lines": _fill_lines,
    "bullet points": _name_items,
    "numbered items": _name_items,
    "list items": _name_items,
}


_PLURAL: Final = re.compile(r"(?:(?<=ss)e|(?<=sh)e)?s(?=$| (?:in|of|with) )")
"""The ending of the noun in "words", "e-mail addresses", "numbers in digits"."""


def say_counted(number: int, count: Count) -> str:
    """Return a number and its unit in words, as in "3 lines"."""
    if count.text:
        return f'"{count.text}" {number} {"time" if number == 1 else "times"}'
    return f"{number} {_name_one(count.unit) if number == 1 else count.unit}"


def _name_one(units: str) -> str:
    """Return a unit in the singular."""
    return "parenthesis" if units == "parentheses" else _PLURAL.sub("", units, 1)


def find_steps(count: Count) -> Iterator[tuple[int, int]]:
    """Yield the first number beyond each limit, and the last within it."""
    if count.least is not None:
        yield count.least - 1, count.least
    if count.most is not None:
        yield count.most + 1, count.most
