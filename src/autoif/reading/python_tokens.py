"""Cuts Python source into comments, literals and the code between them, without the compiler, as it may be broken.

for token in cut_tokens(source): ...     # token.kind, token.text; together they are the source
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

_ESCAPE_OR_QUOTE = re.compile(r"\\.|['\"]", re.DOTALL)
_MARK = re.compile(r"[#'\"]")


class TokenKind(Enum):
    COMMENT = auto()
    TRIPLE = auto()
    STRING = auto()
    OTHER = auto()
    """Code, or a quotation mark that opens no literal."""


class Token(NamedTuple):
    kind: TokenKind
    text: str


def cut_tokens(source: str) -> Iterator[Token]:
    """Yield the tokens of a source, in time proportional to its length, whatever is left open in it."""
    ends = _find_ends(source)
    at = 0
    while at < len(source):
        kind, end = _find_token(source, at, ends)
        yield Token(kind, source[at:end])
        at = end


def _find_ends(source: str) -> dict[str, list[int]]:
    """Return for each mark the places where a literal could end, in order.

    These don't depend on where the literal begins, as a backslash hides a quote from every literal around it.
    """
    ends: dict[str, list[int]] = {mark: [] for mark in ("'''", '"""', "'", '"')}
    for match in _ESCAPE_OR_QUOTE.finditer(source):
        quote = match[0]
        if quote in ends:
            ends[quote].append(match.start())
            if source.startswith(quote * 3, match.start()):
                ends[quote * 3].append(match.start())
    return ends


def _find_token(source: str, at: int, ends: dict[str, list[int]]) -> tuple[TokenKind, int]:
    """Return the kind of the token that begins here, and where it ends."""
    first = source[at]
    if first == "#":
        end = source.find("\n", at)
        return TokenKind.COMMENT, end if end >= 0 else len(source)
    if first in ends:
        for mark, kind in ((first * 3, TokenKind.TRIPLE), (first, TokenKind.STRING)):
            place = bisect_left(ends[mark], at + len(mark))
            if source.startswith(mark, at) and place < len(ends[mark]):
                return kind, ends[mark][place] + len(mark)
        return TokenKind.OTHER, at + 1
    mark_ahead = _MARK.search(source, at)
    return TokenKind.OTHER, mark_ahead.start() if mark_ahead else len(source)
