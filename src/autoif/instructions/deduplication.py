"""Folding instructions that say the same (§3.2: "seeds and rewrites, de-duplicated").

    exact        the same text
    normalised   the same but for case, punctuation at the ends, white space, typographic quotes and a polite opening
    near         the same but for small words and for which part comes first, and at least `similarity` alike

"Use exactly three bullets" and "Use exactly four bullets" differ in one word and mean different things. So two
instructions are near only if, without articles and other small words, they are the same sequence of words, or the same
after a part has moved from one end to the other: "In the reply, use tea" is "Use tea in the reply". Small words are
known of English alone: instructions in another script are folded by the first two forms only.

# Deviation: the paper names no measure, the released code none but equality (docs/method.md#self-instruct).
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from rapidfuzz import fuzz, process

from autoif.language import LATIN, main_scripts
from autoif.records import Dropped, Instruction, Reason

STAGE = "self_instruct"

_QUOTES = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "„": '"', "«": '"', "»": '"', "–": "-", "—": "-"})
_QUOTED_OR_NOT = re.compile(r"\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)|[^\"']+|['\"]")
_OPENING = re.compile(r"^(?:please|kindly|you must|you should|make sure (?:to|that)|ensure that|be sure to)\s+")
_WORD = re.compile(r"\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)|[\w'-]+|[^\w\s]")
_ASKED_MARK = re.compile(r"\b(?:with|by|in|of|as|than|use|symbol|sign|mark|character) [^\w\s\"']+$")
"""A mark at the end that the instruction asks for, and that doesn't end its sentence."""
_SMALL_WORDS = frozenset(
    """
    a an the this that these those it its you your please kindly also is are be must shall should will has have do does
    of in on at for to with using
    """.split()
)
"""Words in which two instructions may differ and still ask for the same. "Was" and "did" aren't among them: they tell
the tense."""
_SAME_WORDS = {
    "anywhere": "somewhere", "longer": "long", "shorter": "short", "cannot": "not",
    "format": "form", "formatting": "form",
}  # fmt: skip
_LETTER = re.compile(r"(?<=letter )a\b|\ba(?= (?:and|or|to) )|\ba$")
"""Where "a" is a letter and not an article."""


def fold_duplicates(instructions: Sequence[Instruction], similarity: float) -> tuple[list[Instruction], list[Dropped]]:
    """Keep the first of the instructions that say the same; the others are dropped with what they were folded into.

    `similarity`, 0 to 100, is the lowest ratio of edits at which wordings are near; it ignores the order of words.
    """
    exact: dict[str, Instruction] = {}
    normalised: dict[str, Instruction] = {}
    alike: dict[tuple[str, ...], dict[str, Instruction]] = {}
    dropped = []
    for instruction in instructions:
        form = normalise(instruction.text)
        group = alike.setdefault(_demand(form), {}) if main_scripts([form]) <= LATIN else {}
        if instruction.text in exact:
            dropped.append(_fold(instruction, exact[instruction.text], Reason.DUPLICATE_EXACT))
        elif form in normalised:
            dropped.append(_fold(instruction, normalised[form], Reason.DUPLICATE_NORMALISED))
        elif (near := _find_near(form, group.keys(), similarity)) is not None:
            dropped.append(_fold(instruction, group[near], Reason.DUPLICATE_NEAR))
        else:
            exact[instruction.text] = normalised[form] = instruction
            group[form] = instruction
    return list(exact.values()), dropped


def _find_near(form: str, forms: Iterable[str], similarity: float) -> str | None:
    """Return the first of the forms that is near; the caller passes only those with the same demand, which are few."""
    alike = process.extract_iter(form, forms, scorer=fuzz.token_sort_ratio, score_cutoff=similarity)
    return next((other for other, *_ in alike), None)


def normalise(text: str) -> str:
    """Return a normal form, which two instructions share if a reader takes them for the same."""
    form = unicodedata.normalize("NFKC", text).translate(_QUOTES)
    form = " ".join(_QUOTED_OR_NOT.sub(_lower_unless_quoted, form).split())
    form = _OPENING.sub("", form).lstrip(" .!;:。！；：")
    return form if _ASKED_MARK.search(form) else form.rstrip(" .!;:。！；：")


def _lower_unless_quoted(match: re.Match[str]) -> str:
    """Leave the case of a quoted part: 'a' and 'A' may be what an instruction is about."""
    part = match[0]
    return part if len(part) > 1 and part[0] in "\"'" else part.lower()


def _demand(form: str) -> tuple[str, ...]:
    """Return the words that say what is asked for: of all their rotations, the first in alphabetical order."""
    form = _LETTER.sub('"a"', form)
    words = [
        demanded
        for match in _WORD.finditer(form)
        if (demanded := _read_word(match[0], form[max(match.start() - 1, 0) : match.start()]))
    ]
    return tuple(min((words[at:] + words[:at] for at in range(len(words))), default=words))


def _read_word(word: str, before: str) -> str:
    """Return the normal form of a word, "" if it changes no demand; `before` is the character before it."""
    if word in _SMALL_WORDS or (word in ".," and (before.isalnum() or before in "\"')]")):
        return ""
    return "not" if word.endswith("n't") else _SAME_WORDS.get(word, word)


def _fold(instruction: Instruction, kept: Instruction, reason: Reason) -> Dropped:
    return Dropped.of(STAGE, reason, instruction, f"folded into {kept.id}: {kept.text}")
