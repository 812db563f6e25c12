"""What can be wrong with a function, found without gold: the reasons of findings, for audits and cross-validation."""

from enum import StrEnum

from autoif.records import Record


class FindingReason(StrEnum):
    """What is wrong with a function, or with what it was written and tested for."""

    # the function, on texts of every kind
    DOES_NOT_LOAD = "does_not_load"
    """It gives no `evaluate` to call."""
    VACUOUS = "vacuous"
    """It accepts nearly everything, including what breaks the instruction."""
    DEAD = "dead"
    """It refuses nearly everything, including what obeys the instruction."""
    RAISES = "raises"
    """It raises an exception on an ordinary text."""
    TOO_SLOW = "too_slow"
    """It takes too long, or too much memory."""
    # the function, on two texts that should get the same verdict
    TRAILING_SPACE = "trailing_space"
    FINAL_NEWLINE = "final_newline"
    CURLY_QUOTES = "curly_quotes"
    WORD_PUNCTUATION = "word_punctuation"
    """A comma after the word that is asked for changes the verdict."""
    LETTER_CASE = "letter_case"
    """Letter case changes the verdict, though the instruction doesn't speak of it."""
    # the function, on two texts of which one obeys the instruction and one doesn't
    THRESHOLD = "threshold"
    """The number that the instruction names makes no difference."""
    ASKED_TEXT = "asked_text"
    """What the instruction asks for or forbids by name makes no difference."""
    # the cases
    WEAK_CASES = "weak_cases"
    """Less than half of the ways to break the function are noticed by its cases."""
    # the instruction
    OBEYED_UNASKED = "obeyed_unasked"
    """Answers to other instructions obey it, too: nothing is learnt from it."""
    NO_FUNCTION_SOUND = "no_function_sound"
    """Every one of its functions has a fault."""

    @property
    def is_fault(self) -> bool:
        """Whether it makes verdicts on answers wrong, and not just maybe: answers rarely end with white space."""
        return self not in _HINTS


_HINTS = frozenset(
    {
        FindingReason.TRAILING_SPACE,
        FindingReason.FINAL_NEWLINE,
        FindingReason.WEAK_CASES,
        FindingReason.OBEYED_UNASKED,
    }
)


FOUND_BEFORE_ANSWERS = tuple(FindingReason)[1 : [*FindingReason].index(FindingReason.WEAK_CASES)]
"""Reasons that instruction, cases and probes show of a function that loads, before there are answers."""


class Finding(Record):
    """One thing that was found, with the texts that show it."""

    reason: FindingReason
    detail: str
    """In words, as in "39 words pass"."""
    texts: tuple[str, ...] = ()
    """At most three, whole."""
