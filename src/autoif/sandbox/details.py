"""Details made fit for records: one line, short, and the same on every machine."""

import re
from collections.abc import Iterable
from typing import Final

LONGEST: Final = 300

_ADDRESS: Final = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
_SPACE: Final = re.compile(r"\s+")


class DetailCleaner:
    """Called with what a child wrote, returns what is kept of it."""

    def __init__(self, hidden: Iterable[str]) -> None:
        folders = sorted({folder.rstrip("/") for folder in hidden} - {""}, key=len, reverse=True)
        self._hidden = re.compile("|".join(map(re.escape, folders))) if folders else None

    def __call__(self, detail: bytes) -> str:
        """Strip memory addresses, folders of this machine, line breaks and unprintable characters; cut the rest."""
        if not detail:
            return ""
        text = _ADDRESS.sub("0x…", detail.decode("utf-8", "replace"))
        if self._hidden is not None:
            text = self._hidden.sub("…", text)
        text = _SPACE.sub(" ", text)
        if not text.isprintable():
            text = "".join(character if character.isprintable() else "\ufffd" for character in text)
        return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
