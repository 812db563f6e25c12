"""Reads each clause of an instruction that asks for several things, and finds texts that keep all, or all but one.

    "Use at least 20 words and end with a question mark."
        20 words that end with "?" obey; 19 words that do, and 20 that end with ".", break

Texts for the clauses are joined and edited, and the clauses' checks tell which of the results obey what. If a clause
can't be read, no text is known to obey the whole, but a text that breaks another clause still breaks the whole.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from autoif.faults.checks import Check, Edit
from autoif.faults.wording import NOT

_STARTERS: Final = (
    r"use|include|write|end|begin|start|finish|conclude|avoid|do not|don't|never|not|mention|make sure|keep|ensure|ask"
    r"|answer|give|contain|put|add|limit|refrain|stay|leave|wrap|sign off|close|your response|your answer|each|every|no"
    r"|at least|at most|no more than|fewer than|less than|more than|exactly|must|should|it must|it should|cap|skip|omit"
)
_JOINT: Final = re.compile(
    rf"(?:,? (?:and|but)(?: also| then| please)? |[;.] (?:(?:and|also|but|then),? )?"
    rf"|, (?=using\b|each (?:\w+ing|with|of|must)\b)|,? (?=without\b))(?=(?:{_STARTERS}|using|without)\b)",
    re.IGNORECASE,
)
_MOST_CLAUSES: Final = 5
_UNSURE: Final = re.compile(
    r"\b(?:or|if|unless|except|instead|otherwise|either|neither|when|whenever|where|while|only|optional|may|can|both|not"
    r"|never|no|avoid|paragraphs?|lines?|sentences?|sections?|parts?|bullets?|items?|points?|steps?|headings?|tables?"
    r"|columns?|rows?|first|second|third|last|each|every|all|stanzas?|verses?|words?|letters?|titles?|subject"
    r"|captions?|greeting|signature)\b|n't\b",
    re.IGNORECASE,
)
"""An unread clause with one of these words may change what the other clauses mean."""
_HARMLESS: Final = re.compile(r"\b(?:in the )?(?:first|second|third) person\b", re.IGNORECASE)
"""Has one of these words and changes nothing."""
_NEGATED: Final = re.compile(rf"^(?:please )?(?:{NOT}|avoid)\b", re.IGNORECASE)
_FORBIDS: Final = re.compile(r"\b(?:no|not|never|without|avoid|refrain|skip|omit|free of)\b|n't\b", re.IGNORECASE)
_ENDS: Final = re.compile(r"^(?:please )?(?:end|finish|conclude|close|sign off)\b", re.IGNORECASE)
_VERB: Final = re.compile(r"^(?:use|include|write|end|begin|start|finish|mention|ask|put|add)\b", re.IGNORECASE)
_PRONOUN: Final = re.compile(
    r"^(?P<before>.*?\bin )?each(?: one)?(?: of (?:them|these|which))?"
    r"(?: (?P<with>with|having|containing|of))?(?=[ .]|$)",
    re.IGNORECASE,
)
"""Stands for what an earlier clause counts, as in "write 3 lines; each must have 5 words"."""
_USING: Final = re.compile("without using ", re.IGNORECASE)
_PREFIXES: Final = ("", "Use ", "Write ", "Your response ")
_OF_A_SIDE: Final = 8
"""Most texts of a clause that obey, and that break, to combine with others."""
_SHOWN: Final = 3
"""Most texts that break a clause to return."""
_MARKS: Final = ".!?"
_TWO_MARKS: Final = re.compile(r"[.!?][.!?]")


@dataclass(frozen=True, slots=True)
class Clause:
    """One thing that an instruction asks for."""

    obeys: tuple[str, ...]
    """Texts that do what it asks."""
    breaks: tuple[str, ...]
    """Texts that don't."""
    check: Check | None
    edit: Edit
    unit: str = ""
    """What it counts, in the singular; "" if nothing."""
    is_of_parts: bool = False
    """Whether it speaks of each line, sentence, …"""
    is_sure: bool = True
    """Whether the check can judge texts other than these."""
    forbids: bool = False
    """Whether it forbids something; another clause may then be the exception."""


Reader = Callable[[str], Clause | None]


@dataclass(frozen=True, slots=True)
class Broken:
    """A text that breaks a clause of an instruction."""

    obeys: str | None
    """A text that keeps all clauses; None if none is known, and `breaks` may then break several."""
    breaks: str


def find_broken(instruction: str, read: Reader) -> list[Broken]:
    """Return texts that break a clause of an instruction; none if it can't be cut into clauses."""
    pieces = _JOINT.split(instruction)
    joints = [match[0] for match in _JOINT.finditer(instruction)]
    if not 2 <= len(pieces) <= _MOST_CLAUSES or _is_ambiguous(pieces, joints):
        return []
    clauses, unread = _read_all(pieces, read)
    if not clauses or any(_UNSURE.search(_HARMLESS.sub("", piece)) for piece in unread):
        return []
    if _is_subject(pieces, joints, unread):
        return []
    if any(clause.is_of_parts for clause in clauses[:-1]) and "." not in "".join(joints):
        return []
    if len(clauses) == 1:
        return [] if _has_exception(pieces, joints) else [Broken(None, text) for text in clauses[0].breaks[:_OF_A_SIDE]]
    found = list(_find_all_but_one(clauses)) if all(clause.check for clause in clauses) else []
    if not unread and (found or all(clause.is_sure for clause in clauses)):
        return found
    if _has_exception(pieces, joints):
        return []
    alone = [Broken(None, text) for clause in clauses for text in _keep_broken(clause, clauses)[:_SHOWN]]
    return [*(Broken(None, each.breaks) for each in found), *alone]


def _is_ambiguous(pieces: Sequence[str], joints: Sequence[str]) -> bool:
    """Tell whether a "not" may reach into the next clause, as in "do not start with A and end with B", or whether a
    clause follows the end, as in "end with a question and then add an emoji".
    """
    return any(
        (_NEGATED.match(piece) and joint.strip().lower() == "and" and _VERB.match(following))
        or ("then" in joint.lower() and _ENDS.match(piece))
        for piece, joint, following in zip(pieces, joints, pieces[1:], strict=False)
    )


def _is_subject(pieces: Sequence[str], joints: Sequence[str], unread: Sequence[str]) -> bool:
    """Tell whether "without" may belong to what the answer is about: "describe a world without numbers"."""
    return any(
        piece in unread and joint == " " and not _USING.match(following)
        for piece, joint, following in zip(pieces, joints, pieces[1:], strict=False)
    )


def _has_exception(pieces: Sequence[str], joints: Sequence[str]) -> bool:
    """Tell whether a clause may be the exception to another: "no line breaks, but a blank line between paragraphs"."""
    return any(
        "but" in joint.lower() and _FORBIDS.search(piece) and not _FORBIDS.search(following)
        for piece, joint, following in zip(pieces, joints, pieces[1:], strict=False)
    )


def _read_all(pieces: Sequence[str], read: Reader) -> tuple[list[Clause], list[str]]:
    """Return the clauses that can be read, in order, and the pieces that can't."""
    clauses: list[Clause] = []
    unread: list[str] = []
    for piece in pieces:
        words = piece.strip().rstrip(".!;,")
        units = [clause.unit for clause in clauses if clause.unit]
        if units and (match := _PRONOUN.match(words)):
            part = f"each {units[-1]}" + (" must have" if match["with"] else "")
            words = f"{match['before'] or ''}{part}{words[match.end() :]}"
        tried = (read(f"{prefix}{words}.") for prefix in _PREFIXES)
        clause = next((each for each in tried if each), None)
        if clause:
            clauses.append(replace(clause, forbids=bool(_FORBIDS.search(words))))
        else:
            unread.append(piece)
    return clauses, unread


def _keep_broken(clause: Clause, clauses: Sequence[Clause]) -> list[str]:
    """Return the texts that break a clause, without those that another allows where it may be the exception to it."""
    others = [each for each in clauses if clause.forbids and not each.forbids]
    return [text for text in clause.breaks if not any(_may_except(other, text, clause) for other in others)]


def _may_except(other: Clause, text: str, clause: Clause) -> bool:
    """Tell whether a clause asks for what another forbids, as this text has it: "no punctuation; end with a period"."""
    if other.check is None:
        return any(each in text for each in other.obeys)
    return other.check(text) is not False and not any(map(other.check, clause.obeys))


def _find_all_but_one(clauses: Sequence[Clause]) -> Iterator[Broken]:
    """Yield, for each clause, texts that keep all the others and break it, with one that keeps all."""
    texts = [text for text in dict.fromkeys(_write(clauses)) if not _TWO_MARKS.search(text)]
    kept = {text: tuple(clause.check(text) if clause.check else None for clause in clauses) for text in texts}
    all_kept = [text for text in texts if all(kept[text])]
    all_kept = all_kept[:: -(-len(all_kept) // _OF_A_SIDE) or 1]
    if not all_kept:
        return
    for place in range(len(clauses)):
        wanted = tuple(at != place for at in range(len(clauses)))
        broken = [text for text in texts if kept[text] == wanted]
        broken = broken[:: -(-len(broken) // _SHOWN) or 1]
        for number in range(max(len(broken), len(all_kept)) if broken else 0):
            yield Broken(all_kept[number % len(all_kept)], broken[number % len(broken)])


def _write(clauses: Sequence[Clause]) -> Iterator[str]:
    """Yield many texts, which keep some clauses and break others."""
    sides = [[*clause.obeys[:_OF_A_SIDE], *clause.breaks[:_OF_A_SIDE]] for clause in clauses]
    edits = [clause.edit for clause in clauses]
    plain = [text for side in sides for text in side]
    for text in plain:
        yield text
        once = [each for edit in edits for each in edit(text)]
        yield from once
        for each in once:
            for edit in edits:
                yield from edit(each)
    for text in plain:
        for changed in _change(text):
            yield changed
            for edit in edits:
                yield from edit(changed)
    if len(sides) == 2:
        for one, other in product(*sides):
            yield from (f"{one}\n\n{other}", f"{one}\n{other}")
            if "\n" not in one + other:
                yield from (f"{one.rstrip(_MARKS)}. {other}", f"{one} {other}", f"{other} {one}")


def _change(text: str) -> Iterator[str]:
    """Yield a text with another mark at the end, of the text or of a line, or with a word less."""
    stem = text.rstrip(_MARKS)
    yield from (f"{stem}{mark}" for mark in ("", ".", "!", "?"))
    bare = "\n".join(line.rstrip(_MARKS) for line in text.split("\n"))
    yield from (bare, f"{bare}.")
    yield " ".join(stem.split(" ")[:-1]) + text[len(stem) :]
