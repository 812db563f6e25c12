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
_AVOID: Final = re.compile(
    r"^(?:please )?(?:(?:do not|don't|never) (?:use|include|mention|write)|avoid(?: using)?)"
    r"(?: the)?(?: (?P<noun>\w+))? \0(?P<tail>[\w ]*)[.!]?$",
    re.IGNORECASE,
)
_USE: Final = re.compile(
    r"^(?:please )?(?:use|include|mention)(?: the| a)?(?: (?P<noun>\w+))? \0(?P<tail>[\w ]*)[.!]?$", re.IGNORECASE
)
_START: Final = re.compile(
    r"^(?:please )?(?:(?:start|begin) (?:your|the) (?:entire )?(?:response|answer|reply) with"
    r"|(?:your|the) (?:response|answer|reply) (?:must|should) (?:start|begin) with"
    r"|the first (?P<first>word) (?:of|in) (?:your|the) (?:response|answer|reply) (?:must|should) be)"
    r"(?: the)?(?: (?P<noun>\w+))? \0(?P<tail>)[.!]?$",
    re.IGNORECASE,
)
_END: Final = re.compile(
    r"^(?:please )?(?:(?:end|finish|conclude) (?:your|the) (?:entire )?(?:response|answer|reply) with"
    r"|(?:your|the) (?:response|answer|reply) (?:must|should) end with"
    r"|the last (?P<last>word) (?:of|in) (?:your|the) (?:response|answer|reply) (?:must|should) be)"
    r"(?: the)?(?: (?P<noun>\w+))? \0(?P<tail>)[.!]?$",
    re.IGNORECASE,
)
_MARKS: Final = {
    "a question mark": "?", "an exclamation mark": "!", "an exclamation point": "!",
    "a period": ".", "a full stop": ".", "three dots": "...", "a colon": ":",
}  # fmt: skip
_LAST_MARK: Final = re.compile(
    r"(?:please )?(?:(?:end|finish) your (?:entire |whole )?(?:response|answer|reply)"
    rf"|your (?:response|answer|reply) (?:must|should) end) with (?P<mark>{'|'.join(_MARKS)})[.!]?$",
    re.IGNORECASE,
)
_OF_RESPONSE: Final = r"(?: (?:of|in) (?:your|the) (?:whole |entire )?(?:response|answer|reply))?"
_BEGINS: Final = r"(?:start|begin)s? with(?: the (?P<noun>\w+))? \0(?P<tail>)[.!]?$"
_ANY_LINE: Final = re.compile(rf"^(?:please )?(?:include|add|write|use) a line that {_BEGINS}", re.IGNORECASE)
_FIRST_LINE: Final = re.compile(
    rf"^(?:give your response a title: its|the|your) first line{_OF_RESPONSE} (?:must|should) {_BEGINS}",
    re.IGNORECASE,
)
_LAST_LINE: Final = re.compile(
    rf"^(?:(?:the|your) last line{_OF_RESPONSE} (?:must|should)|(?:put|add) a last line(?: at the end)? that)"
    rf" {_BEGINS}",
    re.IGNORECASE,
)
_WHOLE_LAST_LINE: Final = re.compile(
    rf"^(?:the|your) last line{_OF_RESPONSE} (?:must|should) be(?: the (?P<noun>\w+))? \0(?P<tail>)[.!]?$",
    re.IGNORECASE,
)
_TERM_FORMS: Final = (
    (_AVOID, TermRole.AVOID), (_USE, TermRole.USE), (_START, TermRole.START), (_END, TermRole.END),
    (_ANY_LINE, TermRole.ANY_LINE),
    (_FIRST_LINE, TermRole.FIRST_LINE), (_LAST_LINE, TermRole.LAST_LINE), (_WHOLE_LAST_LINE, TermRole.WHOLE_LAST_LINE),
)  # fmt: skip


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
    for form, role in _TERM_FORMS:
        if (match := form.match(frame)) and _is_plain(match["tail"]):
            nouns = match.groupdict()
            return Term(text, role, next(filter(None, map(nouns.get, ("noun", "first", "last"))), "").lower())
    return None


def _name_unit(words: str) -> str:
    return next(name for name, form in UNITS.items() if re.fullmatch(form, words, re.IGNORECASE))


def _is_plain(words: str) -> bool:
    """Tell whether words add nothing to what an instruction asks."""
    if _NEGATION.search(words):
        return False
    return all(word in _PLAIN for word in re.findall(r"[\w'’-]+", words.lower())) and not re.search(r'[":;(“]', words)
