"""Texts by which a training function is recognised as a checker's: those that follow a constraint, those that break it.

Constraints without arguments are tried on one pool of texts, which the official checkers judge. Those with a number or
a word are tried with the numbers and words of the training instruction, on texts that are made for them: far from the
limit, as what is asked is whether both check the same kind of thing, not whether both mean "more" or "at least".
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle, islice
from pathlib import Path

from pydantic import JsonValue

from autoif.evaluation.ifeval_ifbench.checkers import Checkers, Suite, Unjudgeable
from autoif.evaluation.ifeval_ifbench.corrections import CORRECTIONS
from autoif.records import Record

_EXAMPLES = Path(__file__).with_name("constraint_examples.json")
_ENOUGH = 3
"""Texts of each side, fewer of which would tell nothing."""
_MOST_NUMBERS, _MOST_WORDS = 3, 4
_HIGHEST = 1_000
_NAMES = dict(zip(
    "one two three four five six seven eight nine ten eleven twelve once twice".split(),
    (*range(1, 13), 1, 2), strict=True,
))  # fmt: skip


class Example(Record):
    """Texts written for one constraint; that the checkers judge them so is held by tests/test_checkers.py."""

    arguments: Mapping[str, JsonValue]
    follows: str
    breaks: str
    more: tuple[str, ...] = ()
    """Further texts for the pool."""


class Examples(Record):
    """constraint_examples.json: texts of our own for each constraint of IFEval and IFBench, by its type."""

    ifeval: dict[str, Example]
    ifbench: dict[str, Example]
    plain: tuple[str, ...]
    """Texts that were written for none."""

    def of(self, benchmark: Suite) -> dict[str, Example]:
        return self.ifeval if benchmark == "ifeval" else self.ifbench


@dataclass(frozen=True, slots=True)
class ConstraintTrial:
    """A constraint, and texts that tell a function that checks it from others."""

    benchmark: Suite
    type: str
    follows: tuple[str, ...]
    breaks: tuple[str, ...]
    own: tuple[str, ...] = ()
    """Texts that were written for this constraint: all of them must be judged as the checker does."""

    @property
    def texts(self) -> tuple[str, ...]:
        return (*self.follows, *self.breaks)


@cache
def load_examples() -> Examples:
    """Return the texts that are written for constraints."""
    return Examples.model_validate_json(_EXAMPLES.read_bytes())


def list_pool() -> list[str]:
    """Return the texts that all constraints without arguments are tried on, each once."""
    examples = load_examples()
    every = [*examples.ifeval.values(), *examples.ifbench.values()]
    pairs = [text for each in every for text in (each.follows, each.breaks)]
    return list(dict.fromkeys([*pairs, *(text for each in every for text in each.more), *examples.plain]))


def make_pool_trials(benchmark: Suite, types: set[str], data_folders: Sequence[str]) -> list[ConstraintTrial]:
    """Return the trials of constraints without arguments; none of those that the pool has too few texts for."""
    checkers, examples = Checkers(benchmark, data_folders), load_examples().of(benchmark)
    found = []
    for name in sorted(types & examples.keys() - PARAMETERISED):
        judged = {text: _check(checkers, name, examples[name].arguments, text) for text in list_pool()}
        verdicts = {text: verdict for text, verdict in judged.items() if verdict is not None}
        follows = tuple(text for text, verdict in verdicts.items() if verdict)
        breaks = tuple(text for text, verdict in verdicts.items() if not verdict)
        if min(len(follows), len(breaks)) >= _ENOUGH:
            own = (examples[name].follows, examples[name].breaks, *examples[name].more)
            found.append(ConstraintTrial(benchmark, name, follows, breaks, own))
    return found


def _check(checkers: Checkers, name: str, arguments: Mapping[str, JsonValue], text: str) -> bool | None:
    """Return the verdict without the checkers' known faults; None where there is none."""
    logging.disable(logging.ERROR)  # the checkers log each text whose language they can't tell
    try:
        verdict = bool(checkers.build(name, arguments, "")[0].check_following(text))
    except Unjudgeable:
        return None
    except Exception:  # noqa: BLE001  # of the package's code
        return None
    finally:
        logging.disable(logging.NOTSET)
    if not verdict and name in _CASES and _CASES[name](text):
        return None  # in another language, as far as so short a text tells: no function looks at that
    correction = CORRECTIONS.get(name)
    return correction.check(arguments, text, verdict) if correction else verdict


_CASES = {"change_case:english_capital": str.isupper, "change_case:english_lowercase": str.islower}


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
    """Yield the trials of constraints with arguments, with these for them."""
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
    for name, make in _COUNTED.items():
        benchmark: Suite = "ifbench" if name.startswith("count:") else "ifeval"
        enough, too_few = _write_each(make, number), _write_each(make, few)
        others = tuple(text for other in _OTHERS[name] for text in _write_each(_KINDS[other], number))
        yield ConstraintTrial(benchmark, name, enough, (*too_few, *_PLAIN, *others))
        if name in _BOUNDED_ABOVE:
            # Many words in short sentences are many all the same, whatever a function says of each sentence.
            divided = _write_each(_KINDS["sentences"], many) if name.endswith("words") else ()
            yield ConstraintTrial(benchmark, name, too_few, (*_write_each(make, many), *divided))


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
    # A letter stands within words that have no other: functions that count words which begin with it are no match.
    shown, other, between = (f"7{word}7", "777", "99") if is_letter else (word, "meadow", "garden")

    def write(times: int) -> tuple[str, ...]:
        parts = [*[shown] * times, *[other] * (number - times)]
        return f" {between} ".join(parts), f"{' '.join(parts)} {between}", ", ".join(parts)

    name = "keywords:letter_frequency" if is_letter else "keywords:frequency"
    return ConstraintTrial("ifeval", name, write(number), (*write(number // 2), *write(0)))


_Make = Callable[[int, int], str]
"""Makes a text of so many parts, in one of three variants."""
_FILLER = (
    "garden river window bridge morning winter market harbour lantern paper silver village forest summer kitchen "
    "mountain ticket captain blanket station evening orchard pencil meadow"
).split()
_STARTS = (0, 7, 13)
"""Where the words of each variant begin."""


def _write_each(make: _Make, count: int) -> tuple[str, ...]:
    """Return a text of `count` parts in each of its variants."""
    return tuple(make(count, variant) for variant in range(len(_STARTS)))


def _words(count: int, variant: int) -> list[str]:
    return list(islice(cycle(_FILLER), _STARTS[variant], _STARTS[variant] + count))


def _line_up(separator: str, *patterns: str) -> _Make:
    """Return what makes a text of `count` parts of a pattern with a word and a number in it."""

    def make(count: int, variant: int) -> str:
        pattern = patterns[variant % len(patterns)]
        words = enumerate(_words(count, variant), 1)
        return separator.join(pattern.format(word=word, number=number) for number, word in words)

    return make


def _write_words(count: int, variant: int) -> str:
    return (" ".join(_words(count, variant)) + ("", ".", "!")[variant]).capitalize()


_KINDS: dict[str, _Make] = {
    "words": _write_words,
    "sentences": _line_up(" ", "The {word} is here.", "We saw the {word} today.", "Look at the {word}!"),
    "paragraphs": _line_up("\n\n", "The {word} is here.", "We saw the {word} today.", "The {word} was open"),
    "lines": _line_up("\n", "the {word} is here", "we saw the {word}", "{word}"),
    "bullets": _line_up("\n", "* the {word}", "- the {word}", "* {word} and more"),
    "placeholders": _line_up(" and ", "[{word}]"),
    "highlights": _line_up(" and ", "*{word}*"),
    "sections": _line_up("\n", "Section {number}\nThe {word} is here."),
    "numbers": _line_up(" ", "{number} of the"),
}

_PLAIN = ("Garden.", "river window bridge")
_COUNTED = {
    "length_constraints:number_words": _KINDS["words"],
    "length_constraints:number_sentences": _KINDS["sentences"],
    "length_constraints:number_paragraphs": _KINDS["paragraphs"],
    "detectable_format:number_bullet_lists": _KINDS["bullets"],
    "detectable_content:number_placeholders": _KINDS["placeholders"],
    "detectable_format:number_highlighted_sections": _KINDS["highlights"],
    "detectable_format:multiple_sections": _KINDS["sections"],
    "count:numbers": _KINDS["numbers"],
}
_OTHERS = {
    "length_constraints:number_words": (),
    "length_constraints:number_sentences": ("lines", "bullets", "placeholders", "highlights", "numbers"),
    "length_constraints:number_paragraphs": ("sentences", "lines", "bullets", "placeholders", "numbers"),
    "detectable_format:number_bullet_lists": ("sentences", "paragraphs", "lines", "sections", "numbers"),
    "detectable_content:number_placeholders": ("sentences", "lines", "bullets", "highlights", "numbers"),
    "detectable_format:number_highlighted_sections": ("sentences", "lines", "bullets", "placeholders", "numbers"),
    "detectable_format:multiple_sections": ("sentences", "paragraphs", "lines", "bullets", "numbers"),
    "count:numbers": ("sentences", "lines", "bullets", "placeholders", "highlights"),
}
"""What has as many of something else, and not of this: a function that counts that checks another constraint."""
_BOUNDED_ABOVE = ("length_constraints:number_words", "length_constraints:number_sentences")
PARAMETERISED = frozenset({
    *_COUNTED, "keywords:existence", "keywords:forbidden_words", "keywords:frequency", "keywords:letter_frequency",
    "startend:end_checker",
})  # fmt: skip
"""Types that are tried with the numbers and words of the training instruction."""
