"""Mending Python source that lost its escapes on the way through JSON. Text in, text out: nothing is compiled here.

escaped_newlines   the whole source on one line, its newlines escaped once too often: `def f():\\n    return 1`
escaped_quotes     quotes that were escaped where nothing asked for it: `return \\'a\\' in response`
lost_escape        escaped once too little: JSON reads the `\\b` of a pattern as a backspace
broken_literal     escaped once too little: a newline inside a '...' or "..." literal, where Python allows none
odd_characters     spaces, quotation marks and brackets of prose in the code: a no-break space, “a”, （response）
indented           every line begins with the same blanks
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from textwrap import dedent

from autoif.instructions.json_reading import FormatRepair
from autoif.reading.python_tokens import TokenKind, cut_tokens

_LONE_ESCAPE = re.compile(r"(?<!\\)\\(?:r\\n|n|t)")
_CONTROLS = {"\x07": "\\a", "\x08": "\\b", "\x0b": "\\v", "\x0c": "\\f"}
_MAX_CHARS = 20_000
_TYPOGRAPHIC = str.maketrans("\u00a0\u2007\u202f\u3000（）：，“”‘’", "    ():,\"\"''", "\u200b\u2060\ufeff")
_DEFINED = re.compile(r"^(?:async[ \t]+)?def[ \t]+(\w+)[ \t]*\(\s*+([A-Za-z_])?", re.MULTILINE)
_EVALUATE = re.compile(r"\bevaluate\b")
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
    for mend, repair in _MENDS.items():
        if (better := mend(mended)) != mended:
            mended = better
            repairs.append(repair)
    return mended, repairs


def _drop_odd_characters(source: str) -> str:
    if source.isascii():
        return source
    return "".join(
        token.text.translate(_TYPOGRAPHIC) if token.kind is TokenKind.OTHER else token.text
        for token in cut_tokens(source)
    )


def _unindent(source: str) -> str:
    return dedent(source) if source.lstrip("\n")[:1] in {" ", "\t"} else source


def name_evaluate(source: str) -> str:
    """Give the only function of a source the name evaluate, if it is called otherwise and takes something."""
    defined = _DEFINED.findall(source) if not _EVALUATE.search(source) and "class " not in source else []
    names = [name for name, takes in defined if takes]
    return f"{source.rstrip()}\n\n\nevaluate = {names[0]}\n" if len(names) == len(defined) == 1 else source


_MENDS = {
    _drop_odd_characters: FormatRepair.ODD_CHARACTERS,
    _unindent: FormatRepair.INDENTED,
}
"""Applied last, in this order."""


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
