"""How many requests to keep in flight at one address, and whether any: additive increase, multiplicative decrease.

As in TCP: every answer widens the window a little; being told to slow down halves it, once for all requests under way.
A server that says how long to wait is left alone until then. One that fails again and again is gone: it gets a single
request now and then, until it answers one.
"""

import time
from dataclasses import dataclass

_FAILURES = 5
"""In a row, with no answer in between, after which an address is gone."""
_LONGEST_PROBE = 30
"""How many times its first wait the wait between two tries at an address that is gone may become."""


@dataclass(frozen=True, slots=True)
class Place:
    """A request's place in the window of one address."""

    address: int
    """Which of the addresses, counted from 0."""
    start: int
    """The number of this start at that address: tells what was under way when the server complained."""


class Pace:
    """A window of requests in flight, at most `most` wide and at least one; shut while its address is gone."""

    def __init__(self, most: int, *, retry_wait_s: float = 0.5, slow_s: float = 0.0) -> None:
        """An answer that took longer than `slow_s` narrows the window as being told to does; 0: however long."""
        self.in_flight = 0
        self.answered = 0
        """Requests that got an answer."""
        self.answered_at = 0.0
        """When the last of them did: tells whether a busy server still serves anyone."""
        self.sent_at = 0.0
        """When the newest of those that were answered was sent: a server that goes down may still answer older ones."""
        self.most = most
        """How wide the window may get."""
        self.busy = 0
        """How often the window was halved for that since the last answer."""
        self.left_out = ""
        """Why nothing more is sent there; "" while something is."""
        self.gone_since = 0.0
        """When it stopped answering; 0 while it answers."""
        self._retry_wait_s = retry_wait_s
        self._slow_s = slow_s
        self._window = float(most)
        self._started = 0
        self._forgiven = 0
        self._resume_at = 0.0
        self._failures = 0
        self._probe = 0
        """The start of the one request that tries an address which is gone; 0 if none is under way."""
        self._probe_at = 0.0
        self._probe_wait_s = 0.0

    @property
    def window(self) -> int:
        return int(self._window)

    @property
    def is_told_to_wait(self) -> bool:
        """Whether the server has said to leave it alone for now."""
        return self._resume_at > time.monotonic()

    @property
    def is_up(self) -> bool:
        """Whether it may be asked, as far as is known."""
        return not self.left_out and not self.gone_since

    @property
    def load(self) -> float:
        """How full the window is with one request more; one that fails at the moment counts as fuller."""
        return (self.in_flight + 1) / self.window * (1 + self._failures)

    @property
    def opens_at(self) -> float:
        """The moment before which time alone gives it no room."""
        return max(self._resume_at, self._probe_at if self.gone_since else 0.0)

    def has_room(self, now: float) -> bool:
        """Tell whether a request may start."""
        if self.left_out or now < self.opens_at:
            return False
        return not self._probe if self.gone_since else self.in_flight < self.window

    def start(self) -> int:
        """Take a place; return the number of this start."""
        self.in_flight += 1
        self._started += 1
        if self.gone_since:
            self._probe = self._started
        return self._started

    def leave(self, start: int) -> None:
        self.in_flight -= 1
        if start == self._probe:
            self._probe = 0

    def speed_up(self, start: int = 0, seconds: float = 0.0) -> None:
        """Count an answer that took so long, and widen the window by one for a whole window of answers."""
        self.answered += 1
        self.answered_at = time.monotonic()
        self.sent_at = max(self.sent_at, self.answered_at - seconds)
        self.busy = 0
        self.respond()
        if 0 < self._slow_s < seconds:
            self._narrow(start)
        elif self._window < self.most:
            self._window = min(self.most, self._window + 1 / self._window)

    def slow_down(self, start: int, wait_s: float = 0.0) -> None:
        """Halve the window, unless that was done since start number `start`; start nothing for `wait_s` seconds."""
        self.busy += start > self._forgiven
        self._resume_at = max(self._resume_at, time.monotonic() + wait_s)
        self._narrow(start)

    def respond(self) -> None:
        """Note that somebody is there, whatever was said."""
        self._failures = 0
        self.gone_since = self._probe_wait_s = 0.0

    def fail(self, *, surely: bool = False) -> None:
        """Count a failure to respond; after some in a row, or where it is sure, the address is gone for a while."""
        self._failures += 1
        now = time.monotonic()
        if self.gone_since or surely or self._failures >= _FAILURES:
            self.gone_since = self.gone_since or now
            if now >= self._probe_at:  # those that fail together count once
                longest = _LONGEST_PROBE * self._retry_wait_s
                self._probe_wait_s = min(longest, self._probe_wait_s * 2 or self._retry_wait_s)
                self._probe_at = now + self._probe_wait_s

    def _narrow(self, start: int) -> None:
        if start > self._forgiven:
            self._window = max(1.0, self._window / 2)
            self._forgiven = self._started
