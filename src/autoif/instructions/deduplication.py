"""Folding instructions that say the same (§3.2: "seeds and rewrites, de-duplicated").

    exact        the same text
    normalised   the same but for case, punctuation at the ends, white space, typographic quotes and a polite opening
    near         the same numbers, quoted parts, single letters and negations, and wording at least `similarity` alike

"Use exactly three bullets" and "Use exactly four bullets" differ in one word and mean different things, so words that
carry the meaning of a constraint must be equal; only the rest is compared by similarity. Which words those are is known
of English alone, so instructions in another script are folded by the first two forms only.

# Deviation: the paper names no measure, the released code none but equality (docs/method.md#self-instruct).
"""

import re
import unicodedata
from collections.abc import Sequence

from rapidfuzz import fuzz

from autoif.language import LATIN, main_scripts
from autoif.records import Dropped, Instruction, Reason

STAGE = "self_instruct"

_QUOTES = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "„": '"', "«": '"', "»": '"', "–": "-", "—": "-"})
_OPENING = re.compile(r"^(?:please|kindly|you must|you should|make sure (?:to|that)|ensure that|be sure to)\s+")
_WORD = re.compile(r"\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)|[\w'-]+|[^\w\s]")
_NUMBER_WORDS = frozenset(
    """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand once twice thrice
    single double triple pair first second third fourth fifth last final half every each odd even prime
    """.split()
)
_MEANING_WORDS = frozenset(
    """
    no not never none without avoid exclude except only exactly least most more less fewer under over above below
    before after begin begins start starts end ends ending uppercase lowercase capital capitalised capitalized upper
    lower comma commas period periods exclamation question colon semicolon dash hyphen hyphens asterisk vowel vowels
    consonant consonants word words letter letters character characters sentence sentences line lines paragraph
    paragraphs bullet bullets numbered title heading json markdown html xml yaml csv table bold italic bracket
    brackets parentheses quotes digit digits number numbers alphabetical reverse palindrome emoji emojis repeat
    """.split()
)


def fold_duplicates(instructions: Sequence[Instruction], similarity: float) -> tuple[list[Instruction], list[Dropped]]:
    """Keep the first of those that say the same; tell of each other one what it was folded into.

    Args:
        instructions: in order of precedence (seeds first).
        similarity: 0 to 100, from which wordings are alike (a ratio of edits, insensitive to the order of words).
    """
    exact: dict[str, Instruction] = {}
    normalised: dict[str, Instruction] = {}
    alike: dict[tuple[str, ...], list[tuple[str, Instruction]]] = {}
    dropped = []
    for instruction in instructions:
        form = normalise(instruction.text)
        group = alike.setdefault(_meaning(form), []) if main_scripts([form]) <= LATIN else []
        if instruction.text in exact:
            dropped.append(_fold(instruction, exact[instruction.text], Reason.DUPLICATE_EXACT))
        elif form in normalised:
            dropped.append(_fold(instruction, normalised[form], Reason.DUPLICATE_NORMALISED))
        elif near := next((kept for other, kept in group if fuzz.token_sort_ratio(form, other) >= similarity), None):
            dropped.append(_fold(instruction, near, Reason.DUPLICATE_NEAR))
        else:
            exact[instruction.text] = normalised[form] = instruction
            group.append((form, instruction))
    return list(exact.values()), dropped


def normalise(text: str) -> str:
    """Return the form in which two instructions are the same for a reader."""
    form = unicodedata.normalize("NFKC", text).translate(_QUOTES)
    form = " ".join(_lower_outside_quotes(form).split())
    return _OPENING.sub("", form).strip(" .!;:。！；：")


def _lower_outside_quotes(text: str) -> str:
    """Lower the case of all but the quoted parts: 'a' and 'A' may be what an instruction is about."""
    return re.sub(r"\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)|[^\"']+|['\"]", _lower_unless_quoted, text)


def _lower_unless_quoted(match: re.Match[str]) -> str:
    part = match[0]
    return part if len(part) > 1 and part[0] in "\"'" else part.lower()


def _meaning(form: str) -> tuple[str, ...]:
    """Return the words of a constraint that change what it demands, sorted."""
    return tuple(sorted(word for word in _WORD.findall(form) if _carries_meaning(word)))


def _carries_meaning(word: str) -> bool:
    return (
        (len(word) == 1 and word not in ".,")
        or word[0] in "\"'"
        or any(char.isdigit() for char in word)
        or word in _NUMBER_WORDS
        or word in _MEANING_WORDS
    )


def _fold(instruction: Instruction, kept: Instruction, reason: Reason) -> Dropped:
    return Dropped.of(STAGE, reason, instruction, f"folded into {kept.id}: {kept.text}")
