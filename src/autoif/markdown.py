"""Names and texts of others in Markdown that we write: shown as they are, never read as markup."""

import re

_SPECIAL = re.compile(r"[\\`*<|~&$]|(?<!\w)_|_(?!\w)|\](?=[(\[:])")
"""What would be read as Markdown within a line; an underscore within a word and a bracket without a link are not."""


def escape_markdown(text: str) -> str:
    """Return text of one line that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.splitlines()))


def show_code(text: str) -> str:
    """Return text as code within a line or a cell of a table, which no mark in it can end."""
    return "`" + " ".join(text.replace("`", "'").splitlines()).replace("|", "\\|") + "`"
