"""Reads the number of something that an instruction plainly asks for. The rules of wording.py hold here, too.

read_count('Write at least 40 words.')               Count(40, None, "words")
read_count("Write two or three sentences.")          Count(2, 3, "sentences")
read_count("Do not use any commas.")                 Count(None, 0, "commas")
read_count('Use the word "tea" exactly twice.')      Count(2, 2, "word", "tea")
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from autoif.faults.things import THINGS
from autoif.faults.wording import ANSWER, END, LEAD, NONE_OF, TermRole, cut_quoted, is_plain, read_role

LARGEST: Final = 500
"""Texts with more words, lines or sentences than that are not made."""
_MOST_TIMES: Final = 40
"""Texts that repeat a named text more often are not made."""

_SMALL: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS: Final = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_VALUES: Final = {word: value for value, word in enumerate(_SMALL)} | {
    word: 10 * value for value, word in enumerate(_TENS, 2)
}
_ONES: Final = "|".join(_SMALL[1:10])
_BELOW_100: Final = rf"(?:{'|'.join(_TENS)})(?:[- ](?:{_ONES}))?|{'|'.join(reversed(_SMALL))}"
_IN_WORDS: Final = re.compile(
    rf"\b(?:(?:(?P<hundreds>{_ONES}|a) )?(?P<hundred>hundred)(?:(?: and)? (?P<more>{_BELOW_100}))?"
    rf"|(?P<below>{_BELOW_100})|(?P<single>single)|(?P<times>once|twice))\b",
    re.IGNORECASE,
)

_SIGNS: Final = {
    "question marks": (r"question marks?", "?"),
    "exclamation marks": (r"exclamation (?:marks?|points?)", "!"),
    "commas": (r"commas?", ","),
    "colons": (r"colons?", ":"),
    "semicolons": (r"semicolons?", ";"),
    "hyphens": (r"hyphens?", "-off"),
    "dash signs": (r"dash(?:es)?", " - in time —"),
    "periods": (r"periods?|full stops?", "."),
    "ellipsis signs": (r"ellips[ie]s", "..."),
    "apostrophes": (r"apostrophes?", " as it's late"),
    "asterisks": (r"asterisks?", " * again"),
    "ampersands": (r"ampersands?", " & wind"),
    "percent signs": (r"percent(?:age)? (?:signs?|symbols?)", " 5% more"),
    "dollar signs": (r"dollar (?:signs?|symbols?)", " for $5"),
    "slash signs": (r"(?:forward )?slash(?:es)?", " and/or wind"),
    "emojis": (r"emojis?", " \U0001f642"),
    "digits": (r"digits?", " B7"),
    "parentheses": (r"parenthes[ie]s|round brackets", " (again)"),
    "quotation marks": (r"(?:double )?quot(?:ation|e) marks?", ' "again"'),
}
"""How instructions write them, and what stands after a word in a text that has one of them."""
SIGNS: Final = {name: written for name, (_, written) in _SIGNS.items()}
UNITS: Final = {
    "words": r"words?",
    "sentences": r"sentences?",
    "paragraphs": r"paragraphs?",
    "lines": r"lines?",
    "characters": r"characters?",
    "bullet points": r"bullet(?:ed)? (?:points?|items?)|bullets?",
    "numbered items": r"numbered (?:items?|points?|steps?)",
    "list items": r"list items?",
    **{name: wording for name, (wording, _) in _SIGNS.items()},
    "questions": r"questions?",
}
"""What can be counted, and how instructions write it."""
IN_PAIRS: Final = frozenset({"parentheses", "quotation marks", "dash signs"})
"""May be counted one by one or in pairs, or are of several kinds, so that only the number 0 is plain."""

_HOLD: Final = "(?:use|include|write|contain|have|be|ask)"
_BOUNDS: Final = (
    (rf"no (?:fewer|less) than|not (?:{_HOLD} )?(?:fewer|less|shorter) than|at least|(?:a )?minimum(?: of)?", 1, 0),
    (r"at minimum|or more", 1, 0),
    (
        rf"no (?:more|longer) than|not (?:{_HOLD} )?(?:more|longer) than|not exceed|at most|(?:a )?maximum(?: of)?",
        -1,
        0,
    ),
    (rf"up to|at maximum|within|(?:limit|restrict)(?:ed)?(?: {ANSWER})? to|or (?:fewer|less)", -1, 0),
    (r"(?:more|longer) than|over", 1, 1),
    (r"(?:fewer|less|shorter) than|under|below", -1, -1),
    (r"exactly|precisely", 0, 0),
)
"""The wording of each bound; whether its number is the least (1), the most (-1) or both (0); what to add to it."""
_NUMBER: Final = r"\d{1,3}(?:,\d{3}|\d)?"
_NAMES: Final = {name: thing.wording for name, thing in THINGS.items()} | UNITS
"""Things come first, so that "words in bold" isn't read as "words"."""
_UNIT: Final = "|".join(f"(?:{form})" for name, form in _NAMES.items() if name not in IN_PAIRS) + "|times?"
_FORM: Final = "|".join(f"(?:{_NAMES[name]})" for name in (*THINGS, *SIGNS, "questions") if name not in IN_PAIRS)
_ITEMS: Final = ("bullet points", "numbered items", "list items")
_ITEM: Final = "|".join(f"(?:{_NAMES[name]})" for name in ("sentences", "paragraphs", "lines", *_ITEMS))
_BOUND: Final = "|".join(words for words, _, _ in _BOUNDS)
_LIMITS: Final = [
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"\b(?P<one>{_BOUND}) (?P<first>{_NUMBER})(?: (?P<again>{_UNIT}))?,? (?:but|and)"
        rf" (?P<two>{_BOUND}) (?P<second>{_NUMBER})(?: (?P<unit>{_UNIT}))?\b",
        rf"\bbetween (?P<low>{_NUMBER})(?: (?P<again>{_UNIT}))? (?:and|to) (?P<high>{_NUMBER}) (?P<unit>{_UNIT})\b",
        rf"\b(?P<one>{_BOUND}) (?:a )?(?P<first>{_NUMBER}) (?P<unit>{_UNIT})\b",
        rf"\b(?P<first>{_NUMBER}) (?P<unit>{_UNIT}),? (?P<one>or (?:more|fewer|less)|at (?:least|most)|maximum)\b",
        rf"\b(?P<first>{_NUMBER}) (?P<one>or (?:more|fewer|less)) (?P<unit>{_UNIT})\b",
        r"\b(?:in|with|write|give|as|use|to)(?: only| just)?(?: a)? (?P<first>1) (?P<unit>word|sentence|paragraph"
        r"|line)(?: only)?\b",
        rf"\b(?:from )?(?P<low>{_NUMBER})(?P<joint> to | or | ?[-–] ?)(?P<high>{_NUMBER}) (?P<unit>{_UNIT})\b",
        r"(?:(?<=\buse )|(?<=\badd )|(?<=\bhave )|(?<=\bwrite )|(?<=\binclude )|(?<=\bcontain )|(?<=\bmention ))"
        rf"(?P<usual>an?|some) (?:(?:contact|valid|real|full|working|clear) )?(?P<unit>{_FORM})\b",
        r"(?:(?<=\buse )|(?<=\badd )|(?<=\bhave )|(?<=\binclude )|(?<=\bcontain )|(?<=\bmention ))"
        rf"(?P<some>{_NUMBER}) (?P<unit>{_FORM}|{_ITEM})\b",
        rf"(?P<some>{_NUMBER}) (?P<unit>times)\b",
    )
]
_FORBIDDEN: Final = (*SIGNS, "questions", *(name for name in THINGS if name != "capital letters"))
_NO_UNIT: Final = re.compile(
    rf"^{LEAD}{NONE_OF} (?P<unit>{'|'.join(f'(?:{_NAMES[name]})' for name in _FORBIDDEN)})\b",
    re.IGNORECASE,
)
_SIGN_TIMES: Final = re.compile(
    rf"^{LEAD}(?:use|include)(?: an?| the)?"
    rf" (?P<unit>{'|'.join(_NAMES[name] for name in SIGNS if name not in IN_PAIRS)}) *{END}",
    re.IGNORECASE,
)
_BLANK_LINES: Final = re.compile(
    r"(?<=paragraphs),? (?:with a blank line between (?:them|paragraphs)"
    r"|(?:separated|divided) by (?:a blank line|blank lines|two (?:newlines|new lines|line breaks)))",
    re.IGNORECASE,
)
"""Says nothing new about paragraphs, and is removed."""
_ANSWERED: Final = re.compile(r"(?:please )?(?:answer|give|go|reply|respond|write)\b", re.IGNORECASE)
"""With these verbs the response asks no questions ("answer 2 questions"), and numbers are all it has ("give 3")."""
_ALL_THERE_IS: Final = frozenset({"questions", "numbers"})
_SOME: Final = 3
_SPOKEN_OF: Final = re.compile(r"(?:please )?mention\b", re.IGNORECASE)
"""With this verb a unit may mean something else, such as periods of history: marks and sentences are written."""
_SAID_OF_A_PART: Final = re.compile(
    r"(?:please )?(?:(?:put|place) (?:the|your) (?:answer|message)|include (?:the|your|an?) \w+|\w+ the total"
    r"|of (?:the|your))\b",
    re.IGNORECASE,
)
"""The number may then be that of a part of the response, as in "put the total in one line"."""
_LETTERS: Final = 10
"""A smaller number of characters may be that of the people in a story."""
_NUMBERED_LIST: Final = re.compile(
    r"\ba numbered list (?:of|with) (?P<many>(?:\w+ ){1,4}?)(?:items?|points?)\b"
    r"(?:,? (?:numbered )?from [\"']?1[.)]?[\"']? to [\"']?\d+[.)]?[\"']?)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Count:
    """As in "at least 40 words", or "at least 3 times" of a text that is named."""

    least: int | None
    most: int | None
    unit: str
    """In the plural, as in `UNITS`; "word" or "letter" of a text that is named."""
    text: str = ""
    """What is to occur so often."""
    usual: int = 0
    """A number that obeys beyond dispute where the words are vague: "a" may mean exactly one, "some" more than one,
    "three" at least three. 0 where they are precise.
    """

    def allows(self, number: int) -> bool | None:
        """Tell whether this number obeys; None where that is in dispute."""
        if self.usual and number != self.usual and number >= (self.least or 0):
            return None
        return (self.least is None or number >= self.least) and (self.most is None or number <= self.most)


def read_count(instruction: str) -> Count | None:
    """Return the number, or range, that an instruction asks for; None unless that is plainly all that it says."""
    instruction = _NUMBERED_LIST.sub(r"\g<many>numbered items", _BLANK_LINES.sub("", instruction))
    if match := _NO_UNIT.match(instruction):
        return Count(None, 0, _name_unit(match["unit"])) if is_plain(instruction[match.end() :]) else None
    frame, texts = cut_quoted(instruction)
    found = _find_limits(put_digits(frame))
    if found is None:
        return None
    count, rest = found
    if count.unit == "times":
        if not texts and (match := _SIGN_TIMES.match(rest)):
            named = replace(count, unit=_name_unit(match["unit"]))
            return named if max(count.least or 0, count.most or 0) <= LARGEST else None
        return _name_text(count, rest, texts)
    if texts or not is_plain(rest) or _SAID_OF_A_PART.match(rest.strip()):
        return None
    if (count.unit in _ALL_THERE_IS and _ANSWERED.match(rest)) or (count.unit not in THINGS and _SPOKEN_OF.match(rest)):
        return None
    smallest, largest = (1, LARGEST) if count.unit != "characters" else (_LETTERS, 10 * LARGEST)
    return count if smallest <= max(count.least or 0, count.most or 0) <= largest else None


def put_digits(words: str) -> str:
    """Write numbers in digits: "twenty-five" becomes 25, "a hundred and ten" 110, "twice" 2 times."""

    def spell(match: re.Match[str]) -> str:
        if match["times"]:
            return "1 times" if match["times"].lower() == "once" else "2 times"
        hundreds = _VALUES.get((match["hundreds"] or "").lower(), 1) if match["hundred"] else 0
        words = (match["more"] or match["below"] or "").lower()
        return (
            "1" if match["single"] else str(100 * hundreds + sum(_VALUES[each] for each in re.findall(r"\w+", words)))
        )

    return _IN_WORDS.sub(spell, words)


def _find_limits(words: str) -> tuple[Count, str] | None:
    """Return the number, or range, that words ask for, and the words around it; None if there is none."""
    for form in _LIMITS:
        if match := form.search(words):
            groups = {name: text for name, text in match.groupdict().items() if text}
            units = {_name_unit(groups[name]) for name in ("unit", "again") if name in groups}
            rest = f"{words[: match.start()]} {words[match.end() :]}"
            if "usual" in groups:
                usual = _SOME if groups["usual"].lower() == "some" else 1
                return Count(1, None, units.pop(), usual=usual), rest
            if "some" in groups:
                if re.search(rf"\b(?:{_BOUND})\b", rest):
                    return None
                number = _read_number(groups["some"])
                return Count(number, None, units.pop(), usual=number), rest
            bounds = [_read_bound(groups.get("one", "exactly"), groups["first"])] if "first" in groups else []
            bounds += [_read_bound(groups["two"], groups["second"])] if "two" in groups else []
            least = [low for low, _ in bounds if low is not None] or [
                _read_number(groups[name]) for name in groups if name == "low"
            ]
            most = [high for _, high in bounds if high is not None] or [
                _read_number(groups[name]) for name in groups if name == "high"
            ]
            again = re.search(rf"\b(?:{_BOUND})\b", rest)
            if len(units) != 1 or len(least) > 1 or len(most) > 1 or again or (least and most and least > most):
                return None
            if groups.get("joint") == " or " and least[0] + 1 != most[0]:
                return None
            if "two" not in groups and groups.get("one", "").lower() == "over" and not units <= {"words", "characters"}:
                return None
            return Count(next(iter(least), None), next(iter(most), None), units.pop()), rest
    return None


def _read_bound(words: str, number: str) -> tuple[int | None, int | None]:
    """Return the least and the most that a bound with its number allows."""
    side, step = next((side, step) for form, side, step in _BOUNDS if re.fullmatch(form, words, re.IGNORECASE))
    value = _read_number(number) + step
    return value if side >= 0 else None, value if side <= 0 else None


def _read_number(digits: str) -> int:
    return int(digits.replace(",", ""))


def _name_text(count: Count, frame: str, texts: list[str]) -> Count | None:
    """Return the count of the text that an instruction names; None unless it says no more than that."""
    role, noun = read_role(re.sub(r" (?=[.!]?$)", "", " ".join(frame.split())))
    if len(texts) != 1 or not re.fullmatch(r"[^\W_](?:[\w' -]*[^\W_])?", texts[0]):
        return None
    unit = "letter" if len(texts[0]) == 1 and noun in {"letter", "character"} else "word"
    least, most = count.least, count.most
    if role is TermRole.AVOID:
        if count.usual:
            return None
        least, most = None, least - 1 if least and most is None else None
    elif role is not TermRole.USE:
        return None
    named = Count(least, most, unit, texts[0], count.usual)
    return named if (least or most is not None) and max(least or 0, most or 0) <= _MOST_TIMES else None


def _name_unit(words: str) -> str:
    return next((name for name, form in _NAMES.items() if re.fullmatch(form, words, re.IGNORECASE)), "times")
