"""Makers of texts for forms.py, as form_texts.py: forms that speak of certain words, their order and their letters."""

import re
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Final

from autoif.faults.form_texts import Pair, cross
from autoif.faults.texts import SENTENCES, WORDS, choose_sentences

_ONE, _TWO = SENTENCES[:2]
_PLAIN: Final = f"{_ONE} {_TWO}"
_MOST_TAGS: Final = 12


def make_ordered(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    if len(texts) < 2 or not all(re.fullmatch(r"[A-Za-z]+", text) for text in texts):
        return
    around = choose_sentences(" ".join(texts), len(texts))

    def write(words: Sequence[str]) -> str:
        return " ".join(f"{sentence[:-1]} {word} again." for sentence, word in zip(around, words, strict=False))

    breaking = [write(texts[::-1]), write([*texts[1:], texts[0]]), write(texts[:-1])]
    yield from cross([write(texts)], breaking, "these words in order", "another order")


def make_acrostic(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    word = (texts[0] if texts else match["word"] or "").upper()
    unit = match["unit"].lower()
    if not re.fullmatch(r"[A-Z]{3,12}", word) or word == word[::-1]:
        return

    def write(letters: str) -> str:
        lines = (f"{letter}all {sentence.lower()}" for letter, sentence in zip(letters, cycle(SENTENCES), strict=False))
        return (" " if unit == "sentence" else "\n").join(lines)

    breaking = [write(word[::-1]), write(word[:-1] + ("B" if word[-1] != "B" else "D")), f"{_ONE}\n{word}.\n{_TWO}"]
    yield from cross([write(word)], breaking, f"first letters that spell {word}", "others")


def make_different_words(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    number = int(match["n"]) + (1 if (match["more"] or "").lower() == "more than" else 0)
    if 2 <= number <= len(WORDS):
        few = [WORDS[place % (number - 1)] for place in range(2 * number)]
        yield from cross([" ".join(WORDS[:number])], [" ".join(few)], f"{number} different words", "fewer, more often")


def make_code_of(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    language = match["language"].lower()
    other = "sql" if language != "sql" else "python"
    breaking = [f"{_ONE}\n\nx = 1", f"{_ONE} It is {match['language']}.", f"{_ONE}\n\n```{other}\nx = 1\n```"]
    yield from cross([f"{_ONE}\n\n```{language}\nx = 1\n```"], breaking, f"a block of {language}", "none")


def make_last_hashtags(match: re.Match[str], texts: Sequence[str]) -> Iterator[Pair]:
    number = int(match["n"] or 1)
    if 1 <= number <= _MOST_TAGS:
        tags = [f"#{word}" for word in islice(cycle(["rain", "farm", "dogs", "hay", "milk"]), number)]
        breaking = [f"{' '.join(tags)} {_PLAIN}", " ".join([_PLAIN, *tags[:-1]])]
        yield from cross([f"{_PLAIN} {' '.join(tags)}"], breaking, f"{number} hashtags at the end", "fewer there")
