"""What the words of an instruction plainly say: a number to keep to, a text to use or to avoid, what they speak of.

    read_count('Write at least 40 words.')              Count(AT_LEAST, 40, "words")
    read_term('Do not use the word "the".')             Term("the", AVOID, "word")
    speaks_of("End with a comma.", Topic.PUNCTUATION)   True

Only instructions that say one thing in plain English are read: every word around the number or the quoted text must be
one that changes nothing ("your", "response", "please"). What is not understood is None, and nothing is concluded.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

_NUMBERS: Final = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty".split()
    )
} | {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "eighty": 80, "hundred": 100, "single": 1}  # fmt: skip
LARGEST: Final = 500
"""Texts with more words, lines or sentences than that are not made."""


class Bound(Enum):
    """How a number is to be kept to."""

    AT_LEAST = auto()
    AT_MOST = auto()
    EXACTLY = auto()


@dataclass(frozen=True, slots=True)
class Count:
    """As in "at least 40 words"."""

    bound: Bound
    number: int
    unit: str
    """In the plural, as in `UNITS`."""

    def allows(self, number: int) -> bool:
        """Tell whether so many obey."""
        if self.bound is Bound.EXACTLY:
            return number == self.number
        return number >= self.number if self.bound is Bound.AT_LEAST else number <= self.number


class TermRole(Enum):
    """What is to be done with a text that an instruction names."""

    USE = auto()
    AVOID = auto()
    START = auto()
    END = auto()
    ANY_LINE = auto()
    """Some line starts with it; likewise the next two."""
    FIRST_LINE = auto()
    LAST_LINE = auto()
    WHOLE_LAST_LINE = auto()


@dataclass(frozen=True, slots=True)
class Term:
    """As in `the word "perhaps"`."""

    text: str
    role: TermRole
    noun: str
    """What the instruction calls it: "word", "phrase", "letter", …; "" if it says nothing."""


class Topic(Enum):
    """What an instruction may speak of; its value finds the words that do."""

    SPACE = r"space|spacing|indent|\btabs?\b|trailing|character|length|symbols\b|byte|\bascii\b"
    NEWLINE = r"new ?lines?\b|line ?breaks?|blank|empty line|trailing|character|length|byte|carriage"
    QUOTES = (
        r"quot|apostrophe|contraction|punctuation|\bascii\b|special|symbol|json|\bcode|python|csv|html|xml|yaml|dialog"
        r"|speech|character|letter|alphanumeric|unicode|keyboard|possessive|palindrom|mark|verbatim|length|byte"
    )
    PUNCTUATION = r"punctuat|comma|symbol|character|mark|letter|special|verbatim|length|list|csv|json|only"
    CASE = (
        r"case|capital|upper|lower|\bcaps\b|title|acronym|abbreviat|initial|proper noun|letter|json|\bcode|html|xml|tag"
        r"|roman|exact(?!ly)|verbatim|as written|name|sentence|character|palindrom|url|link|mail|symbol|consonant|vowel"
    )


_TOPICS: Final = {topic: re.compile(topic.value, re.IGNORECASE) for topic in Topic}
_QUOTED: Final = re.compile(r'"([^"\n]+)"|“([^“”\n]+)”|(?<!\w)[\'‘]([^\'‘’\n]+)[\'’](?!\w)|`([^`\n]+)`')
_ENGLISH: Final = re.compile(
    r"\b(the|your|of|with|and|not|at|use|write|include|answer|respond|response|reply|must|should|each|every|no|words)\b",
    re.IGNORECASE,
)
_PLAIN: Final = frozenset(
    "a all altogether an and answer answers any anywhere are as at be by completely compose composed comprise consist "
    "consists contain containing contains craft deliver do does else ensure entire for form full generate give go has "
    "have how in include included includes including into is it its keep least length limit limited long make makes "
    "making message mention must need needs of output overall please produce provide put reply respond response "
    "restrict result shall should so somewhere sure text that the there this to total up use used uses using whole "
    "will with within write written you your once times".split()
)
_BOUNDS: Final = (
    (r"no (?:fewer|less) than|not (?:fewer|less) than|at least|(?:a )?minimum of|at minimum", Bound.AT_LEAST, 0),
    (r"no more than|not more than|at most|(?:a )?maximum of|up to|at maximum", Bound.AT_MOST, 0),
    (r"not (?:(?:use|include|write|contain) more than|exceed)", Bound.AT_MOST, 0),
    (r"more than|over", Bound.AT_LEAST, 1),
    (r"fewer than|less than|under|below", Bound.AT_MOST, -1),
    (r"exactly|precisely", Bound.EXACTLY, 0),
)
UNITS: Final = {
    "words": r"words?",
    "sentences": r"sentences?",
    "paragraphs": r"paragraphs?",
    "lines": r"lines?",
    "characters": r"characters?",
    "bullet points": r"bullet(?:ed)? (?:points?|items?)|bullets?",
    "question marks": r"question marks?",
    "exclamation marks": r"exclamation (?:marks?|points?)",
    "commas": r"commas?",
    "colons": r"colons?",
    "semicolons": r"semicolons?",
    "hyphens": r"hyphens?|dash(?:es)?",
    "numbered items": r"numbered (?:items?|points?)",
}
"""What can be counted, and how instructions write it."""
_NUMBER: Final = rf"(?P<number>\d{{1,3}}|{'|'.join(_NUMBERS)})"
_UNIT: Final = "|".join(f"(?:{pattern})" for pattern in UNITS.values())
_COUNTS: Final = [
    (re.compile(rf"\b(?:{words})\s+(?:a )?{_NUMBER}\s+(?P<unit>{_UNIT})\b", re.IGNORECASE), bound, step)
    for words, bound, step in _BOUNDS
]
_COUNTS_BEHIND: Final = (
    (re.compile(rf"\b{_NUMBER}\s+(?P<unit>{_UNIT})\s+or more\b", re.IGNORECASE), Bound.AT_LEAST, 0),
    (re.compile(rf"\b{_NUMBER}\s+(?P<unit>{_UNIT})\s+or (?:fewer|less)\b", re.IGNORECASE), Bound.AT_MOST, 0),
)  # fmt: skip
_NONE_OF: Final = re.compile(
    rf"^(?:please )?(?:(?:do not|don't|never) (?:use|include)|avoid(?: using)?)(?: any)? (?P<unit>{_UNIT})\b",
    re.IGNORECASE,
)
_BLANK_LINES: Final = re.compile(
    r"(?<=paragraphs),? (?:with a blank line between (?:them|paragraphs)"
    r"|(?:separated|divided) by (?:a blank line|blank lines|two (?:newlines|new lines|line breaks)))",
    re.IGNORECASE,
)
"""Says nothing new of paragraphs."""
_NUMBERED_LIST: Final = re.compile(
    r"\ba numbered list (?:of|with) (?P<many>(?:\w+ ){1,4}?)(?:items?|points?)\b"
    r"(?:,? (?:numbered )?from [\"']?1[.)]?[\"']? to [\"']?\d+[.)]?[\"']?)?",
    re.IGNORECASE,
)
_NEGATION: Final = re.compile(r"\b(?:not|never|no|without|n't|avoid|refrain|omit|exclude)\b|n't\b", re.IGNORECASE)
_ANSWER: Final = r"(?:your|the) (?:(?:entire|whole) )?(?:response|answer|reply)"
_OF_ANSWER: Final = rf"(?: (?:of|in) {_ANSWER})?"
_MUST: Final = "(?:must|should)"
_NAMED: Final = r"(?: the| a)?(?: (?P<noun>\w+))? \0"
"""What an instruction calls the text that it names, and where that stands."""
_BEGINS: Final = rf"(?:start|begin)s? with{_NAMED}"


def _find_at(verbs: str, place: str) -> str:
    """Return the pattern of what an answer starts, or ends, with."""
    return (
        rf"(?:(?:{verbs})(?: {_ANSWER})? with|{_ANSWER} {_MUST} (?:{verbs}) with"
        rf"|the {place} (?P<place>word) (?:of|in) {_ANSWER} {_MUST} be){_NAMED}"
    )


_FORMS: Final = {
    TermRole.AVOID: r"(?:(?:do not|don't|never) (?:use|include|mention|write)|avoid(?: using)?)"
    rf"{_NAMED}(?P<tail>[\w ]*)",
    TermRole.USE: rf"(?:use|include|mention){_NAMED}(?P<tail>[\w ]*)",
    TermRole.START: _find_at("start|begin", "first"),
    TermRole.END: _find_at("end|finish|conclude", "last"),
    TermRole.ANY_LINE: rf"(?:include|add|write|use) a line that {_BEGINS}",
    TermRole.FIRST_LINE: rf"(?:give {_ANSWER} a title: its|the|your) first line{_OF_ANSWER} {_MUST} {_BEGINS}",
    TermRole.LAST_LINE: rf"(?:(?:the|your) last line{_OF_ANSWER} {_MUST}"
    rf"|(?:put|add) a last line(?: at the end)? that) {_BEGINS}",
    TermRole.WHOLE_LAST_LINE: rf"(?:the|your) last line{_OF_ANSWER} {_MUST} be{_NAMED}",
}
_TERM_FORMS: Final = {role: re.compile(rf"^(?:please )?{form}[.!]?$", re.IGNORECASE) for role, form in _FORMS.items()}
_MARKS: Final = {
    "a question mark": "?", "an exclamation mark": "!", "an exclamation point": "!",
    "a period": ".", "a full stop": ".", "three dots": "...", "a colon": ":",
}  # fmt: skip
_LAST_MARK: Final = re.compile(
    rf"(?:please )?(?:(?:end|finish)(?: {_ANSWER})?|{_ANSWER} {_MUST} end) with (?P<mark>{'|'.join(_MARKS)})[.!]?$",
    re.IGNORECASE,
)


def is_english(instruction: str) -> bool:
    """Tell whether an instruction is in words that this module can read: English, nearly all in ASCII."""
    return bool(_ENGLISH.search(instruction)) and sum(map(str.isascii, instruction)) * 10 > 9 * len(instruction)


def speaks_of(instruction: str, topic: Topic) -> bool:
    """Tell whether an instruction has words of a topic; then what belongs to it may change a verdict."""
    return bool(_TOPICS[topic].search(instruction))


def find_quoted(instruction: str) -> list[str]:
    """Return the texts that stand in quotation marks or backticks, in order."""
    return [next(filter(None, match.groups())) for match in _QUOTED.finditer(instruction)]


def read_count(instruction: str) -> Count | None:
    """Return the one number that an instruction asks to keep to; None unless that is plainly all that it says."""
    instruction = _NUMBERED_LIST.sub(r"\g<many>numbered items", _BLANK_LINES.sub("", instruction))
    if match := _NONE_OF.match(instruction):
        plain = _is_plain(instruction[match.end() :])
        return Count(Bound.AT_MOST, 0, _name_unit(match["unit"])) if plain else None
    for pattern, bound, step in (*_COUNTS_BEHIND, *_COUNTS):
        match = pattern.search(instruction)
        if match is None:
            continue
        rest = f"{instruction[: match.start()]} {instruction[match.end() :]}"
        number = int(match["number"]) if match["number"].isdigit() else _NUMBERS[match["number"].lower()]
        unit = _name_unit(match["unit"])
        number += step
        if not _is_plain(rest) or not 0 < number <= (LARGEST if unit != "characters" else 10 * LARGEST):
            return None
        return Count(bound, number, unit)
    return None


def read_term(instruction: str) -> Term | None:
    """Return the one text that an instruction names to use, avoid, start or end with; None if it says more."""
    if match := _LAST_MARK.match(instruction.strip()):
        return Term(_MARKS[match["mark"].lower()], TermRole.END, "mark")
    quoted = list(_QUOTED.finditer(instruction))
    if len(quoted) != 1:
        return None
    text = next(filter(None, quoted[0].groups()))
    frame = f"{instruction[: quoted[0].start()]}\0{instruction[quoted[0].end() :]}".strip()
    for role, form in _TERM_FORMS.items():
        said = match.groupdict("") if (match := form.match(frame)) else {}
        if match and _is_plain(said.get("tail", "")):
            return Term(text, role, (said["noun"] or said.get("place", "")).lower())
    return None


def _name_unit(words: str) -> str:
    return next(name for name, form in UNITS.items() if re.fullmatch(form, words, re.IGNORECASE))


def _is_plain(words: str) -> bool:
    """Tell whether words add nothing to what an instruction asks."""
    if _NEGATION.search(words):
        return False
    return all(word in _PLAIN for word in re.findall(r"[\w'’-]+", words.lower())) and not re.search(r'[":;(“]', words)
