"""Outcomes of running a function, the limits it runs in, and the cleaning of details for records."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, get_type_hints

from autoif.given_values import check_type
from autoif.records import Verdict


class Outcome(NamedTuple):
    """The verdict of one function on one input."""

    verdict: Verdict
    detail: str = ""
    """Why it is neither pass nor fail; free of addresses and times, so that runs compare byte for byte."""
    seconds: float = 0.0
    loaded: bool = True
    """False if the source gave no `evaluate` to call: a syntax error, a missing module, no such function."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a function may use."""

    timeout_s: float = 2.0
    """Wall-clock seconds for one input (loading the function counts as the first input's)."""
    memory_mb: int = 256
    """Address space of the child beyond what it starts with, in MiB."""
    output_bytes: int = 1 << 16
    """Longest detail or output that is read from a child; the rest is cut."""
    total_s: float | None = None
    """Wall-clock seconds for a call of up to 2,048 inputs; None is no limit. Inputs without time left are timeouts."""
    packages: tuple[str, ...] = ()
    """Installed packages that it may import, by import name. Packages that these import must be named as well."""

    def __post_init__(self) -> None:
        """Raises ConfigError if a value has a wrong type."""
        for name, kind in get_type_hints(type(self)).items():
            check_type(name, getattr(self, name), Sequence[str] if name == "packages" else kind)
        object.__setattr__(self, "packages", tuple(self.packages))


LONGEST_DETAIL: Final = 300

_ADDRESS: Final = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
_SPACE: Final = re.compile(r"\s+")


class DetailCleaner:
    """Called with a detail that a child wrote, returns the text that is kept."""

    def __init__(self, hidden: Iterable[str]) -> None:
        folders = sorted({folder.rstrip("/") for folder in hidden} - {""}, key=len, reverse=True)
        self._hidden = re.compile("|".join(map(re.escape, folders))) if folders else None

    def __call__(self, detail: bytes) -> str:
        """Replace memory addresses, folders of this machine, line breaks and unprintable characters; cut at
        `LONGEST_DETAIL`."""
        if not detail:
            return ""
        text = _ADDRESS.sub("0x…", detail.decode("utf-8", "replace"))
        if self._hidden is not None:
            text = self._hidden.sub("…", text)
        text = _SPACE.sub(" ", text)
        if not text.isprintable():
            text = "".join(character if character.isprintable() else "\ufffd" for character in text)
        return text if len(text) <= LONGEST_DETAIL else text[: LONGEST_DETAIL - 1] + "…"
