"""Mending Python source that lost its escapes on the way through JSON. Text in, text out: nothing is compiled here.

escaped_newlines   the whole source on one line, its newlines escaped once too often: `def f():\\n    return 1`
escaped_quotes     quotes that were escaped where nothing asked for it: `return \\'a\\' in response`
lost_escape        escaped once too little: JSON reads the `\\b` of a pattern as a backspace
broken_literal     escaped once too little: a newline inside a '...' or "..." literal, where Python allows none
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from autoif.instructions.json_reading import FormatRepair
from autoif.reading.python_tokens import TokenKind, cut_tokens

_LONE_ESCAPE = re.compile(r"(?<!\\)\\(?:r\\n|n|t)")
_CONTROLS = {"\x07": "\\a", "\x08": "\\b", "\x0b": "\\v", "\x0c": "\\f"}
_MAX_CHARS = 20_000
_ONE_LEVEL = {"\\n": "\n", "\\r\\n": "\n", "\\t": "\t"}


def mend_source(source: str) -> tuple[str, list[FormatRepair]]:
    """Return the source with its newlines in place, and the repairs that this took."""
    repairs: list[FormatRepair] = []
    if len(source) > _MAX_CHARS:
        return source, repairs
    if "\n" not in source.strip() and _LONE_ESCAPE.search(_outside_strings(source)):
        source = _unescape(source)
        repairs.append(FormatRepair.ESCAPED_NEWLINES)
    if _has_stray_backslash(source):
        source = source.replace("\\'", "'").replace('\\"', '"')
        repairs.append(FormatRepair.ESCAPED_QUOTES)
    if any(char in source for char in _CONTROLS):
        source = "".join(_CONTROLS.get(char, char) for char in source)
        repairs.append(FormatRepair.LOST_ESCAPE)
    mended = "".join(_rejoin_literals(source))
    if mended != source:
        repairs.append(FormatRepair.BROKEN_LITERAL)
    return mended, repairs


def _outside_strings(source: str) -> str:
    return "".join(token.text for token in cut_tokens(source) if token.kind is TokenKind.OTHER)


def _has_stray_backslash(source: str) -> bool:
    """Tell whether a backslash outside all literals stands before a quote, where Python allows none."""
    return any(
        left.kind is TokenKind.OTHER and left.text.endswith("\\") and right.text[0] in "\"'"
        for left, right in pairwise(cut_tokens(source))
    )


def _unescape(source: str) -> str:
    """Take one level of escapes off: a newline becomes one, and an escaped escape becomes an escape."""
    return re.sub(
        r"\\\\|\\r\\n|\\[nt\"]", lambda match: {"\\\\": "\\", '\\"': '"'}.get(match[0]) or _ONE_LEVEL[match[0]], source
    )


def _rejoin_literals(source: str) -> Iterator[str]:
    """Yield the source, each newline inside a one-line literal escaped.

    A quote that a literal of the same line doesn't close may be an apostrophe of broken code: a literal is mended only
    if what it holds before the newline and after it could stand in one (no line of code begins in it).
    """
    for kind, text in cut_tokens(source):
        if kind is TokenKind.STRING and ("\n" in text or "\r" in text) and not _looks_like_code(text):
            yield text.replace("\r", "\\r").replace("\n", "\\n")
        else:
            yield text


def _looks_like_code(literal: str) -> bool:
    return any(re.match(r"\s+(?:return|if|for|while|def|else|elif)\b", line) for line in literal.split("\n")[1:])
