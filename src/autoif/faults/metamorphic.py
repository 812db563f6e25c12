"""Makes pairs of texts that should get the same verdict, as they differ only in what nobody asked about.

    make_twins('Do not use the word "the".', ["Tea is hot."])
        "Tea is hot." and "Tea is hot. "                              a space at the end
        "Tea is hot.\\nPeople say the …" and "Tea is hot.\\nPeople say the, …"   punctuation after the word
        …

A relation holds unless the instruction speaks of what it changes: a trailing space may matter to "at most 100
characters", a comma to "use no commas". The instruction's words decide (wording.py). For an instruction that isn't in
English, only white space at the end is changed.

    | relation         | not for instructions that speak of                                              |
    |------------------|---------------------------------------------------------------------------------|
    | trailing space   | spaces, characters, lengths, tabs                                               |
    | final newline    | line breaks, blank lines, characters, lengths                                   |
    | curly quotes     | quotes, apostrophes, punctuation, characters, code, JSON, dialogue              |
    | word punctuation | punctuation, commas, marks, characters, lists; only for words that are named    |
    | letter case      | case, capitals, letters, titles, names, code; words that are named in small     |
    |                  | letters, and whole texts where words, lines, paragraphs or list items are counted |
    | another example  | applied to examples of a form, as in "such as [address]"                        |
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from autoif.faults.counts import read_count
from autoif.faults.paraphrase import cut_example
from autoif.faults.reasons import FindingReason
from autoif.faults.wording import TermRole, Topic, find_quoted, is_english, read_terms, speaks_of

_MENTIONS: Final = re.compile(
    r"\b(?:words?|phrases?|keywords?|terms?|use|include|including|mention|contain|contains|avoid|appear)\b",
    re.IGNORECASE,
)
_CODE: Final = re.compile(
    r"\b(?:json|code|python|html|xml|tags?|hashtags?|variable|function|file|url|letters?)\b|[<>{}\[\]]", re.IGNORECASE
)
_NAMED_APOSTROPHE: Final = re.compile(r"(?<!\w)[\"'“‘`]\w[^\"'’”`]{0,80}['’]\w")
"""As in 'it's late'."""
_WORD: Final = re.compile(r"[^\W\d_]+(?:[ -][^\W\d_]+){0,4}")
_CASELESS_UNITS: Final = frozenset({"words", "lines", "paragraphs", "bullet points"})
_FIRST: Final = ("\0 old men sat by it all day. ", "\0 she went up high hills. ", "\0 ")
_INSIDE: Final = ("All day they wrote \0 in big letters. ", "We saw \0 up on our hill. ", "\0 ")
"""Frames for a named word; the first that doesn't have it already is used."""
_EXAMPLE: Final = re.compile(r"(?P<open><<|\[|\{|\*{1,2}|`)(?P<words>\w+(?: \w+){0,3})(?P<close>>>|\]|\}|\*{1,2}|`)")
"""An example of a form, such as [address]."""
_TIMES: Final = (1, 2, 3, 5)
_PLAIN: Final = "Rain fell on small farms, and old dogs slept."


@dataclass(frozen=True, slots=True)
class Twin:
    """Two texts that either both obey an instruction or both break it."""

    reason: FindingReason
    one: str
    other: str
    change: str
    """What is different in `other`, as in "with a space at the end"."""


def make_twins(instruction: str, texts: Sequence[str]) -> list[Twin]:
    """Return the pairs for an instruction, each once.

    Args:
        instruction: its text.
        texts: some that obey it, most likely, and some that don't: answers, cases.
    """
    bases = [base for text in dict.fromkeys(texts) if (base := text.strip())]
    twins = list(_change_end(instruction, bases))
    if is_english(instruction):
        twins += _change_quotes(instruction, bases)
        twins += _change_words(instruction, [_PLAIN, *bases[:2]])
        twins += _change_case(instruction, bases)
        twins += _change_example(instruction)
    return [twin for twin in dict.fromkeys(twins) if twin.one != twin.other]


def _change_end(instruction: str, texts: Sequence[str]) -> Iterator[Twin]:
    for text in texts:
        if not speaks_of(instruction, Topic.SPACE):
            yield Twin(FindingReason.TRAILING_SPACE, text, f"{text} ", "with a space at the end")
        if not speaks_of(instruction, Topic.NEWLINE):
            yield Twin(FindingReason.FINAL_NEWLINE, text, f"{text}\n", "with a line break at the end")


def _change_quotes(instruction: str, texts: Sequence[str]) -> Iterator[Twin]:
    if speaks_of(instruction, Topic.QUOTES) or _NAMED_APOSTROPHE.search(instruction):
        return
    for text in texts:
        opening = re.sub(r'(^|[\s(\[])"', r"\1“", text)
        yield Twin(FindingReason.CURLY_QUOTES, text, opening.replace('"', "”").replace("'", "’"), "with curly quotes")


def _change_words(instruction: str, texts: Sequence[str]) -> Iterator[Twin]:
    """Yield texts with a word that the instruction names, beside the same texts with a comma after it or a capital."""
    named = [word for word in find_quoted(instruction) if _WORD.fullmatch(word)]
    if not named or not _MENTIONS.search(instruction) or _CODE.search(instruction):
        return
    starts = any(term.role is TermRole.START for term in read_terms(instruction))
    for word in named:
        capital = word[0].upper() + word[1:]
        frame = next(form for form in (_FIRST if starts else _INSIDE) if word.casefold() not in form.casefold())
        for text in texts:
            rest = " ".join(re.sub(rf"(?i)(?<!\w){re.escape(word)}(?!\w)", "", text).split())
            before, after = frame.split("\0")
            if not speaks_of(instruction, Topic.PUNCTUATION):
                pair = f"{before}{word}{after}{rest}", f"{before}{word},{after}{rest}"
                yield Twin(FindingReason.WORD_PUNCTUATION, *pair, f'with a comma after "{word}"')
            if word.islower() and not speaks_of(instruction, Topic.CASE):
                pair = f"{before}{word}{after}{rest}", f"{before}{capital}{after}{rest}"
                yield Twin(FindingReason.LETTER_CASE, *pair, f'with "{capital}" for "{word}"')


def _change_case(instruction: str, texts: Sequence[str]) -> Iterator[Twin]:
    count = read_count(instruction)
    if count and count.unit in _CASELESS_UNITS and not speaks_of(instruction, Topic.CASE):
        for text in texts:
            yield Twin(FindingReason.LETTER_CASE, text, text.upper(), "in capital letters")


def _change_example(instruction: str) -> Iterator[Twin]:
    """Yield texts with the example of a form, beside texts with another of this form."""
    if match := _EXAMPLE.fullmatch(cut_example(instruction)[1]):
        words = " ".join("hay" if word != "hay" else "rain" for word in match["words"].split())
        another = f"{match['open']}{words}{match['close']}"
        for times in _TIMES:
            one, other = ("\n".join([_PLAIN, *[each] * times]) for each in (match[0], another))
            yield Twin(FindingReason.ASKED_TEXT, one, other, f"with {another} for {match[0]}")
