"""Recognises benchmark texts: official instructions of IFEval and IFBench, and whole prompts, also of FollowBench.

    find_wording("Answer with at least 40 words.")
    # Wording("ifeval", "length_constraints:number_words", {"relation": "at least", "num_words": 40})
    is_prompt("Write a 300+ word summary of …")

A run uses no benchmark prompt as a query (`queries/pool.py`); the package holds only digests of the prompts. Benchmark
instructions may be verified, sampled and audited, but no row trains on them (`datasets/writing.py`): otherwise the
benchmark couldn't measure the model.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from pydantic import JsonValue

from autoif.reading.json_text import parse_literal
from autoif.reading.lines import clean_line

Suite = Literal["ifeval", "ifbench"]
TITLES: dict[Suite, str] = {"ifeval": "IFEval", "ifbench": "IFBench"}
MAX_CHARS = 1_000
"""No benchmark text is longer, and the patterns would take long on one that is."""
_RELATION = r"at least|less than"
_LISTS = {"keywords", "forbidden_words"}
_NUMBERS = {
    "N", "capital_frequency", "frequency", "let_frequency", "m", "max_words", "min_words", "n", "n_end", "n_start",
    "nth_paragraph", "num_bullets", "num_highlights", "num_paragraphs", "num_placeholders", "num_sections",
    "num_sentences", "num_words", "percentage", "small_n",
}  # fmt: skip
_ORDINAL = "ordinal"
_STRAIGHT = str.maketrans("‘’‚‛“”„‟", "'" * 4 + '"' * 4, "\u200b\u200c\u200d\u2060\ufeff")
_ENDING = r"[\s.!;…]{0,8}"
"""How a wording may end, unless it ends with an argument, which keeps its own final mark."""
_SLOT = re.compile(r"\{\{|\}\}|\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Wording:
    """One instruction of a benchmark."""

    benchmark: Suite
    type: str
    """As in "keywords:existence"."""
    arguments: Mapping[str, JsonValue]
    """The arguments that its words give, by their official names."""


def find_wording(instruction: str) -> Wording | None:
    """Return which instruction of a benchmark this is; None if it is not in official words.

    White space, letter case, numbering, marks around the whole, commas, curly quotes and final punctuation don't count.
    """
    text = " ".join(_straighten(instruction).split())
    if len(text) > MAX_CHARS:
        return None
    for line in dict.fromkeys((text, clean_line(text))):
        for benchmark, name, pattern in _load_patterns():
            if found := pattern.fullmatch(line):
                arguments = {
                    key: _read_argument(key, value) for key, value in found.groupdict().items() if key != _ORDINAL
                }
                return Wording(benchmark, name, arguments)
    return None


def is_benchmark_text(instruction: str) -> bool:
    """Tell whether an instruction is a benchmark's, in official words or as a whole prompt. No row trains on it."""
    return find_wording(instruction) is not None or is_prompt(instruction)


def is_prompt(text: str) -> bool:
    """Tell whether a text is a whole prompt of IFEval, IFBench or FollowBench.

    Only letters and digits are compared, regardless of case and numbering.
    """
    return not _load_digests().isdisjoint((digest_prompt(text), digest_prompt(clean_line(text))))


def digest_prompt(text: str) -> str:
    """Return the 12 hexadecimal digits that identify a prompt."""
    plain = "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()[:12]


@cache
def _load_digests() -> frozenset[str]:
    return frozenset((resources.files("autoif") / "benchmark_prompts.txt").read_text(encoding="ascii").split())


@cache
def load_wordings() -> dict[Suite, dict[str, str]]:
    """Return the words of each type, with a {slot} for each argument."""
    text = (resources.files("autoif") / "benchmark_wordings.json").read_text(encoding="utf-8")
    found: dict[Suite, dict[str, str]] = json.loads(text)
    return found


@cache
def _load_patterns() -> tuple[tuple[Suite, str, re.Pattern[str]], ...]:
    return tuple(
        (benchmark, name, _compile(words))
        for benchmark, of_type in load_wordings().items()
        for name, words in of_type.items()
    )


def _compile(words: str) -> re.Pattern[str]:
    parts, at, seen = list[str](), 0, set[str]()
    stem = words.removesuffix(".")
    for slot in _SLOT.finditer(stem):
        parts.append(_escape(stem[at : slot.start()]))
        at, name = slot.end(), slot[1]
        if name is None:
            parts.append(re.escape(slot[0][0]))
        else:
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{_describe_slot(name)})")
            seen.add(name)
    parts += [_escape(stem[at:]), _ENDING if stem[at:] else r"\.?" if words.endswith(".") else ""]
    return re.compile("".join(parts), re.IGNORECASE)


def _escape(words: str) -> str:
    return re.escape(_straighten(words)).replace(",", ",?")


def _straighten(text: str) -> str:
    """Return a text with straight quotes for curly ones, and without invisible characters."""
    return text.translate(_STRAIGHT)


def _describe_slot(name: str) -> str:
    if name.endswith("relation"):
        return _RELATION
    if name in _LISTS:
        return r"\[.*\]"
    if name == _ORDINAL:
        return "(?:st|nd|rd|th)(?: word)?"
    return r"\d{1,9}(?:\.0)?" if name in _NUMBERS else ".+?"


def _read_argument(name: str, value: str) -> JsonValue:
    if name in _NUMBERS:
        return int(value.removesuffix(".0"))
    if name.endswith("relation"):
        return value.lower()
    if name in _LISTS:
        try:
            listed = parse_literal(value)
        except ValueError:
            return value
        return [str(each) for each in listed] if isinstance(listed, list) else value
    return value
