"""Forms whose texts need no more of an instruction than its wording, for forms.py.

Each is a phrase, texts that have the form, and texts that are near it and haven't. Numbers in the phrase are in digits,
and a NUL stands for a text in quotation marks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from autoif.faults.texts import SENTENCES
from autoif.faults.wording import ANSWER, LEAD, MUST, NOT

_ONE, _TWO = SENTENCES[:2]
_PLAIN: Final = f"{_ONE} {_TWO}"
_LINES: Final = "\n".join(SENTENCES)
_OF_ANSWER: Final = rf"(?: (?:of|in) {ANSWER})?"
_NO: Final = rf"(?:{NOT} (?:use|include)(?: any)?|avoid(?: using)?(?: any)?|use no)"
_EVER: Final = r"(?: at all| anywhere(?: in your response)?)?"
_CAPITALS: Final = r"in (?:all )?(?:capital letters|capitals|upper[- ]?case(?: letters)?|caps)"


@dataclass(frozen=True, slots=True)
class FixedForm:
    """A form that an instruction asks for by a phrase."""

    phrase: str
    """As a pattern, for any letter case."""
    obeying: Sequence[str]
    breaking: Sequence[str]
    right: str
    """What the former have, in words, as the next."""
    wrong: str


FIXED_FORMS: Final = (
    FixedForm(
        rf"^{LEAD}(?:(?:write|put|give|keep) )?{ANSWER} (?:{MUST} be )?(?:on|in) (?:a |just |only )?1 line(?: only)?",
        [_PLAIN, _ONE],
        [f"{_ONE}\n{_TWO}", f"{_ONE}\n\n{_TWO}"],
        "a text on one line",
        "one on two",
    ),
    FixedForm(
        rf"^{LEAD}(?:write|put) (?:(?:every|each|all) words? (?:of|in) |all of )?the first line{_OF_ANSWER}"
        rf" {_CAPITALS}",
        [f"RAIN FELL ON SMALL FARMS.\n{_TWO}", f"WARM HAY\n\n{_PLAIN}"],
        [f"Rain Fell On Small Farms.\n{_TWO}", f"RAIN fell on small farms.\n{_TWO}", f"{_ONE}\nOLD DOGS SLEPT."],
        "a first line in capital letters",
        "one with small letters",
    ),
    FixedForm(
        r"^(?:write|spell(?: out)?) (?:all|any|every) numbers? (?:out )?(?:as|in) words(?:,? (?:and|with) (?:use )?no"
        rf" digits{_EVER})?|^{LEAD}{_NO} (?:digits|numerals){_EVER}",
        [_PLAIN, "Seven old dogs slept by two gates."],
        ["7 old dogs slept by two gates.", "Seven old dogs slept from 2018 on."],
        "a text without digits",
        "one with them",
    ),
    FixedForm(
        rf"^{LEAD}(?:mention|include|use|name) (?:a|at least (?:1|a))"
        rf" (?:4[- ]digit year|year (?:with|of|in) 4 digits){_OF_ANSWER}",
        ["Rain fell in 1987 on small farms.", "In 2021, old dogs slept by an open gate."],
        [_PLAIN, "Rain fell in 87 on small farms."],
        "a text with a year",
        "one without",
    ),
    FixedForm(
        rf"^{LEAD}{_NO} (?:hyphens or dashes|dashes or hyphens){_EVER}",
        [_PLAIN],
        ["Rain fell on well-known farms.", "Rain fell — on small farms.", "Rain fell – on small farms."],
        "a text without dashes",
        "one with a dash",
    ),
    FixedForm(
        r"^end (?:every|each) sentence with a full stop, (?:never|not) with a question mark or an exclamation"
        r" (?:mark|point)",
        [_PLAIN],
        ["Is it cold? Rain fell.", "Rain fell. It is cold!", "It is cold! Is it cold?"],
        "sentences that end with full stops",
        "one that doesn't",
    ),
    FixedForm(
        r"^(?:place|put|include|write|use) (?:at least (?:1|a) pair|a pair) of words (?:between|in|inside)"
        r" (?:straight )?double quot(?:es|ation marks)",
        ['Rain fell "on farms" all day.', '"Old dogs" slept by an open gate.'],
        [_PLAIN, "Rain fell 'on farms' all day.", 'Rain fell "on farms all day.', 'Rain "fell" on farms all day.'],
        "two words in quotation marks",
        "none",
    ),
    FixedForm(
        rf"^(?:leave none of them (?:empty|blank)|{_NO} (?:empty|blank) lines{_EVER})",
        [f"{_LINES}\n{_LINES}"],
        [f"{_LINES}\n\n{_LINES}"],
        "lines without an empty one",
        "an empty line between them",
    ),
)
