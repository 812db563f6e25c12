"""Mutation testing of a function's cases: do they notice a small change in the function?

    mutants = make_mutants("def evaluate(response):\\n    return len(response.split()) >= 40")
    mutants[0].change, mutants[0].source      # ">= → >, line 2", and the source with that change

    | kind       | changes                                                                        |
    |------------|--------------------------------------------------------------------------------|
    | comparison | < and <=, > and >=, == and !=, in and not in; == with a number to >= and to <=     |
    | constant   | a whole number plus and minus one, True and False, a string with one more letter |
    | boolean    | and and or, all and any; not left out                                           |
    | return     | `not` before it, True instead, False instead                                     |

The source is changed as text and never compiled here (SECURITY.md), while libraries for mutation testing parse or
import it. A mutant that doesn't load, or that has the function's verdict on every text, doesn't count. A case kills a
mutant if the function agrees with the case and the mutant doesn't.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from autoif.reading.python_tokens import TokenKind, cut_tokens
from autoif.records import Case, Verdict
from autoif.vocabulary import uncarry

MOST: Final = 8
"""Most mutants of one function. If more are possible, those chosen are spread evenly over the source."""
_MAX_CHARS: Final = 20_000
"""A longer source gets no mutants."""
_TEXT, _COMMENT = "\ufffd", "\ufffc"
"""Replace the characters of strings and comments, so that code in them isn't changed."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A function with one change."""

    source: str
    change: str
    """Description of the change, as in ">= → >, line 3"."""


class _Change(NamedTuple):
    start: int
    end: int
    text: str
    """Replacement."""


def _swap(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    return {one: other for pair in pairs for one, other in (pair, pair[::-1])}


_COMPARISONS: Final = _swap([("<", "<="), (">", ">="), ("==", "!=")])
_WORDS: Final = _swap([("and", "or"), ("all", "any"), ("True", "False")])
_COMPARISON: Final = re.compile(r"(?<![<>=!\-+*/%&|^:])(?:[<>]=?|[=!]=)(?![<>=])")
_WORD: Final = re.compile(r"(?<![\w.])(?:and|or|all(?=\()|any(?=\()|True|False)(?!\w)")
_MEMBERSHIP: Final = re.compile(r"\bnot\s+in\b|\bin\b|\bfor\b")
_NOT: Final = re.compile(r"\bnot\s+(?!in\b)")
_WHOLE_NUMBER: Final = re.compile(r"(?<![\w.])\d{1,6}(?![\w.])")
_EQUAL_TO_NUMBER: Final = re.compile(r"==(?=\s*\d)|(?<=\d)\s*==")
_WHILE: Final = re.compile(r"\bwhile\b")
"""A changed loop may never end, so in a function with one only the returned values are changed."""
_RETURN: Final = re.compile(r"\breturn[ \t]+(?=\S)([^\n;]*)")
_OPENING_QUOTE: Final = re.compile(r"\'\'\'|\"\"\"|['\"]")


def make_mutants(source: str, most: int = MOST) -> list[Mutant]:
    """Return at most `most` different mutants of a source, in the order of their changes. Takes linear time.

    Helpers of the vocabulary that the source carries are not changed, and lines are counted without them.
    """
    written = uncarry(source)
    helpers = source.removesuffix(written)
    if len(written) > _MAX_CHARS or helpers + written != source:
        return []
    code = _cover(written)
    finders = [_change_returns] if _WHILE.search(code) else _FINDERS
    changes = sorted({change for find in finders for change in find(code)})
    if len(changes) > most:
        changes = [changes[place * len(changes) // most] for place in range(most)]
    return [
        Mutant(helpers + written[: each.start] + each.text + written[each.end :], _name_change(written, each))
        for each in changes
    ]


def is_equivalent(function: Sequence[Verdict], mutant: Sequence[Verdict]) -> bool:
    """Tell whether a mutant gave the function's verdicts, or raised on every text, which means that it is broken."""
    return tuple(function) == tuple(mutant) or set(mutant) == {Verdict.ERROR}


def is_killed(function: Sequence[Verdict], mutant: Sequence[Verdict], cases: Sequence[Case]) -> bool:
    """Tell whether a case notices a mutant, by the verdicts of both on the cases."""
    for case, right, changed in zip(cases, function, mutant, strict=True):
        wanted = Verdict.PASS if case.expected else Verdict.FAIL
        if right is wanted and changed is not wanted:
            return True
    return False


def _cover(source: str) -> str:
    """Return the source with strings and comments blanked out, in the same length; opening quotes stay."""
    covered = []
    for kind, text in cut_tokens(source):
        if kind is TokenKind.OTHER:
            covered.append(text)
        elif kind is TokenKind.COMMENT:
            covered.append(_COMMENT * len(text))
        else:
            opening = _OPENING_QUOTE.match(text)
            assert opening
            covered.append(opening[0] + _TEXT * (len(text) - len(opening[0])))
    return "".join(covered)


def _change_comparisons(code: str) -> Iterator[_Change]:
    for match in _COMPARISON.finditer(code):
        yield _Change(match.start(), match.end(), _COMPARISONS[match[0]])
    for match in _EQUAL_TO_NUMBER.finditer(code):
        for other in (">=", "<="):
            yield _Change(match.end() - 2, match.end(), other)


def _change_membership(code: str) -> Iterator[_Change]:
    loops = 0
    for match in _MEMBERSHIP.finditer(code):
        if match[0] == "for":
            loops += 1
        elif match[0] == "in" and loops:
            loops -= 1
        else:
            yield _Change(match.start(), match.end(), "not in" if match[0] == "in" else "in")


def _change_words(code: str) -> Iterator[_Change]:
    for match in _WORD.finditer(code):
        yield _Change(match.start(), match.end(), _WORDS[match[0]])
    for match in _NOT.finditer(code):
        yield _Change(match.start(), match.end(), "")


def _change_constants(code: str) -> Iterator[_Change]:
    for match in _WHOLE_NUMBER.finditer(code):
        number = int(match[0])
        for other in (number + 1, number - 1):
            if other >= 0:
                yield _Change(match.start(), match.end(), str(other))
    for match in _OPENING_QUOTE.finditer(code):
        yield _Change(match.end(), match.end(), "x")


def _change_returns(code: str) -> Iterator[_Change]:
    for match in _RETURN.finditer(code):
        start, end = match.span(1)
        value = match[1].split(_COMMENT, 1)[0].rstrip()
        closed = all(value.count(opening) == value.count(closing) for opening, closing in ("()", "[]", "{}"))
        if value and closed and not value.endswith("\\") and value not in {"True", "False"}:
            end = start + len(value)
            yield _Change(start, start, "not ")
            yield _Change(start, end, "True")
            yield _Change(start, end, "False")


_FINDERS: Final[tuple[Callable[[str], Iterator[_Change]], ...]] = (
    _change_comparisons, _change_membership, _change_words, _change_constants, _change_returns,
)  # fmt: skip


def _name_change(source: str, change: _Change) -> str:
    line = source.count("\n", 0, change.start) + 1
    before = " ".join(source[change.start : change.end].split())
    if not before:
        return f"{change.text.strip()} put in, line {line}"
    return f"{before} → {change.text or 'nothing'}, line {line}"
