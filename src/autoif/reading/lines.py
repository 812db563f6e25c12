"""Cleans a line of a list that a model or a person wrote: takes off numbering, bullets and marks around the whole.

| taken off                                      | left alone                                        |
|------------------------------------------------|---------------------------------------------------|
| `1. `, `(1) `, `a) `, `１．`, `- `, `• `, `# ` | `3.5 percent …`, `E. coli …`, `5 words …`         |
| `Rule 1: `, `**1.** `, `**Rule 1:** `          | `**Length:** …`                                   |
| `"Use X."`, `**Use X.**`, `“…”`, `「…」`       | `"Sure" must come first, and last comes "Bye".`   |
"""

import re
import unicodedata

_NUMBER = r"""
    [(（\[【]\d{1,3}[)）\]】][.:：]?        # (1) [1]
  | \d{1,3}(?:\.\)|[.)）．、。](?!\d))       # 1. 1) 1.) １． 1、
  | \d{1,3}(?:[:：](?=\s)|\t)
  | \d{1,3}\s+[-–—](?=\s+\D)                 # 1 - Use
  | \d\ufe0f?\u20e3                          # a keycap
  | [\u2460-\u249b\u24b6-\u24ff\u2776-\u2793][.)]?
  | [一二三四五六七八九十]{1,3}[、．]
  | \(?(?:[^\W\d_]|[ivx]{1,4})\)(?=\s)   # a) (b) iv)
  | (?:[a-h]|[ivx]{1,4})\.(?=\s+(?-i:[A-Z])\w)  # "A. Use", but not "E. coli" or "A. B. Smith"
  | [#№]\s?\d{1,3}(?=[.:)\s])[.:)]?
"""
_LABEL_WORD = r"""
    (?:(?:new|format|formatting)\s)?
    (?:rule|instruction|constraint|requirement|regel|règle|regla|regola|regra|правило|规则|規則|指令|要求|ルール
      |seed|query|prompt|question|item|step|example|no\.?|nr\.?|q)
"""
_LABEL = rf"{_LABEL_WORD}(?:\s?\#?\d{{1,3}}(?:[:：.)]|\s[-–—](?=\s))|(?<![.q])[:：])"
_BULLET = r"[-*+–—−>·・](?=\s)(?:\s\[[ xX]\](?=\s))? | [•‣⁃▪▫◦●○■□∙►▶➤➢❖✓✔✅→⇒※] | \#{1,6}(?=\s)"
_MARKER = re.compile(rf"(?:{_NUMBER}|{_LABEL}|{_BULLET})\s*", re.VERBOSE | re.IGNORECASE)
_EMPHASISED_MARKER = re.compile(
    rf"(\*{{1,3}}|_{{1,3}})(?:(?:{_NUMBER}|{_LABEL})\1|(?:{_LABEL_WORD}\s)?\#?\d{{1,3}}\1\s*[.:：)])\s*",
    re.VERBOSE | re.IGNORECASE,
)
_PAIRS = (
    ("***", "***"),
    ("**", "**"),
    ("__", "__"),
    ("*", "*"),
    ("_", "_"),
    ("``", "''"),
    ("`", "`"),
    ('"', '"'),
    ("'", "'"),
    ("“", "”"),
    ("‘", "’"),
    ("„", "“"),
    ("„", "”"),
    ("‚", "‘"),
    ("”", "”"),
    ("«", "»"),
    ("»", "«"),
    ("‹", "›"),
    ("「", "」"),
    ("『", "』"),
    ("《", "》"),
)
_INVISIBLE = "\ufeff\u200b"
_ROUNDS = 4
"""A line may have a bullet, a number and two pairs of marks: `- **1. "Use X."**`."""


def clean_line(text: str) -> str:
    """Return a line without numbering, bullets and the marks that stand around the whole of it."""
    line = text.strip().strip(_INVISIBLE).strip()
    for _ in range(_ROUNDS):
        bare = _unwrap(_drop_marker(line))
        if bare == line:
            break
        line = bare
    return line


def _drop_marker(line: str) -> str:
    marker = _EMPHASISED_MARKER.match(line) or _MARKER.match(line)
    return line[marker.end() :].strip() if marker else line


def _unwrap(line: str) -> str:
    """Take off a pair of marks around the whole; a full stop after it stays, a comma (as between strings) goes."""
    for end in ("", ".", "!", "。", ",", ";"):
        body = line.removesuffix(end) if line.endswith(end) else ""
        for opening, closing in _PAIRS:
            if len(body) > len(opening + closing) and body.startswith(opening) and body.endswith(closing):
                inside = body[len(opening) : -len(closing)]
                if _stands_around(inside, opening, closing):
                    inside = inside.strip()
                    return inside if end in ",;" or inside.endswith((".", "!", "?", "。")) else inside + end
    return line


def _stands_around(inside: str, opening: str, closing: str) -> bool:
    """Tell whether the opening mark is closed by the last one only, and not earlier within the text."""
    depth, at = 1, 0
    while at < len(inside) and depth:
        mark = next((mark for mark in (opening, closing) if inside.startswith(mark, at)), "")
        if mark:
            before, after = inside[at - 1 : at], inside[at + len(mark) : at + len(mark) + 1]
            if opening == closing:
                opens = not before or before.isspace() or before in "([{"
                depth += 1 if opens else 0 if _joins_letters(mark, before, after) else -1
            elif not _joins_letters(mark, before, after):
                depth += 1 if mark == opening else -1
        at += len(mark) or 1
    return depth == 1


def _joins_letters(mark: str, before: str, after: str) -> bool:
    """Tell whether a mark is an apostrophe, as in "don't", or the underscore of a name, and so closes nothing."""
    return mark in "'’_*" and before.isalnum() and after.isalnum()


def is_layout(line: str) -> bool:
    """Tell whether a line is layout without content: a fence, a rule, a row of a table, a bracket."""
    return line.startswith(("```", "~~~", "|")) or not any(map(str.isalnum, line))


def make_key(instruction: str) -> str:
    """Return a key that two copies of an instruction share if their words are the same."""
    return " ".join(clean_line(" ".join(unicodedata.normalize("NFC", instruction).split())).split())
