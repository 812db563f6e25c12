"""Texts on both sides of what an instruction plainly asks: what a function has to tell apart.

    make_edges("Write at least 40 words.")    40 words obey, 39 don't
    make_edges('Do not use the word "the".')  a text without it obeys, one with it doesn't; nor is "unthely" that word

Made only where the instruction can be read (wording.py) and both sides are beyond dispute: plain words between spaces,
sentences that end with a full stop, blank lines between paragraphs.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from typing import Final

from autoif.faults.reasons import FindingReason
from autoif.faults.wording import Count, Term, TermRole, is_english, read_count, read_term

_WORDS: Final = (
    "warm rain fell on small farms while old dogs slept and cows stood by an open gate then wind took dry hay up high "
    "to long hills where young men cut wood for winter but nobody came with bread or milk that night"
).split()
"""Plain words for texts that ask for nothing else; each letter is missing in some of them."""
_SENTENCES: Final = (
    "Rain fell on small farms.",
    "Old dogs slept by an open gate.",
    "Wind took dry hay up to high hills.",
    "Nobody came with bread or milk.",
    "Young men cut wood for winter.",
)
_MARKS: Final = {
    "question marks": "?",
    "exclamation marks": "!",
    "commas": ",",
    "colons": ":",
    "semicolons": ";",
    "hyphens": "-",
}
_LETTER_CASE: Final = re.compile(
    r"^(?:please )?(?:write|use|put|give|answer|respond|reply|make)?(?: in)?(?: your| the)?(?: entire| whole| full)?"
    r"(?: (?:answer|response|reply|text))?(?: (?:must|should) be)?(?: written)?(?: entirely)?(?: in)?(?: all)?"
    r" (?:(?P<lower>lower[- ]?case)|(?P<upper>upper[- ]?case|capital|caps))(?: letters)?[.!]?$",
    re.IGNORECASE,
)
_LETTER: Final = frozenset({"letter", "letters", "character"})
_BRACKETS: Final = {"round": "()", "square": "[]", "curly": "{}"}
_WRAPPED: Final = re.compile(
    r"(?:wrap|put|enclose|place) your (?:entire|whole) (?:answer|response|reply) (?:in|with|inside|within)"
    r" (?:(?P<bracket>round|square|curly) brackets|(?P<quotes>double quot\w+(?: marks?)?))[.!]?$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Edge:
    """Two texts that differ in little, of which an instruction allows one."""

    reason: FindingReason
    obeys: str
    breaks: str
    right: str
    """What obeys, in words, as in "40 words"."""
    wrong: str
    """What breaks, as in "39 words"."""


def make_edges(instruction: str) -> list[Edge]:
    """Return the pairs for an instruction; none if it can't be read."""
    if not is_english(instruction):
        return []
    edges: list[Edge] = []
    if count := read_count(instruction):
        edges += _step_over(count)
    elif term := read_term(instruction):
        edges += [*_name_letter(term)] if term.noun in _LETTER else [*_name_text(term), *_name_line(term)]
    edges += _frame(instruction)
    return [edge for edge in edges if edge.obeys != edge.breaks]


def _step_over(count: Count) -> Iterator[Edge]:
    """Yield the last number that obeys beside the first that doesn't, below and above."""
    least = 0 if count.unit in _MARKS else 1
    for wrong, right in ((count.number - 1, count.number), (count.number + 1, count.number)):
        if wrong >= least and not count.allows(wrong):
            texts = make_text(count.unit, right), make_text(count.unit, wrong)
            yield Edge(FindingReason.THRESHOLD, *texts, _say(right, count.unit), _say(wrong, count.unit))


def _say(number: int, unit: str) -> str:
    return f"{number} {unit.removesuffix('s') if number == 1 else unit}"


def make_text(unit: str, count: int) -> str:
    """Return a plain text with exactly so many of a unit of `UNITS`. Raises ValueError: it is none of these."""
    sentences = islice(cycle(_SENTENCES), count)
    if unit in _MARKS:
        return f"Rain fell{_MARKS[unit]} " * count + "Old dogs slept by an open gate"
    match unit:
        case "words":
            return f"{' '.join(islice(cycle(_WORDS), count)).capitalize()}."
        case "characters":
            words = "".join(islice(cycle(" ".join(_WORDS) + " "), count)).capitalize()
            return words[:-1] + "s" if words.endswith(" ") else words
        case "sentences":
            return " ".join(sentences)
        case "paragraphs":
            return "\n\n".join(sentences)
        case "lines":
            return "\n".join(sentences)
        case "numbered items":
            return "\n".join(f"{number}. {sentence}" for number, sentence in enumerate(sentences, 1))
        case "bullet points":
            return "\n".join(f"- {sentence}" for sentence in sentences)
    raise ValueError(f"{unit!r} can't be counted")


def _name_text(term: Term) -> Iterator[Edge]:
    """Yield a text with what is asked for, or forbidden, beside one without it or with it in another place."""
    words = [word for word in _WORDS if word not in term.text.casefold()]
    before, after = " ".join(words[:6]).capitalize(), " ".join(words[6:12])
    without, inside = f"{before} {after}.", f"{before} {term.text.strip()} {after}."
    asked, quoted = term.text.strip(), f'"{term.text}"'
    edge = partial(Edge, FindingReason.ASKED_TEXT)
    match term.role:
        case TermRole.USE:
            yield edge(inside, without, f"a text with {quoted}", "one without it")
        case TermRole.AVOID:
            yield edge(without, inside, f"a text without {quoted}", "one with it")
            if term.text.isalpha() and term.noun in {"word", "term"}:
                longer = f"un{term.text.lower()}ly"
                yield edge(
                    f"{before} {longer} {after}.", inside, f'a text with the word "{longer}"', f"one with {quoted}"
                )
        case TermRole.START:
            text = f"{asked} {before.lower()} {after}."
            yield edge(text, inside, f"a text that starts with {quoted}", "one that has it in the middle")
        case TermRole.END:
            text = f"{before}{asked}" if term.noun == "mark" else f"{without} {asked}"
            for more in (f"{text} {before}.", f"{text}\n{before}."):
                yield edge(text, more, f"a text that ends with {quoted}", "one that goes on after it")


def _name_line(term: Term) -> Iterator[Edge]:
    """Yield a text in which the right line starts with what is asked for, or is it, beside one where another does."""
    asked, quoted = term.text.strip(), f'"{term.text}"'
    edge = partial(Edge, FindingReason.ASKED_TEXT)
    first, second = "Rain fell on small farms.", "Old dogs slept by an open gate."
    match term.role:
        case TermRole.ANY_LINE:
            texts = f"{first}\n{asked} {second}", f"{first} {asked} {second}"
            yield edge(*texts, f"a text with a line that starts with {quoted}", "one that has it inside a line")
        case TermRole.FIRST_LINE:
            texts = f"{asked} {first}\n{second}", f"{first}\n{asked} {second}"
            yield edge(*texts, f"a text whose first line starts with {quoted}", "one whose second line does")
        case TermRole.LAST_LINE:
            texts = f"{first}\n{asked} {second}", f"{asked} {second}\n{first}"
            yield edge(*texts, f"a text whose last line starts with {quoted}", "one whose first line does")
        case TermRole.WHOLE_LAST_LINE:
            texts = f"{first}\n{asked}", f"{first}\n{asked} {second}"
            yield edge(*texts, f"a text whose last line is {quoted}", "one that goes on after it")


def _name_letter(term: Term) -> Iterator[Edge]:
    """Yield a text with a letter beside one without it."""
    if len(term.text) != 1 or not term.text.isalpha() or term.role not in {TermRole.USE, TermRole.AVOID}:
        return
    words = [word for word in _WORDS if term.text.casefold() not in word]
    without = f"{' '.join(words[:10])}."
    with_it = f"{' '.join(words[:5])} b{term.text}b {' '.join(words[5:10])}."
    said = f'a text with the letter "{term.text}"', f'one without the letter "{term.text}"'
    if term.role is TermRole.USE:
        yield Edge(FindingReason.ASKED_TEXT, with_it, without, *said)
    else:
        yield Edge(FindingReason.ASKED_TEXT, without, with_it, *reversed(said))


def _frame(instruction: str) -> Iterator[Edge]:
    """Yield texts in small or capital letters alone, and texts in brackets, for the instructions that ask for these."""
    plain = " ".join(_SENTENCES[:2])
    edge = partial(Edge, FindingReason.ASKED_TEXT)
    if match := _LETTER_CASE.match(instruction):
        text = f"{plain} 3 cows stood by."
        if match["lower"]:
            yield edge(text.lower(), f"{text.lower()} Then rain.", "a text in lower case", "one with a capital letter")
        else:
            yield edge(
                text.upper(), f"{text.upper()} then rain.", "a text in capital letters", "one with small letters"
            )
    elif match := _WRAPPED.match(instruction):
        opening, closing = tuple(_BRACKETS[match["bracket"].lower()] if match["bracket"] else '""')
        inner = f"Rain fell {opening}on farms{closing} and hills."
        yield edge(
            f"{opening}{plain}{closing}", inner, f"a text inside {opening}{closing}", "one with words around them"
        )
