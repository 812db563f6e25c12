"""Writes Markdown. Names and texts from elsewhere are escaped, so that they are never read as markup."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence

_SPECIAL = re.compile(r"[\\`*<|~&$]|(?<!\w)_|_(?!\w)|\](?=[(\[:])")
"""Characters that Markdown would interpret within a line: no underscore within a word, no bracket without a link."""


def escape_markdown(text: str) -> str:
    """Return the text in one line, escaped so that Markdown shows it unchanged."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.splitlines()))


def show_code(text: str) -> str:
    """Return the text as inline code, also for cells of tables; no character in it can end the code."""
    return "`" + " ".join(text.replace("`", "'").splitlines()).replace("|", "\\|") + "`"


def write_table(columns: Sequence[str], rows: Iterable[Sequence[object]], rules: Sequence[str] = ()) -> list[str]:
    """Return the lines of a table; `rules` may align columns to the right, as in "--:"."""
    lines = [columns, rules or ["---"] * len(columns), *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines]


def write_front_matter(values: Mapping[str, object]) -> list[str]:
    """Return the lines of a card's YAML, its values written as JSON, which YAML includes."""
    return ["---", *(f"{key}: {json.dumps(value)}" for key, value in values.items()), "---"]
