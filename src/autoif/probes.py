"""Probes: texts of every kind that show what a function does, whatever it was written for.

    probes = load_probes()               # some 550 texts, always the same
    near = make_near_misses(text)        # the same text with one thing changed

Hand-written texts (probes.toml) in many languages, scripts and layouts, and texts put together from their sentences
with an exact number of words, sentences, lines, paragraphs, items or characters. They answer no query, and were written
before any function was measured with them.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from itertools import cycle, islice
from typing import Final

_WORDS: Final = (*range(2, 16), 20, 21, 25, 30, 40, 49, 50, 51, 75, 99, 100, 101, 150, 200, 250, 300, 400, 500)
_SENTENCES: Final = (*range(2, 11), 12, 15, 20)
_PARAGRAPHS: Final = (*range(2, 8), 10)
_LINES: Final = (*range(2, 11), 12, 14)
_ITEMS: Final = (2, 3, 5, 10)
_CHARACTERS: Final = (10, 20, 49, 50, 51, 99, 100, 101, 140, 200, 280, 500, 1000, 2000, 5000)
_BULLETS: Final = ("- ", "* ", "• ")
_ENDS: Final = (".", "!", "?", "...", ",", ":", "")
_FINAL_PUNCTUATION: Final = ".!?…,;:"
_CURLY: Final = str.maketrans({"'": "’", '"': "”"})


@cache
def load_probes() -> tuple[str, ...]:
    """Return the probes, each once, always in the same order. The first ones are short and hand-written."""
    written = tomllib.loads((resources.files("autoif") / "probes.toml").read_text(encoding="utf-8"))
    sentences: list[str] = written["sentences"]
    languages = list(written["languages"].values())
    composed = list(_compose(sentences))
    edited = [*_change_case(sentences), *_change_layout(composed[0], languages)]
    return tuple(dict.fromkeys([*written["texts"], *languages, *composed, *edited]))


def make_near_misses(text: str) -> tuple[str, ...]:
    """Return versions of a text that differ from it in one thing, each once, without the text itself.

    Some of them still follow what the text follows; the functions tell which.
    """
    bare = text.rstrip()
    stem = bare.rstrip(_FINAL_PUNCTUATION)
    words = bare.split(" ")
    lines = bare.split("\n")
    versions = [
        " ".join(words[1:]),
        " ".join(words[:-1]),
        f"{stem} again{bare[len(stem) :]}",
        f"Well, {text}",
        "\n".join(lines[1:]),
        "\n".join(lines[:-1]),
        f"{bare}\n{lines[-1]}",
        f"{bare} {bare}",
        f"{bare}\n\n{bare}",
        *(stem + end for end in _ENDS),
        text.lower(),
        text.upper(),
        text.title(),
        text.swapcase(),
        text.replace("\n", "\r\n"),
        text.replace("\n", " "),
        text.replace(" ", "\u00a0"),
        text.replace(" ", "  "),
        text.replace(" ", ""),
        text.replace(",", ""),
        text.translate(_CURLY),
        f'"{bare}"',
        f"{bare} ",
        f"{bare}\n",
        f" {text}",
        "".join(character for character in text if not character.isdigit()),
        re.sub(r"[^\w\s]", "", text),
    ]
    return tuple(version for version in dict.fromkeys(versions) if version != text)


def _compose(sentences: Sequence[str]) -> Iterator[str]:
    """Yield texts of an exact number of paragraphs, sentences, lines, items, words, and characters."""
    starts = cycle(range(0, len(sentences), 3))

    def take(count: int) -> list[str]:
        start = next(starts)
        return list(islice(cycle([*sentences[start:], *sentences[:start]]), count))

    for count in _PARAGRAPHS:
        yield "\n\n".join(" ".join(take(3)) for _ in range(count))
    for count in _SENTENCES:
        yield " ".join(take(count))
    for count in _LINES:
        yield "\n".join(take(count))
    for count in _ITEMS:
        for bullet in _BULLETS:
            yield "\n".join(bullet + sentence for sentence in take(count))
        yield "\n".join(f"{number}. {sentence}" for number, sentence in enumerate(take(count), 1))
        yield "Here is a list:\n" + "\n".join(f"{number}) {sentence}" for number, sentence in enumerate(take(count), 1))
        yield ", ".join(sentence.rstrip(".!?").split()[-1].lower() for sentence in take(count))
        yield "\n\n".join(f"## Part {number}\n\n{sentence}" for number, sentence in enumerate(take(count), 1))
        yield "\n".join(f"**{sentence.split()[0]}**: {sentence}" for sentence in take(count))
    for count in _WORDS:
        words = re.sub(r"[^\w\s]", "", " ".join(take(count))).lower().split()[:count]
        yield f"{' '.join(words).capitalize()}."
    for count in _CHARACTERS:
        yield f"{' '.join(take(count))[: count - 1].rstrip()}.".ljust(count, ".")


def _change_case(sentences: Sequence[str]) -> Iterator[str]:
    for first, second in zip(sentences[::8], sentences[4::8], strict=True):
        text = f"{first} {second}"
        stem = first.rstrip(".!?")
        yield from (first, text, text.upper(), text.lower(), text.title(), text.swapcase(), text.replace(" ", ""))
        yield from (f"{stem}{end}" for end in _ENDS)


def _change_layout(paragraphs: str, languages: Sequence[str]) -> Iterator[str]:
    """Yield near misses of one text, texts of many languages, and texts framed as some instructions ask for."""
    yield from make_near_misses(paragraphs)
    first = paragraphs.split("\n\n", 1)[0]
    for opening, closing in (
        ("<<Tea>>\n\n", ""),
        ("", "\n\nP.S. Bring tea."),
        ("*", "*"),
        ("[", "]"),
        ("```\n", "\n```"),
    ):
        yield f"{opening}{first}{closing}"
    for opening in (
        "However, ",
        "Certainly! ",
        "In my opinion, ",
        "Title: Tea\n\n",
        "# Tea\n\n",
        "To answer, ",
        "Note: ",
    ):
        yield f"{opening}{first}"
    for closing in ("Thank you.", "The end.", "In conclusion, it is done.", "Is that clear?", "That is all!", "Amen"):
        yield f"{first} {closing}"
    for count in (2, 10):
        yield "\n\n".join(languages[:count])
    yield from (" ".join(sorted(first.split())), " ".join(reversed(first.split())), first[::-1])
    yield re.sub("[aeiouAEIOU]", "", first)
    yield "\n".join(first.split())
