"""Reads what an instruction plainly asks of each line, sentence or paragraph, or of one of them (rules: wording.py).

read_part('Start each line with ">".')                        Marked(">", START, "line")
read_part('The second paragraph must start with "But".')      Marked("But", START, "paragraph", 2)
read_part("Each sentence must have at most ten words.")       Sized("sentence", Count(None, 10, "words"))
"""

import re
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from autoif.faults.counts import Count, read_count
from autoif.faults.texts import SENTENCES, WITHIN
from autoif.faults.things import THINGS
from autoif.faults.wording import LEAD, MARKS, MUST, NAMED, NOT, OF_ANSWER, cut_quoted

LONGEST: Final = 100
"""Sentences with more words, and paragraphs with more sentences, are not made."""
_UNIT: Final = r"(?P<unit>line|sentence|paragraph|bullet point)"
_EACH: Final = rf"(?:each|every|all(?: of)?(?: the)?) {_UNIT}s?{OF_ANSWER}"
_NTH: Final = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "last": -1, "final": -1}
_ONE: Final = rf"(?:the|your) (?P<nth>{'|'.join(_NTH)}) {_UNIT}{OF_ANSWER}"
_SOME: Final = rf"(?P<some>at least (?:1|one)(?: of (?:the|your))?) {_UNIT}s?{OF_ANSWER}"
_SUBJECT: Final = r"(?:the )?(?:(?:word|phrase|term|keyword|name|number|expression|letter) )?\0"
_STARTS: Final = "(?P<verb>start|begin|end|finish)"
_MARKED: Final = [
    re.compile(rf"^{LEAD}{form}[.!]?$", re.IGNORECASE)
    for form in (
        rf"{_EACH} (?:{MUST} )?{_STARTS}s? with{NAMED}",
        rf"{_STARTS} {_EACH} with{NAMED}",
        rf"{_EACH} {MUST} (?P<inside>contain|include|have){NAMED}",
        rf"(?P<inside>use|include|put|mention){NAMED} in {_EACH}",
        rf"(?P<inside>use|include|put|mention){NAMED} in {_ONE}",
        rf"{_ONE} {MUST} (?P<inside>contain|include|have|mention){NAMED}",
        rf"{_ONE} (?:{MUST} )?{_STARTS}s? with{NAMED}",
        rf"{_SOME} (?:{MUST} )?{_STARTS}s? with{NAMED}",
        rf"{_SOME} {MUST} (?P<inside>contain|include|have|mention){NAMED}",
        rf"{_SUBJECT} {MUST} (?P<inside>appear|occur|be) in {_EACH}",
        rf"{_SUBJECT} {MUST} (?P<inside>appear|occur|be) in {_ONE}",
        rf"{_STARTS} {_ONE} with{NAMED}",
        rf"(?P<never>{NOT}) {_STARTS} (?:an?|any) {_UNIT}{OF_ANSWER} with{NAMED}",
        rf"(?P<never>no) {_UNIT}{OF_ANSWER} (?:must|should|may|can) {_STARTS} with{NAMED}",
    )
]
_HOLDS: Final = "(?:have|has|contain|contains|consist of|be|use|include|includes)"
_SIZED: Final = re.compile(
    rf"^{LEAD}(?!all\b.*\b(?:total|altogether|overall)\b){_EACH} (?:{MUST} )?{_HOLDS}? ?(?P<size>.*)$",
    re.IGNORECASE,
)
_SIZED_ONE: Final = re.compile(rf"^{LEAD}{_ONE} {MUST} {_HOLDS} (?P<size>.*)$", re.IGNORECASE)
_NO_LARGER: Final = re.compile(
    rf"^{LEAD}(?:(?:write )?no {_UNIT}|{NOT} write(?: any| a)? (?P<other>line|sentence|paragraph)s?)"
    rf"(?: (?:must|should|may|can))?(?: be| have| contain| with| that is| that are)?"
    r" (?P<size>(?:longer|more|shorter|fewer|less) than .*)$",
    re.IGNORECASE,
)
_SIZES: Final = {
    "words": {"line", "sentence", "paragraph", "bullet point"},
    "sentences": {"paragraph", "bullet point"},
    "characters": {"line"},
}
_MARK: Final = re.compile(rf"\b(?:{'|'.join(MARKS)})\b", re.IGNORECASE)
_ENDS: Final = frozenset(".!?")
"""Of sentences."""
JOINTS: Final = frozenset(",;:")
"""What may stand within a sentence."""


class Place(Enum):
    """Where in a part a text is to stand."""

    START = auto()
    END = auto()
    INSIDE = auto()


@dataclass(frozen=True, slots=True)
class Marked:
    """A text that each part, or one of them, must start with, end with or contain."""

    text: str
    place: Place
    unit: str
    """line, sentence, paragraph or bullet point."""
    number: int = 0
    """Which part is meant, from 1; -1 is the last, 0 means each part."""
    never: bool = False
    """Whether no part may have it there."""
    some: bool = False
    """Whether one part is enough."""


@dataclass(frozen=True, slots=True)
class Sized:
    """How many words, sentences or things (things.py) each part, or one of them, must have."""

    unit: str
    count: Count
    number: int = 0
    """As in `Marked`."""


def read_part(instruction: str) -> Marked | Sized | None:
    """Return what an instruction asks of each part of a text, or of one; None unless that is plainly all it says."""
    frame, texts = cut_quoted(instruction)
    if not texts and (mark := _MARK.search(frame)):
        texts = [MARKS[mark[0].lower()]]
        frame = _MARK.sub("\0", frame)
    if len(texts) == 1:
        return next((part for form in _MARKED if (part := _read_marked(form.match(frame), texts[0]))), None)
    return _read_sized(instruction) if not texts else None


def _read_marked(match: re.Match[str] | None, text: str) -> Marked | None:
    if match is None or not text.strip():
        return None
    groups = match.groupdict("")
    unit = groups["unit"].lower()
    place = Place.INSIDE
    if verb := groups.get("verb", "").lower():
        place = Place.START if verb in {"start", "begin"} else Place.END
    if place is Place.END and unit == "sentence" and text[-1] not in _ENDS:
        return None
    if place is Place.INSIDE and not text[-1].isalnum() and text not in JOINTS:
        return None
    number = _NTH.get(groups.get("nth", "").lower(), 0)
    return Marked(text, place, unit, number, bool(groups.get("never")), bool(groups.get("some")))


def _read_sized(instruction: str) -> Sized | None:
    number = 0
    if match := _NO_LARGER.match(instruction):
        count = read_count(f"Write {match['size']}")
        if count:
            least, most = (None, count.least - 1) if count.least else (count.most + 1 if count.most else None, None)
            count = replace(count, least=least, most=most)
        unit = match["unit"] or match["other"]
    elif match := _SIZED.match(instruction):
        count, unit = _read_size(match["size"]), match["unit"]
    elif match := _SIZED_ONE.match(instruction):
        count, unit = _read_size(match["size"]), match["unit"]
        number = _NTH[match["nth"].lower()]
    else:
        return None
    if count is None or count.text or not _may_have(unit.lower(), count):
        return None
    return Sized(unit.lower(), count, number) if 0 < max(count.least or 0, count.most or 0) <= LONGEST else None


def _read_size(words: str) -> Count | None:
    return read_count(f"Write {words}") or read_count(f"Include {words}")


def _may_have(unit: str, count: Count) -> bool:
    """Tell whether parts can be made with that count; of things, only those that fit within a sentence."""
    if (thing := THINGS.get(count.unit)) is None:
        return unit in _SIZES.get(count.unit, ()) or count.unit in WITHIN
    has_end = unit == "sentence" and bool(_ENDS.intersection("".join(thing.examples)))
    is_number = thing.name.startswith("numbers")  # at its start, maybe
    return not (thing.is_block or has_end or is_number or thing.count(SENTENCES[0]))
