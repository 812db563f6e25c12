"""Reads what the words of an instruction plainly say: texts to use or to avoid, and topics.

    read_terms('Do not use the words "a" and "the".')     (Term("a", AVOID, "word"), Term("the", AVOID, "word"))
    speaks_of("End with a comma.", Topic.PUNCTUATION)     True

Only instructions that say one thing in plain English are read: every word around the number or the quoted text must be
one that changes nothing ("your", "response", "please"). Otherwise nothing is read, and nothing is concluded.
Numbers are read by counts.py, and what each line or sentence must be by parts.py.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class TermRole(Enum):
    """What is to be done with a text that an instruction names."""

    USE = auto()
    AVOID = auto()
    START = auto()
    END = auto()
    ANY_LINE = auto()
    """Some line starts with it; of the next two, the first or the last line."""
    FIRST_LINE = auto()
    LAST_LINE = auto()
    WHOLE_LAST_LINE = auto()


@dataclass(frozen=True, slots=True)
class Term:
    """As in `the word "perhaps"`."""

    text: str
    role: TermRole
    noun: str
    """What the instruction calls it, in the singular: "word", "phrase", "letter", …; "" if nothing."""


class Topic(Enum):
    """What an instruction may speak of; its value finds the words that do."""

    SPACE = r"space|spacing|indent|\btabs?\b|trailing|character|length|symbols\b|byte|\bascii\b"
    NEWLINE = r"new ?lines?\b|line ?breaks?|blank|empty line|trailing|character|length|byte|carriage"
    QUOTES = (
        r"quot|apostrophe|contraction|punctuation|\bascii\b|special|symbol|json|\bcode|python|csv|html|xml|yaml|dialog"
        r"|speech|character|letter|alphanumeric|unicode|keyboard|possessive|palindrom|mark|verbatim|length|byte"
    )
    PUNCTUATION = (
        r"punctuat|comma|symbol|character|mark|letter|special|verbatim|length|list|csv|json|only|separat|between"
        r"|followed"
    )
    CASE = (
        r"case|capital|upper|lower|\bcaps\b|title|acronym|abbreviat|initial|proper noun|letter|json|\bcode|html|xml|tag"
        r"|roman|exact(?!ly)|verbatim|as written|name|sentence|character|palindrom|url|link|mail|symbol|consonant|vowel"
    )


_TOPICS: Final = {topic: re.compile(topic.value, re.IGNORECASE) for topic in Topic}
_QUOTED: Final = re.compile(
    r'"([^"\n]+)"|“([^“”\n]+)”|(?<!\w)[\'‘]((?:[^\'‘’\n]|(?<=\w)[\'’](?=\w))+)[\'’](?!\w)|`([^`\n]+)`'
)
_BARE: Final = re.compile(
    r"(?<=\bletter )([^\W\d_])(?![\w'’])|(?:(?<=\bthe number )|(?<=\bthe digit )|(?<=\bthe year"
    r" ))\d{1,4}(?![\w%:/-]|[.,]\d| times)"
    r"|(?<=\bthe word )([^\W\d_]{2,40})(?= (?:must|should) (?:not )?(?:appear|occur)\b)",
    re.IGNORECASE,
)
"""A letter, a number or a word that is named without quotation marks."""
_ENGLISH: Final = re.compile(
    r"\b(the|your|of|with|and|not|at|use|write|include|answer|respond|response|reply|must|should|each|every|no|words"
    r"|give|ask|add|put|make|start|begin|end|finish|conclude|refrain|omit|separate|never|only|without|exactly|than"
    r"|avoid|include|don't|keep|stay|entirely|mention|such as|limit|list|leave|all|sign off|type|sentences?"
    r"|paragraphs?|letters)\b",
    re.IGNORECASE,
)
_PLAIN: Final = frozenset(
    "a all altogether an and answer answers any anywhere are as ask at be by completely compose composed comprise "
    "consist consists contain containing contains craft deliver do does else ensure entire for form full generate "
    "give go has have how in include included includes including into is it its keep least length limit limited long "
    "make makes making message mention must need needs of output overall please produce provide put reply respond "
    "response restrict result shall should so somewhere sure text that the there this to total up use used uses using "
    "whole will with within write written you your once times".split()
)
_NEGATION: Final = re.compile(r"\b(?:not|never|no|without|n't|avoid|refrain|omit|exclude)\b|n't\b", re.IGNORECASE)
_WITHIN: Final = re.compile(
    r"\b(?:include|mention)s? (?:an? |some )?(?:answer|message|output|reply|response|text)\b|\bin (?:full|long)\b",
    re.IGNORECASE,
)
"""Speaks of a text within the answer, or of a text that isn't written as it is named."""
ANSWER: Final = r"(?:your|the) (?:(?:entire|whole) )?(?:response|answer|reply|text)"
NOT: Final = rf"(?:do not|don't|never|(?:(?:you|{ANSWER}) )?(?:must|should|may|can) not|(?:you )?(?:cannot|can't))"
LEAD: Final = (
    rf"(?:please )?(?:in {ANSWER},? )?"
    r"(?:(?:make sure|be sure|remember)(?: to| that)?(?: you)? |ensure(?: that)?(?: you)? |you (?:must|should) )?"
)
"""How an instruction may begin before it says anything."""
OF_ANSWER: Final = rf"(?: (?:of|in) {ANSWER})?"
MUST: Final = "(?:must|should)"
NONE_OF: Final = (
    rf"(?:(?:{NOT}|{ANSWER} {MUST} never) (?:use|include|write|contain|have|ask|put|leave(?!(?: any| the)? questions?))"
    r"|(?:avoid|refrain from)(?: using| including| writing| asking| the use of)?(?: all)?|(?:use|include|write"
    r"|ask|contain|have) no"
    rf"|{ANSWER} {MUST} (?:(?:contain|have|include|use) no|be (?:free of|without))"
    rf"|(?:write|answer|respond|reply)(?: {ANSWER})? (?:without|with no)(?: using)?)"
    r"(?: any| the| an?| a single(?! (?:quot|line|new)))?"
)
"""How an instruction that forbids something begins."""
END: Final = rf"(?:{OF_ANSWER}(?: at all| anywhere)?|(?: at all| anywhere){OF_ANSWER})(?=[.!]?$)"
"""How an instruction that says no more ends."""
_NOUN: Final = (
    r"(?P<noun>(?:word|phrase|term|keyword|letter|character|name|expression|symbol|sign|mark|string|sequence|number|digit"
    r"|year|hashtag|emoji|acronym|abbreviation|city|country|company|brand|product|person|verb|noun|adjective|adverb"
    r"|pronoun|conjunction|preposition|contraction|idiom|saying|colou?r|placeholder{})s?)"
)
"""Nouns for texts that may stand in any sentence, unlike a title, a heading or a line. "Only" or "bold" says more."""
_NAMED: Final = (
    r"(?: (?:any|either|both|all) of)?(?: (?:the|a|these|any|both|either))?(?: following| exact)?"
    rf"(?: {_NOUN})?:?(?: either)? \0"
)
NAMED: Final = _NAMED.format("")
"""What an instruction calls the text that it names, and where that stands."""
_AT_END: Final = f"(?: exactly)?{_NAMED.format('|greeting|salutation|sentence|question|closing|label')}"
"""Likewise for a text at the start or the end of the answer, where it may stand alone."""
_BEGINS: Final = rf"(?:start|begin)s? with{NAMED}"


def _find_at(verbs: str, place: str) -> str:
    """Return the pattern for instructions that say what an answer starts, or ends, with."""
    return (
        rf"(?:(?:{verbs})(?: {ANSWER})? with|{ANSWER} {MUST} (?:{verbs}) with"
        rf"|(?:the|your) {place} (?P<place>word|letter|character){OF_ANSWER} {MUST} be){_AT_END}"
    )


_FORMS: Final = (
    (TermRole.AVOID, rf"{NOT} (?:use|include|mention|write|contain|say){NAMED}(?P<tail>[\w ]*)"),
    (TermRole.AVOID, rf"(?:avoid|refrain from)(?: using| mentioning| saying)?{NAMED}(?P<tail>[\w ]*)"),
    (TermRole.AVOID, rf"the {_NOUN.format('')} \0 {MUST} (?:not|never) (?:appear|occur|be used)(?P<tail>[\w ]*)"),
    (TermRole.USE, rf"(?:{ANSWER} {MUST} )?(?:use|include|mention|contain|incorporate){NAMED}(?P<tail>[\w ]*)"),
    (TermRole.USE, rf"the {_NOUN.format('')} \0 {MUST} (?:appear|occur|be used)(?P<tail>[\w ]*)"),
    (TermRole.START, _find_at("start|begin", "first")),
    (TermRole.END, _find_at("end|finish|conclude", "last")),
    (TermRole.ANY_LINE, rf"(?:include|add|write|use) a line that {_BEGINS}"),
    (
        TermRole.FIRST_LINE,
        rf"(?:give {ANSWER} a (?:title|heading): its|the|your) first line{OF_ANSWER} {MUST} {_BEGINS}",
    ),
    (
        TermRole.LAST_LINE,
        rf"(?:(?:(?:the|your) last line{OF_ANSWER} {MUST}|(?:put|add) a last line(?: at the end)? that) {_BEGINS}"
        r"|(?:put|write) your \w+ (?:on|in) the last line,? after the (?P<place>label) \0)",
    ),
    (TermRole.WHOLE_LAST_LINE, rf"(?:the|your) last line{OF_ANSWER} {MUST} be{_AT_END}"),
)
_TERM_FORMS: Final = [(role, re.compile(rf"^{LEAD}{form}[.!]?$", re.IGNORECASE)) for role, form in _FORMS]
_LIST: Final = re.compile(r"\0(?:(?:, ?(?:and |or |nor )?| and | or | nor )\0)+")
_UNLIKE: Final = {
    TermRole.USE: re.compile(r" or \0|\b(?:either|any)\b", re.IGNORECASE),
    TermRole.AVOID: re.compile(r"\b(?:both|all)\b", re.IGNORECASE),
    TermRole.START: re.compile(r"(?: and|,) \0", re.IGNORECASE),
}
"""Wordings by which several texts are not each asked for, forbidden, or allowed as the start, by themselves."""
LAST_WORD: Final = "last word"
"""The noun of a text that must be the last word; a full stop may follow."""
_PLURALS: Final = frozenset({"words", "phrases", "terms", "keywords", "letters", "names", "expressions"})
MARKS: Final = {
    "a question mark": "?", "an exclamation mark": "!", "an exclamation point": "!", "a period": ".",
    "a full stop": ".", "three dots": "...", "an ellipsis": "...", "a colon": ":", "a comma": ",", "a semicolon": ";",
    "a hyphen": "-", "an asterisk": "*",
}  # fmt: skip
_LAST_MARK: Final = re.compile(
    rf"(?:please )?(?:(?:(?:end|finish|conclude)(?: {ANSWER})?|{ANSWER} {MUST} end) with"
    rf"|the last character{OF_ANSWER} {MUST} be)"
    rf" (?P<mark>{'|'.join(MARKS)})[.!]?$",
    re.IGNORECASE,
)

_CLOSING: Final = re.compile(
    r"(?:(?:sincerely|regards|cheers|thanks|cordially|respectfully|faithfully|truly|yours|love|best(?: wishes)?"
    r"|warmly|kindly|wishes|with|kind|warm|warmest|kindest|very|many|all|my|and)[ ,.]*){1,6}",
    re.IGNORECASE,
)


def is_closing(text: str) -> bool:
    """Tell whether this is the closing of a letter, after which a name may follow."""
    return bool(_CLOSING.fullmatch(text))


def is_english(instruction: str) -> bool:
    """Tell whether an instruction is in words that this module can read: English, nearly all in ASCII."""
    return bool(_ENGLISH.search(instruction)) and sum(map(str.isascii, instruction)) * 10 > 9 * len(instruction)


def speaks_of(instruction: str, topic: Topic) -> bool:
    """Tell whether an instruction speaks of a topic; if so, changes of this kind may change a verdict."""
    return bool(_TOPICS[topic].search(instruction))


def find_quoted(instruction: str) -> list[str]:
    """Return the texts that stand in quotation marks or backticks, in order."""
    return [next(filter(None, match.groups())) for match in _QUOTED.finditer(instruction)]


def read_terms(instruction: str) -> tuple[Term, ...]:
    """Return the texts that an instruction names to use, avoid, start or end with; none if it says more."""
    if match := _LAST_MARK.match(instruction.strip()):
        return (Term(MARKS[match["mark"].lower()], TermRole.END, "mark"),)
    frame, texts = cut_quoted(instruction)
    role, noun = read_role(_LIST.sub("\0", frame))
    if role is None or (len(texts) > 1 and (role not in _UNLIKE or _UNLIKE[role].search(frame))):
        return ()
    return tuple(Term(text, role, noun) for text in texts)


def cut_quoted(instruction: str) -> tuple[str, list[str]]:
    """Replace each text that an instruction names by a NUL; return the result and these texts."""
    instruction = _BARE.sub(lambda match: f'"{match[0]}"', instruction)
    return _QUOTED.sub("\0", instruction).strip(), find_quoted(instruction)


def read_role(frame: str) -> tuple[TermRole | None, str]:
    """Return the role and the noun of the texts that a frame names; no role unless that is all it says."""
    for role, form in _TERM_FORMS:
        groups = match.groupdict("") if (match := form.match(frame)) else {}
        if match and is_plain(groups.get("tail", "")):
            noun = (groups["noun"] or groups.get("place", "")).lower()
            if role is TermRole.END and groups.get("place", "").lower() == "word":
                noun = LAST_WORD
            return role, noun.removesuffix("s") if noun in _PLURALS else noun
    return None, ""


def is_plain(words: str) -> bool:
    """Tell whether words add nothing to what an instruction asks."""
    if _NEGATION.search(words) or _WITHIN.search(words):
        return False
    return all(word in _PLAIN for word in re.findall(r"[\w'’-]+", words.lower())) and not re.search(r'[":;(“]', words)
