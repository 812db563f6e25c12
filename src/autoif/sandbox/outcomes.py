"""What running a function came to, and within which limits."""

from dataclasses import dataclass
from typing import NamedTuple

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
    """Longest detail or output that is read from a child before it is cut."""
    total_s: float | None = None
    """Wall-clock seconds for a call of up to 2,048 inputs; None sets no limit. What has no time left is a timeout."""
    packages: tuple[str, ...] = ()
    """Installed packages that it may import, by the names that it imports; what they need is to be named as well."""
