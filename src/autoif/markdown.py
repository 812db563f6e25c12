"""Markdown that we write: names and texts of others are shown as they are, never read as markup."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence

_SPECIAL = re.compile(r"[\\`*<|~&$]|(?<!\w)_|_(?!\w)|\](?=[(\[:])")
"""What would be read as Markdown within a line; an underscore within a word and a bracket without a link are not."""


def escape_markdown(text: str) -> str:
    """Return text of one line that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.splitlines()))


def show_code(text: str) -> str:
    """Return text as code within a line or a cell of a table, which no mark in it can end."""
    return "`" + " ".join(text.replace("`", "'").splitlines()).replace("|", "\\|") + "`"


def write_table(columns: Sequence[str], rows: Iterable[Sequence[object]], rules: Sequence[str] = ()) -> list[str]:
    """Return the lines of a table; `rules` may set columns to the right, as in "--:"."""
    lines = [columns, rules or ["---"] * len(columns), *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines]


def write_front_matter(values: Mapping[str, object]) -> list[str]:
    """Return the lines of a card's YAML, its values written as JSON, which YAML includes."""
    return ["---", *(f"{key}: {json.dumps(value)}" for key, value in values.items()), "---"]
