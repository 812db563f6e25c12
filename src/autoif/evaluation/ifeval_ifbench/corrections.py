"""Checkers of IFEval and IFBench that are provably wrong, and the right verdicts.

By default scores are the official program's, faults included; with --corrected these verdicts count instead. Either
way, scores.json says how many verdicts each fault decided.
"""

import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from pydantic import JsonValue

Arguments = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Correction:
    """What is wrong with a checker, and the right verdict."""

    fault: str
    check: Callable[[Arguments, str, bool], bool]
    """Takes the instruction's arguments, the response and the official verdict."""


def _count_letter(arguments: Arguments, response: str, official: bool) -> bool:
    letter, frequency = str(arguments["letter"]).strip().lower(), arguments["let_frequency"]
    if "a" <= letter <= "z":
        return official
    found = response.lower().count(letter)
    assert isinstance(frequency, int | float)
    return found < frequency if arguments["let_relation"] == "less than" else found >= frequency


def _read_nth_paragraph(arguments: Arguments, response: str, official: bool) -> bool:
    paragraphs = [each.strip() for each in response.split("\n\n") if each.strip()]
    nth, count = arguments["nth_paragraph"], arguments["num_paragraphs"]
    assert isinstance(nth, int | float)
    if len(paragraphs) != count or not 0 < nth <= len(paragraphs):
        return False
    word = paragraphs[int(nth) - 1].split()[0].lstrip("'").lstrip('"')
    return re.split(r"[.,?!'\"]", word)[0].lower() == str(arguments["first_word"]).lower()


def _read_stairs(arguments: Arguments, response: str, official: bool) -> bool:
    lines = [line for line in response.split("\n") if line.strip()]
    indents = [len(line) - len(line.lstrip(" ")) for line in lines]
    return len(lines) > 1 and all(one < two for one, two in pairwise(indents))


def _read_quotations(arguments: Arguments, response: str, official: bool) -> bool:
    text = "".join(re.sub("[“”]", '"', response).replace("'\"'", "").split())
    ends = text.strip(string.digits + string.punctuation.replace('"', "")).endswith('"')
    return official and '"' in text and '""' not in text and not ends


def _compare_span(arguments: Arguments, response: str, official: bool) -> bool:
    start, end = arguments["n_start"], arguments["n_end"]
    assert isinstance(start, int | float) and isinstance(end, int | float)
    words = str(arguments["prompt_to_repeat"]).lower().split()
    return response.lower().split() == words[int(start) : int(end) + 1]


CORRECTIONS: dict[str, Correction] = {
    "keywords:letter_frequency": Correction(
        "a letter outside a to z (keys 1122 and 1129 ask for # and !) is replaced by a random one",
        _count_letter,
    ),
    "length_constraints:nth_paragraph_first_word": Correction(
        "empty paragraphs are left out of the count, but not when the nth is looked up",
        _read_nth_paragraph,
    ),
    "language:response_language": Correction(
        "a response without any letter passes as being in the language",
        lambda arguments, response, official: official and any(character.isalpha() for character in response),
    ),
    "ratio:sentence_type": Correction(
        "a response with neither statement nor question passes: 0 is twice 0",
        lambda arguments, response, official: official and "?" in response,
    ),
    "format:line_indent": Correction(
        "a single line passes as stairs, and of several empty lines some count as steps down",
        _read_stairs,
    ),
    "format:sub-bullets": Correction(
        "a response without any bullet passes",
        lambda arguments, response, official: official and bool(re.search(r"^[^\S\n]*\*", response, re.MULTILINE)),
    ),
    "format:quote_unquote": Correction(
        "a response without any quotation passes, and the checkers of 2026 see no typographic quotation marks",
        _read_quotations,
    ),
    "repeat:repeat_span": Correction(
        "keys 284 to 287 ask for words, the last one included: of the checkers, those of 2026 count characters, and "
        "those of 2025 leave the last word out",
        _compare_span,
    ),
}
"""Corrections by type of instruction; the last five are IFBench's."""
