"""How much the server takes on: so many requests and so many bytes, and not one more."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from time import monotonic
from typing import Final

from autoif.service.refusals import Refusal

_LONGEST_WAIT_S: Final = 30
_REMEMBERED: Final = 64


class Admission:
    """Counts what is under way. A request holds its place from before its body is read until its answer is made."""

    def __init__(self, requests: int, body_bytes: int) -> None:
        self.requests = 0
        self.idle = asyncio.Event()
        """Set while nothing is under way."""
        self.idle.set()
        self._most_requests = requests
        self._most_bytes = body_bytes
        self._bytes = 0
        self._done: deque[float] = deque(maxlen=_REMEMBERED)

    @contextmanager
    def admit(self, body_bytes: int) -> Iterator[None]:
        """Hold a place for a request with so large a body. Raises Refusal: `queue_full`."""
        # A body that is larger than the whole budget is let in alone.
        if self.requests >= self._most_requests or (self._bytes and self._bytes + body_bytes > self._most_bytes):
            wait_s = self.estimate_wait_s()
            message = f"{self.requests} requests are under way: try again in {wait_s} s"
            raise Refusal("queue_full", message, {"Retry-After": str(wait_s)})
        self.requests += 1
        self.idle.clear()
        self._bytes += body_bytes
        try:
            yield
        finally:
            self.requests -= 1
            self._bytes -= body_bytes
            self._done.append(monotonic())
            if not self.requests:
                self.idle.set()

    def estimate_wait_s(self) -> int:
        """Return in how many whole seconds half the places will be free, going by the last requests; at least 1."""
        if len(self._done) < 2:
            return 1
        each_s = (monotonic() - self._done[0]) / len(self._done)
        return min(_LONGEST_WAIT_S, max(1, ceil(self.requests / 2 * each_s)))
