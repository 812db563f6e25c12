"""FollowBench's rules: the prompts whose answers are checked by code, each judged as the official program judges it.

Of a source whose constraints grow level by level, level n asks for the first n of its constraints. The official rules
are kept where they are odd, so that scores can be compared with published ones; docs/evaluation.md lists where.
"""

import ast
import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "zh"]
Rule = Callable[[str, str, int], bool]
"""(response, target of the data, level 1 to 5) -> whether all constraints of the level are satisfied."""
Constraint = Callable[[str], bool]

_PARAGRAPHS, _BENEFITS = 22, 30
"""Example ids of the two prompts of type format that have rules."""
_SENTENCE_BREAK = re.compile(r"(?<!\w\.\w.)(?<![A-Z][a-z]\.)(?<=\.|\?)\s")


def find_rule(kind: str, source: str, example_id: int, language: Language) -> Rule | None:
    """Return the rule that checks answers to a prompt; None if a judge has to."""
    if kind == "example":
        return _follows_template
    tongue = _ENGLISH if language == "en" else _CHINESE
    if kind == "format":
        if example_id == _PARAGRAPHS:
            return tongue.check_paragraphs
        return _cumulative(_BENEFIT_CONSTRAINTS) if example_id == _BENEFITS and language == "en" else None
    if source in _TARGETS:
        return _TARGETS[source]
    if source == "gsm_8k":
        return _last(tongue.price)
    return _cumulative(tongue.constraints[source]) if source in tongue.constraints else None


def _cumulative(constraints: tuple[Constraint, ...]) -> Rule:
    return lambda text, target, level: all(satisfies(text) for satisfies in constraints[:level])


def _last(pattern: str) -> Rule:
    """Return the rule that the last match is the target."""
    return lambda text, target, level: re.findall(pattern, text)[-1:] == [target]


def _follows_template(text: str, target: str, level: int) -> bool:
    """Tell whether an answer has the form of the examples before it: the last template that the prompt shows."""
    template = target.replace("{instruction}\n", "").replace("{{", "{").replace("}}", "}")
    first, *others = template.split("{answer}")
    if not others:
        return text == first
    # The first place of each part is as good as a later one: none can be reached over a line end.
    at = len(first)
    for part in others[:-1]:
        found = text.find(part, at)
        if found < 0 or "\n" in text[at:found]:
            return False
        at = found + len(part)
    end = len(text) - len(others[-1])
    return text.startswith(first) and text.endswith(others[-1]) and at <= end and "\n" not in text[at:end]


_TARGETS: Mapping[str, Rule] = {
    "E2E": lambda text, target, level: text == target,
    "text_editing": lambda text, target, level: text == target,
    "WIKIEVENTS": lambda text, target, level: set(text.split("\n")) <= set(target.split("\n")),
    "CONLL2003": lambda text, target, level: text in ast.literal_eval(target),
    "BBH_logical": _last(r"\([A-Z]\)"),
    "BBH_time": _last(r"\d{2}/\d{2}/\d{4}"),
    "self_made_space": lambda text, target, level: target in text,
}


@dataclass(frozen=True, slots=True)
class _Tongue:
    """What the rules of one language count and look for."""

    sentence_ends: str
    count_sentence_words: Callable[[str], int]
    price: str
    suggestions: str
    constraints: Mapping[str, tuple[Constraint, ...]]

    def check_paragraphs(self, text: str, target: str, level: int) -> bool:
        """Check the prompt that asks for numbered paragraphs: three, and a fourth at the last level."""
        paragraphs = text.split("\n\n")
        constraints = (
            len(paragraphs) == (4 if level == 5 else 3),
            all(len(_split(paragraph, self.sentence_ends)) < 3 for paragraph in paragraphs[:3]),
            all(self.count_sentence_words(sentence) > 20 for sentence in _split(text, self.sentence_ends)),
            all(re.match(r"\s*\d+\.", paragraph) for paragraph in paragraphs if paragraph.strip()),
            text.endswith(self.suggestions),
        )
        return all(constraints[:level])


def _split(text: str, ends: str) -> list[str]:
    return [sentence for sentence in re.split(ends, text) if sentence]


def _has_sentences(count: int, ends: str) -> Constraint:
    return lambda text: len(_split(text, ends)) == count


def _sentences_under(words: int, ends: str, count: Callable[[str], int]) -> Constraint:
    return lambda text: all(count(sentence) < words for sentence in _split(text, ends))


def _in_sentences(ends: str, *patterns: str) -> Constraint:
    """Return whether each pattern is in the sentence of its place."""

    def satisfies(text: str) -> bool:
        sentences = _split(text, ends)
        return len(sentences) >= len(patterns) and all(map(re.search, patterns, sentences))

    return satisfies


def _has(pattern: str, flags: int = 0) -> Constraint:
    return lambda text: re.search(pattern, text, flags) is not None


def _lacks(pattern: str, flags: int = 0) -> Constraint:
    return lambda text: re.search(pattern, text, flags) is None


def _count_of(characters: str, text: str) -> int:
    return sum(character in characters for character in text)


_EN_ENDS = r"[.!?]"
_ENGLISH = _Tongue(
    sentence_ends=_EN_ENDS,
    count_sentence_words=lambda sentence: len(sentence.split()),
    price=r"\$\d+",
    suggestions="Those are suggestions",
    constraints={
        "cnn_dailymail": (
            _has_sentences(3, _EN_ENDS),
            _sentences_under(15, _EN_ENDS, lambda sentence: len(sentence.split())),
            _in_sentences(_EN_ENDS, r"\bPotter\b", r"\bactor\b", r"\bfilms\b"),
            lambda text: not _in_sentences(_EN_ENDS, "", r"\blavish\b")(text),
            _in_sentences(_EN_ENDS, "", "", r"\b(has|have)\s+\w+"),
        ),
        "xsum": (
            _has_sentences(1, _EN_ENDS),
            lambda text: len(text.split(" ")) < 20,
            _lacks(r"\bNewton Stewart\b"),
            _has(r"\b(am|is|are)\s+\w+ing\b"),
            _has(r"\boperation\b"),
        ),
        "samsum": (
            _has_sentences(1, _EN_ENDS),
            lambda text: len(text.split(" ")) < 15,
            _has(r"\bstuff\b"),
            _lacks("procrast", re.IGNORECASE),
            lambda text: _count_of(string.punctuation, text) == 1,
        ),
        "gigaword": (
            lambda text: len(text.split(" ")) == 8,
            lambda text: _count_of(string.punctuation, text) == 0,
            str.islower,
            _lacks(r"\bbus\b"),
            _has(r"\bin\b"),
        ),
        "arxiv": (
            _has_sentences(1, _EN_ENDS),
            lambda text: len(text.split(" ")) <= 20,
            lambda text: text.startswith("We"),
            _has(r"\bactivations\b"),
            _lacks(r"\btransformer\b"),
        ),
    },
)

_ZH_ENDS = "[。！？]"
_ZH_PUNCTUATION = string.punctuation + "，。：’“”"
_CHINESE = _Tongue(
    sentence_ends=_ZH_ENDS,
    count_sentence_words=len,
    price=r"(?<!\d)\d+美元",
    suggestions="这些是建议",
    constraints={
        "cnn_dailymail": (
            _has_sentences(3, _ZH_ENDS),
            _sentences_under(15, _ZH_ENDS, len),
            _in_sentences(_ZH_ENDS, "波特", "演员", "电影"),
            lambda text: not _in_sentences(_ZH_ENDS, "", "奢侈")(text),
            _in_sentences(_ZH_ENDS, "", "", "了"),
        ),
        "xsum": (
            _has_sentences(1, _ZH_ENDS),
            lambda text: len(text) < 20,
            _lacks("牛顿斯图尔特"),
            _has("在"),
            _has("操作"),
        ),
        "samsum": (
            _has_sentences(1, _ZH_ENDS),
            lambda text: len(text) < 15,
            _has("琐碎的"),
            _lacks("拖沓的"),
            lambda text: _count_of(_ZH_PUNCTUATION, text) == 1,
        ),
        "gigaword": (
            lambda text: len(text) == 8,
            lambda text: _count_of(_ZH_PUNCTUATION, text) == 0,
            lambda text: not any(map(str.isnumeric, text)),
            _lacks("公交车"),
            _has("在"),
        ),
        "arxiv": (
            _has_sentences(1, _ZH_ENDS),
            lambda text: len(text) <= 20,
            lambda text: text.startswith("我们"),
            _has("激活"),
            _lacks("transformer"),
        ),
    },
)


def _count_numbered(line: str) -> int:
    """Count the titles of a list, as in "**1. Health:**"."""
    return len(re.findall(r"\*\*\d.[^:]*:", line[: line.rfind(":") + 1]))


_BENEFIT_CONSTRAINTS: tuple[Constraint, ...] = (
    lambda text: "**" in text,
    lambda text: sum(map(_count_numbered, text.split("\n"))) == 5,
    lambda text: all(
        sentence.count(".") < 2
        for sentence in _SENTENCE_BREAK.split(text)
        if any(f"{number}." in sentence for number in range(1, 6))
    ),
    lambda text: all(10 <= len(sentence.split()) <= 15 for sentence in _SENTENCE_BREAK.split(text)),
    lambda text: not any(word.endswith("-ly") for word in text.split()),
)
