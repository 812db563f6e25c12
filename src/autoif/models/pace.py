"""Decides how many requests to keep in flight at one address: additive increase, multiplicative decrease, as in TCP.

Every answer widens the window a little. A server that is busy halves it, once for all requests under way. A server that
says how long to wait gets nothing until then. One that fails several times in a row counts as gone: it gets a single
request (a probe) now and then, until it answers one.
"""

import time
from dataclasses import dataclass

_FAILURES = 5
"""Failures in a row after which an address counts as gone."""
_LONGEST_PROBE = 30
"""The longest wait between two probes, in multiples of the first."""


@dataclass(frozen=True, slots=True)
class Place:
    """A request's place in the window of one address."""

    address: int
    """Index of the address."""
    start: int
    """Counts the requests started at that address: tells which were under way when the server complained."""


class Pace:
    """The window of requests in flight at one address, from 1 to `most`; closed while the address is gone."""

    def __init__(self, most: int, *, retry_wait_s: float = 0.5, slow_s: float = 0.0) -> None:
        """An answer that took longer than `slow_s` halves the window, as a busy server does; 0 means never."""
        self.in_flight = 0
        self.answered = 0
        """Requests that got an answer."""
        self.answered_at = 0.0
        """When the last answer came: tells whether a busy server still answers anything."""
        self.sent_at = 0.0
        """When the newest answered request was sent: a server that goes down may still answer older ones."""
        self.most = most
        """How wide the window may get."""
        self.busy = 0
        """How often a busy server has halved the window since the last answer."""
        self.left_out = ""
        """Why the address isn't used any more; "" while it is."""
        self.gone_since = 0.0
        """When the address counted as gone; 0 while it answers."""
        self._retry_wait_s = retry_wait_s
        self._slow_s = slow_s
        self._window = float(most)
        self._started = 0
        self._newest_at_halving = 0
        """The newest request when the window was last halved; failures of it and older ones don't halve it again."""
        self._resume_at = 0.0
        self._failures = 0
        self._probe = 0
        """The start number of the probe; 0 if none is under way."""
        self._probe_at = 0.0
        self._probe_wait_s = 0.0

    @property
    def window(self) -> int:
        return int(self._window)

    @property
    def is_told_to_wait(self) -> bool:
        """Whether the server has asked to wait, and the time isn't up."""
        return self._resume_at > time.monotonic()

    @property
    def is_up(self) -> bool:
        """Whether it may be asked, as far as is known."""
        return not self.left_out and not self.gone_since

    @property
    def load(self) -> float:
        """How full the window would be with one more request; failures in a row make it count as fuller."""
        return (self.in_flight + 1) / self.window * (1 + self._failures)

    @property
    def opens_at(self) -> float:
        """The time before which no request may start."""
        return max(self._resume_at, self._probe_at if self.gone_since else 0.0)

    def has_room(self, now: float) -> bool:
        """Return whether a request may start."""
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
        """Count an answer that took `seconds`; a whole window of answers widens the window by one."""
        self.answered += 1
        self.answered_at = time.monotonic()
        self.sent_at = max(self.sent_at, self.answered_at - seconds)
        self.busy = 0
        self.respond()
        if 0 < self._slow_s < seconds:
            self._halve_window(start)
        elif self._window < self.most:
            self._window = min(self.most, self._window + 1 / self._window)

    def slow_down(self, start: int, wait_s: float = 0.0) -> None:
        """Halve the window, unless it was halved after this request started; start nothing for `wait_s` seconds."""
        self.busy += start > self._newest_at_halving
        self._resume_at = max(self._resume_at, time.monotonic() + wait_s)
        self._halve_window(start)

    def respond(self) -> None:
        """Note that the server responded, whatever it said."""
        self._failures = 0
        self.gone_since = self._probe_wait_s = 0.0

    def fail(self, *, surely: bool = False) -> None:
        """Count a failure to respond; after several in a row, or one that is `surely` final, the address is gone."""
        self._failures += 1
        now = time.monotonic()
        if self.gone_since or surely or self._failures >= _FAILURES:
            self.gone_since = self.gone_since or now
            if now >= self._probe_at:  # requests that fail together count once
                longest = _LONGEST_PROBE * self._retry_wait_s
                self._probe_wait_s = min(longest, self._probe_wait_s * 2 or self._retry_wait_s)
                self._probe_at = now + self._probe_wait_s

    def _halve_window(self, start: int) -> None:
        if start > self._newest_at_halving:
            self._window = max(1.0, self._window / 2)
            self._newest_at_halving = self._started
