"""What kind of constraint an instruction is, told by its words: for sorting and counting, never for deciding.

The first line that fits counts; an instruction that fits none is "other". English words only.
"""

import re

_KINDS = (
    ("format of data", r"\b(json|xml|yaml|csv|markdown|html|latex)\b"),
    ("language", r"\b(in|into) (english|french|german|spanish|italian|chinese|japanese|russian|arabic|hindi|latin)\b"),
    ("beginning and end", r"\b(start|begin|end|finish|conclude|first word|last word|opening|closing|prefix|suffix)"),
    ("lists and layout", r"\b(bullet|list|paragraph|heading|title|section|line|table|indent|numbered|separat|row)"),
    ("letter case", r"\b(upper|lower|capital|title)[ -]?(case|letter|ise|ize)?|\ball caps\b"),
    ("punctuation and signs", r"\b(comma|period|full stop|punctuation|semicolon|colon|hyphen|dash|quot|exclamation|"
     r"question mark|symbol|emoji|asterisk|parenthes|bracket|character|letter)"),
    ("length", r"\b(at least|at most|exactly|fewer|less than|more than|between|no more|maximum|minimum|limit|within|"
     r"short|long|length|brief)\b|\b\d+[ -](words?|sentences?)\b"),
    ("words to use or avoid", r"\b(word|phrase|keyword|mention|include|avoid|use|contain|without|repeat)"),
    ("numbers", r"\b(number|digit|numeral)"),
)  # fmt: skip
_PATTERNS = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in _KINDS)
_READ_CHARACTERS = 2_000


def find_kind_of_constraint(text: str) -> str:
    """Return the kind of an instruction."""
    return next((name for name, pattern in _PATTERNS if pattern.search(text, 0, _READ_CHARACTERS)), "other")
