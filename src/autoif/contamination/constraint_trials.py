"""Texts that follow or break a constraint, used to recognise training functions that check the same constraint.

Constraints without arguments share one pool of texts, with the official checkers' verdicts in constraint_verdicts.json
(written by `tests/write_constraint_verdicts.py`). Constraints with a number or a word take those of the training
instruction, and texts are made for them. These texts are far from the limit: the question is whether both check the
same kind of thing, not whether both mean "more" or "at least".
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import compress, cycle, islice
from pathlib import Path

from pydantic import JsonValue

from autoif.benchmark_wordings import Suite
from autoif.records import Record

_EXAMPLES = Path(__file__).with_name("constraint_examples.json")
VERDICTS = Path(__file__).with_name("constraint_verdicts.json")
_MOST_NUMBERS, _MOST_WORDS = 3, 4
_HIGHEST = 1_000
_NAMES = dict(zip(
    "one two three four five six seven eight nine ten eleven twelve once twice".split(),
    (*range(1, 13), 1, 2), strict=True,
))  # fmt: skip


class Example(Record):
    """Texts written for one constraint; tests/test_checkers.py checks them against the checkers."""

    arguments: Mapping[str, JsonValue]
    follows: str
    breaks: str
    more: tuple[str, ...] = ()
    """Further texts for the pool."""


class PartPatterns(Record):
    """How to make texts with many parts of one kind: patterns with placeholders for a word and a number."""

    joined_by: str
    patterns: tuple[str, ...]


class CountedConstraint(Record):
    """A constraint on how many parts of a kind a text has."""

    parts: str
    others: tuple[str, ...]
    """Other kinds of parts: a function that counts these checks something else."""
    bounded_above: bool = False
    """Whether the constraint may also ask for "at most"."""


class Examples(Record):
    """constraint_examples.json: texts of our own for each constraint of IFEval and IFBench, by its type."""

    ifeval: dict[str, Example]
    ifbench: dict[str, Example]
    plain: tuple[str, ...]
    """Texts that were written for no constraint."""
    parts: dict[str, PartPatterns]
    counted: dict[str, CountedConstraint]

    def of(self, benchmark: Suite) -> dict[str, Example]:
        return self.ifeval if benchmark == "ifeval" else self.ifbench


@dataclass(frozen=True, slots=True)
class ConstraintTrial:
    """A constraint, with texts that distinguish functions that check it from others."""

    benchmark: Suite
    type: str
    follows: tuple[str, ...]
    breaks: tuple[str, ...]
    own: tuple[str, ...] = ()
    """Texts that were written for this constraint: a function must judge all of them as the checker does."""

    @property
    def texts(self) -> tuple[str, ...]:
        return (*self.follows, *self.breaks)


@cache
def load_examples() -> Examples:
    """Return the texts that were written for constraints."""
    return Examples.model_validate_json(_EXAMPLES.read_bytes())


def list_pool() -> list[str]:
    """Return the pool of texts on which all constraints without arguments are tried, each once."""
    examples = load_examples()
    every = [*examples.ifeval.values(), *examples.ifbench.values()]
    pairs = [text for each in every for text in (each.follows, each.breaks)]
    return list(dict.fromkeys([*pairs, *(text for each in every for text in each.more), *examples.plain]))


def make_pool_trials(benchmark: Suite, types: Collection[str]) -> list[ConstraintTrial]:
    """Return the trials of constraints without arguments; those with too few texts in the pool are left out."""
    pool, examples, found = list_pool(), load_examples().of(benchmark), []
    for name, marks in _load_verdicts()[benchmark].items():
        if name in types:
            follows, breaks = (tuple(compress(pool, (mark == side for mark in marks))) for side in "+-")
            own = (examples[name].follows, examples[name].breaks, *examples[name].more)
            found.append(ConstraintTrial(benchmark, name, follows, breaks, own))
    return found


@cache
def _load_verdicts() -> dict[Suite, dict[str, str]]:
    """Return the checkers' verdicts on the texts of the pool by type: "+" follows, "-" breaks the constraint."""
    found: dict[Suite, dict[str, str]] = json.loads(VERDICTS.read_text(encoding="ascii"))
    return found


def read_parameters(instruction: str, sources: Sequence[str]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the numbers and words that an instruction, or else its functions, may be about."""
    named = "|".join(_NAMES)
    found = [
        int(text) if text.isdigit() else _NAMES[text]
        for text in re.findall(rf"\b(?:\d{{1,4}}|{named})\b", instruction.lower())
    ] or [int(text) for source in sources for text in re.findall(r"\b\d{1,4}\b", source)]
    numbers = tuple(dict.fromkeys(number for number in found if 1 <= number <= _HIGHEST))[:_MOST_NUMBERS]
    quoted = re.findall(r"[\"'“‘]([^\"'“”‘’]{1,40})[\"'”’]", instruction)
    literals = [text for source in sources for text in re.findall(r"[\"']([A-Za-z][A-Za-z -]{0,39})[\"']", source)]
    words = tuple(dict.fromkeys(text.strip() for text in (*quoted, *literals) if text.strip()))[:_MOST_WORDS]
    return numbers, words


def make_trials(numbers: Sequence[int], words: Sequence[str]) -> Iterator[ConstraintTrial]:
    """Yield the trials of constraints with arguments, for these numbers and words."""
    for number in numbers:
        yield from _trials_of_number(number)
    for word in words:
        yield from _trials_of_word(word)
        for number in numbers:
            if number > 1:
                yield _frequency(word, number)


def _trials_of_number(number: int) -> Iterator[ConstraintTrial]:
    few, many = max(1, number // 2), number * 2 + 1
    if few == number:
        return
    for name, counted in load_examples().counted.items():
        benchmark: Suite = "ifbench" if name.startswith("count:") else "ifeval"
        enough, too_few = _write_each(counted.parts, number), _write_each(counted.parts, few)
        others = tuple(text for other in counted.others for text in _write_each(other, number))
        yield ConstraintTrial(benchmark, name, enough, (*too_few, *_PLAIN, *others))
        if counted.bounded_above:
            # Many words divided into short sentences break the limit too; a function may count words per sentence.
            divided = _write_each("sentences", many) if counted.parts == "words" else ()
            yield ConstraintTrial(benchmark, name, too_few, (*_write_each(counted.parts, many), *divided))


def _trials_of_word(word: str) -> Iterator[ConstraintTrial]:
    first, middle, last = f"{word} garden river", f"garden {word} river", f"garden river {word}"
    without = ("garden river window", "morning winter market, harbour", "Lantern.\nPaper and silver!")
    containing = (first, middle, last)
    yield ConstraintTrial("ifeval", "keywords:existence", containing, without)
    yield ConstraintTrial("ifeval", "keywords:forbidden_words", without, containing)
    endings = tuple(f"{text} {word}" for text in without)
    yield ConstraintTrial("ifeval", "startend:end_checker", endings, (first, middle, *without))


def _frequency(word: str, number: int) -> ConstraintTrial:
    is_letter = len(word) == 1 and word.isalpha()
    # A letter is put inside a word without other letters, so that functions that count first letters don't match.
    shown, other, between = (f"7{word}7", "777", "99") if is_letter else (word, "meadow", "garden")

    def write(times: int) -> tuple[str, ...]:
        parts = [*[shown] * times, *[other] * (number - times)]
        return f" {between} ".join(parts), f"{' '.join(parts)} {between}", ", ".join(parts)

    name = "keywords:letter_frequency" if is_letter else "keywords:frequency"
    return ConstraintTrial("ifeval", name, write(number), (*write(number // 2), *write(0)))


_FILLER = (
    "garden river window bridge morning winter market harbour lantern paper silver village forest summer kitchen "
    "mountain ticket captain blanket station evening orchard pencil meadow"
).split()
_STARTS = (0, 7, 13)
"""Where in `_FILLER` the words of each variant of a text begin."""
_PLAIN = ("Garden.", "river window bridge")
PARAMETERISED = frozenset({
    *load_examples().counted, "keywords:existence", "keywords:forbidden_words", "keywords:frequency",
    "keywords:letter_frequency", "startend:end_checker",
})  # fmt: skip
"""Types that are tried with the numbers and words of the training instruction."""


def _write_each(parts: str, count: int) -> tuple[str, ...]:
    """Return the variants of a text with `count` parts of a kind."""
    return tuple(_write(parts, count, variant) for variant in range(len(_STARTS)))


def _write(parts: str, count: int, variant: int) -> str:
    words = list(islice(cycle(_FILLER), _STARTS[variant], _STARTS[variant] + count))
    if parts == "words":
        return (" ".join(words) + ("", ".", "!")[variant]).capitalize()
    form = load_examples().parts[parts]
    pattern = form.patterns[variant % len(form.patterns)]
    return form.joined_by.join(pattern.format(word=word, number=number) for number, word in enumerate(words, 1))
