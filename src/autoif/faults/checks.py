"""Checks whether a text obeys what was read from an instruction, and edits that make it obey; for generated texts.

A check returns None where two ways of counting differ: functions are tried only on texts that are beyond dispute.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from autoif import vocabulary
from autoif.faults.counts import SIGNS, Count
from autoif.faults.parts import Marked, Place, Sized
from autoif.faults.texts import make_within
from autoif.faults.things import THINGS
from autoif.faults.wording import Term, TermRole, is_closing

Check = Callable[[str], bool | None]
Edit = Callable[[str], Iterator[str]]

_WAYS: Final[dict[str, tuple[Callable[[str], int], Callable[[str], int]]]] = {
    "words": (lambda text: len(vocabulary.get_words(text)), lambda text: len(text.split())),
    "sentences": (lambda text: len(vocabulary.get_sentences(text)), lambda text: len(re.findall(r"[.!?]+", text))),
    "paragraphs": (lambda text: len(vocabulary.get_paragraphs(text)), lambda text: len(text.split("\n\n"))),
    "lines": (lambda text: len(vocabulary.get_lines(text)), lambda text: len(text.split("\n"))),
    "characters": (len, lambda text: len(text.strip())),
    "bullet points": (lambda text: len(vocabulary.get_bullets(text)), lambda text: len(text.split("\n"))),
    "numbered items": (lambda text: len(vocabulary.get_numbered(text)), lambda text: len(text.split("\n"))),
    "list items": (lambda text: len(vocabulary.get_bullets(text)), lambda text: len(text.split("\n"))),
    "questions": (
        lambda text: sum(each.endswith("?") for each in vocabulary.get_sentences(text)),
        lambda text: text.count("?"),
    ),
    "emojis": (lambda text: len(vocabulary.get_emojis(text)), lambda text: len(vocabulary.get_emojis(text))),
    "hyphens": (lambda text: text.count("-"), lambda text: text.count("-")),
}
"""Two ways to count each unit; a text is only used where they agree on the verdict."""
_CUTS: Final[dict[str, Callable[[str], list[str]]]] = {
    "line": vocabulary.get_lines,
    "sentence": vocabulary.get_sentences,
    "paragraph": vocabulary.get_paragraphs,
    "bullet point": vocabulary.get_bullets,
}


def check_count(count: Count) -> Check:
    """Return a check that a text has the asked number of something."""

    def check(text: str) -> bool | None:
        if count.text:
            return count.allows(
                (vocabulary.count_letter if count.unit == "letter" else vocabulary.count_word)(text, count.text)
            )
        if thing := THINGS.get(count.unit):
            return count.allows(thing.count(text))
        if ways := _WAYS.get(count.unit):
            one, other = (count.allows(way(text)) for way in ways)
            return one if one == other else None
        return count.allows(text.count(SIGNS[count.unit].strip())) if len(SIGNS[count.unit]) == 1 else None

    return check


def check_terms(terms: Sequence[Term]) -> Check:
    """Return a check that a text has, or lacks, the named texts where they belong."""

    def check(text: str) -> bool | None:
        found = [_find(term, text) for term in terms]
        if None in found:
            return None
        return any(found) if terms[0].role is TermRole.START else all(found)

    return check


def _find(term: Term, text: str) -> bool | None:
    """Tell whether a text obeys a term; None if it has something like the named text, or has it elsewhere."""
    asked, lower = term.text.strip(), text.casefold()
    match term.role:
        case TermRole.USE | TermRole.AVOID:
            if asked.casefold() not in lower:
                return term.role is TermRole.AVOID
            whole = re.search(rf"(?<!\S){re.escape(asked)}(?![\w-])", text)
            return (term.role is TermRole.USE) if whole or len(asked) == 1 else None
        case TermRole.START:
            if not lower.strip().startswith(asked.casefold()):
                return False
            return True if text.startswith(asked) and not text[len(asked) :][:1].isalnum() else None
        case TermRole.END:
            bare = text.strip()
            if asked[0].isalnum() and bare.endswith(asked) and bare[: -len(asked)][-1:].isalnum():
                return None
            if is_closing(asked) and asked.casefold() in lower and not bare.endswith(asked):
                return None
            if not bare.casefold().rstrip(".!?").endswith(asked.casefold().rstrip(".!?")) and asked[-1].isalnum():
                return False
            return bare.endswith(asked) if bare.endswith(asked) or not asked[-1].isalnum() else None
    return None


def check_part(part: Marked | Sized) -> Check:
    """Return a check that each part of a text, or one of them, is as it must be."""

    def check(text: str) -> bool | None:
        parts = _CUTS[part.unit](text)
        if not parts:
            return None
        if isinstance(part, Sized):
            found = [check_count(part.count)(each) for each in parts]
            if part.number:
                return _choose(found, part.number)
            return None if None in found else all(found)
        had = [_has(part, each) for each in parts]
        if part.number:
            return _choose(had, part.number)
        if part.some:
            return any(had)
        return not any(had) if part.never else all(had)

    return check


def _choose(found: Sequence[bool | None], number: int) -> bool | None:
    """Return what was found for the part that is meant; None if there is no such part."""
    place = number - 1 if number > 0 else len(found) - 1
    return found[place] if place < len(found) else None


def _has(part: Marked, piece: str) -> bool:
    text, piece = part.text.strip().casefold(), piece.strip().casefold()
    match part.place:
        case Place.START:
            return piece.startswith(text)
        case Place.END:
            return piece.endswith(text)
        case Place.INSIDE:
            return vocabulary.count_word(piece, text) > 0 if text[0].isalnum() else text in piece


def check_case(lower: bool) -> Check:
    """Return a check that a text has no capital letters, or no small ones."""
    return lambda text: text == (text.lower() if lower else text.upper()) if any(map(str.isalpha, text)) else None


def edit_terms(terms: Sequence[Term]) -> Edit:
    """Return an edit that puts the named texts into a text, in addition to its words or in place of as many."""

    def edit(text: str) -> Iterator[str]:
        asked = " ".join(term.text.strip() for term in terms)
        if terms[0].role is TermRole.START:
            asked = terms[0].text.strip()
        words, size = text.split(" "), len(asked.split())
        match terms[0].role:
            case TermRole.START:
                yield f"{asked} {text}"
                yield " ".join([asked, *words[size:]])
            case TermRole.END if not any(map(str.isalnum, asked)):
                yield f"{text.rstrip('.!?')}{asked}"
            case TermRole.END if is_closing(asked):
                yield f"{text}\n\n{asked}"
            case TermRole.END:
                yield f"{text} {asked}"
                yield " ".join([*words[:-size], asked])
            case TermRole.USE:
                yield " ".join([*words[:1], asked, *words[1:]])
                yield " ".join([*words[:1], asked, *words[1 + size :]])

    return edit


def edit_case(lower: bool) -> Edit:
    """Return an edit that puts a text in small letters, or in capitals."""

    def edit(text: str) -> Iterator[str]:
        yield text.lower() if lower else text.upper()

    return edit


def edit_part(part: Marked | Sized) -> Edit:
    """Return an edit that makes each paragraph, line or bullet point of a text as it must be."""

    def edit(text: str) -> Iterator[str]:
        joint = {"paragraph": "\n\n", "line": "\n", "bullet point": "\n"}.get(part.unit)
        if joint is None or part.number:
            return
        pieces = text.split(joint)
        if isinstance(part, Sized):
            size = part.count.least or part.count.most or 0
            start = "- " if part.unit == "bullet point" else ""
            yield joint.join([start + make_within(part.count.unit, size)] * len(pieces))
            return
        if part.never or part.some:
            return
        match part.place:
            case Place.END:
                yield joint.join(f"{piece.rstrip('.!?')}{part.text}" for piece in pieces)
            case Place.START:
                yield joint.join(f"{part.text} {piece}" for piece in pieces)
            case Place.INSIDE:
                yield joint.join(
                    " ".join([*piece.split(" ")[:2], part.text, *piece.split(" ")[2:]]) for piece in pieces
                )

    return edit


def edit_nothing(text: str) -> Iterator[str]:
    """Yield nothing: the edit for instructions that no edit can make a text obey."""
    yield from ()
