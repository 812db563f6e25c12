"""Makes plain texts with an exact number of something, beyond dispute: plain words, full stops, blank lines."""

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Final

from autoif.faults.counts import SIGNS, Count
from autoif.faults.things import THINGS

WORDS: Final = (
    "warm rain fell on small farms while old dogs slept and cows stood by an open gate then wind took dry hay up high "
    "to long hills where young men cut wood for winter but nobody came with bread or milk that night"
).split()
"""Plain words for texts that ask for nothing else; each letter is missing in some of them."""
SENTENCES: Final = (
    "Rain fell on small farms.",
    "Old dogs slept by an open gate.",
    "Wind took dry hay up to high hills.",
    "Nobody came with bread or milk.",
    "Young men cut wood for winter.",
)
_JOINTS: Final = {"sentence": " ", "line": "\n", "paragraph": "\n\n", "bullet point": "\n- "}
_OTHERS: Final = ("We ate fish.", "A cat hid.", "Sun lit Jill.", "Ducks quack.", "Max ran.")
"""For texts without something that is in the others: each letter and each word is missing in some."""
_LAST: Final = {"emojis": "Old dogs slept by a café", "ellipsis signs": "Old dogs slept by an open gate."}
"""Ends of texts that count these signs, with something that might be mistaken for one."""
WITHIN: Final = frozenset({"commas", "semicolons", "digits"})
"""Signs of which a sentence may have several."""
_QUESTIONS: Final = ("Did dogs sleep?", "Is it cold?", "Who came?")


def choose_sentences(without: str, count: int) -> list[str]:
    """Return sentences without the given text, even within a word; marks at its end don't matter."""
    bare = without.casefold().strip(" .!?")
    lacking = [each for each in (*SENTENCES, *_OTHERS) if not bare or bare not in each.casefold()]
    return list(islice(cycle(lacking), count))


def join_parts(unit: str, parts: Sequence[str]) -> str:
    """Return a text of these lines, sentences, …."""
    return ("- " if unit == "bullet point" else "") + _JOINTS[unit].join(parts)


def make_text(unit: str, count: int) -> str:
    """Return a plain text with exactly `count` of a unit of `UNITS`. Raises ValueError: it is none of these."""
    if thing := THINGS.get(unit):
        return thing.make(count)
    sentences = islice(cycle(SENTENCES), count)
    if unit in SIGNS:
        last = _LAST.get(unit, "Old dogs slept by an open gate")
        return f"Rain fell{SIGNS[unit]} " * count + last
    match unit:
        case "words":
            return f"{' '.join(islice(cycle(WORDS), count)).capitalize()}."
        case "characters":
            words = "".join(islice(cycle(" ".join(WORDS) + " "), count)).capitalize()
            return words[:-1] + "s" if words.endswith(" ") else words
        case "sentences":
            return " ".join(sentences)
        case "paragraphs":
            return "\n\n".join(sentences)
        case "lines":
            return "\n".join(sentences)
        case "numbered items":
            return "\n".join(f"{number}. {sentence}" for number, sentence in enumerate(sentences, 1))
        case "bullet points" | "list items":
            return "\n".join(f"- {sentence}" for sentence in sentences)
        case "questions":
            return " ".join([*islice(cycle(_QUESTIONS), count), SENTENCES[0]])
    raise ValueError(f"{unit!r} can't be counted")


def make_within(unit: str, count: int) -> str:
    """Return a plain sentence with exactly `count` of a thing or of a sign in `WITHIN`; for others, as `make_text`."""
    if thing := THINGS.get(unit):
        return " ".join(["Rain fell", *islice(cycle(thing.examples), count), "on small farms."])
    if unit in WITHIN:
        return f"Rain{f'{SIGNS[unit]} wind' * count} and snow came."
    return make_text(unit, count)


def repeat_text(count: Count, number: int) -> str:
    """Return a plain text that has the word, or letter, of a count `number` times."""
    words = [word for word in WORDS if count.text.casefold() not in word and word not in count.text.casefold()]
    around = "u" if count.text.casefold() == "o" else "o"
    named = f"{around}{count.text}{around}" if count.unit == "letter" else count.text
    between = cycle(words)
    parts = [next(between), *(each for _ in range(number) for each in (next(between), named)), *islice(between, 4)]
    text = " ".join(parts)
    return f"{text[0].upper()}{text[1:]}."
