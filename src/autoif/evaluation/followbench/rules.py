"""FollowBench's rules: code that checks the answers to some prompts, as the official program does.

If constraints are added level by level, level n requires the first n of them. Oddities of the official rules are kept,
so that scores can be compared with published ones (docs/evaluation.md lists them).
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
    """Return the rule that checks answers to a prompt; None if a judge decides."""
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
    constraints = _CONSTRAINTS[language]
    return _cumulative(constraints[source]) if source in constraints else None


def _cumulative(constraints: tuple[Constraint, ...]) -> Rule:
    return lambda text, target, level: all(satisfies(text) for satisfies in constraints[:level])


def _last(pattern: str) -> Rule:
    """Return a rule that requires the last match of the pattern to be the target."""
    return lambda text, target, level: re.findall(pattern, text)[-1:] == [target]


def _follows_template(text: str, target: str, level: int) -> bool:
    """Tell whether an answer has the form of the examples before it: the last template that the prompt shows."""
    template = target.replace("{instruction}\n", "").replace("{{", "{").replace("}}", "}")
    first, *others = template.split("{answer}")
    if not others:
        return text == first
    # Taking the first occurrence of each part is enough: a later one can't help, as no gap may contain a line break.
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
    """The language-specific parts of the rules."""

    sentence_ends: str
    punctuation: str
    count_words: Callable[[str], int]
    """Counts the words of a text; in Chinese its characters."""
    count_sentence_words: Callable[[str], int]
    is_plain: Constraint
    """Whether all letters are lower case; in Chinese, whether there is no number."""
    price: str
    opening: str
    suggestions: str
    words: Mapping[str, str]
    """Patterns for words, by the English word."""

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

    def list_constraints(self) -> dict[str, tuple[Constraint, ...]]:
        """Return the constraints of each source, in the order of their levels."""
        ends, words, count = self.sentence_ends, self.words, self.count_words

        def has(word: str) -> Constraint:
            return lambda text: re.search(words[word], text) is not None

        def lacks(word: str) -> Constraint:
            return lambda text: re.search(words[word], text) is None

        def count_marks(text: str) -> int:
            return sum(character in self.punctuation for character in text)

        return {
            "cnn_dailymail": (
                _has_sentences(3, ends),
                lambda text: all(self.count_sentence_words(sentence) < 15 for sentence in _split(text, ends)),
                _in_sentences(ends, words["Potter"], words["actor"], words["films"]),
                lambda text: not _in_sentences(ends, "", words["lavish"])(text),
                _in_sentences(ends, "", "", words["have"]),
            ),
            "xsum": (
                _has_sentences(1, ends),
                lambda text: count(text) < 20,
                lacks("Newton Stewart"),
                has("doing"),
                has("operation"),
            ),
            "samsum": (
                _has_sentences(1, ends),
                lambda text: count(text) < 15,
                has("stuff"),
                lacks("procrastinate"),
                lambda text: count_marks(text) == 1,
            ),
            "gigaword": (
                lambda text: count(text) == 8,
                lambda text: count_marks(text) == 0,
                self.is_plain,
                lacks("bus"),
                has("in"),
            ),
            "arxiv": (
                _has_sentences(1, ends),
                lambda text: count(text) <= 20,
                lambda text: text.startswith(self.opening),
                has("activations"),
                lacks("transformer"),
            ),
        }


def _split(text: str, ends: str) -> list[str]:
    return [sentence for sentence in re.split(ends, text) if sentence]


def _has_sentences(count: int, ends: str) -> Constraint:
    return lambda text: len(_split(text, ends)) == count


def _in_sentences(ends: str, *patterns: str) -> Constraint:
    """Return a constraint that requires the nth pattern in the nth sentence."""

    def satisfies(text: str) -> bool:
        sentences = _split(text, ends)
        return len(sentences) >= len(patterns) and all(map(re.search, patterns, sentences))

    return satisfies


_ENGLISH = _Tongue(
    sentence_ends=r"[.!?]",
    punctuation=string.punctuation,
    count_words=lambda text: len(text.split(" ")),
    count_sentence_words=lambda sentence: len(sentence.split()),
    is_plain=str.islower,
    price=r"\$\d+",
    opening="We",
    suggestions="Those are suggestions",
    words={
        "Potter": r"\bPotter\b", "actor": r"\bactor\b", "films": r"\bfilms\b", "lavish": r"\blavish\b",
        "have": r"\b(has|have)\s+\w+", "Newton Stewart": r"\bNewton Stewart\b", "doing": r"\b(am|is|are)\s+\w+ing\b",
        "operation": r"\boperation\b", "stuff": r"\bstuff\b", "procrastinate": r"(?i)procrast", "bus": r"\bbus\b",
        "in": r"\bin\b", "activations": r"\bactivations\b", "transformer": r"\btransformer\b",
    },
)  # fmt: skip
_CHINESE = _Tongue(
    sentence_ends="[。！？]",
    punctuation=string.punctuation + "，。：’“”",
    count_words=len,
    count_sentence_words=len,
    is_plain=lambda text: not any(map(str.isnumeric, text)),
    price=r"(?<!\d)\d+美元",
    opening="我们",
    suggestions="这些是建议",
    words={
        "Potter": "波特", "actor": "演员", "films": "电影", "lavish": "奢侈", "have": "了",
        "Newton Stewart": "牛顿斯图尔特", "doing": "在", "operation": "操作", "stuff": "琐碎的",
        "procrastinate": "拖沓的", "bus": "公交车", "in": "在", "activations": "激活", "transformer": "transformer",
    },
)  # fmt: skip
_CONSTRAINTS = {"en": _ENGLISH.list_constraints(), "zh": _CHINESE.list_constraints()}


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
