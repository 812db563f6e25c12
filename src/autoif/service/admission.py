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


class Place:
    """What one request has of the server. Got from `Admission.admit`."""

    def __init__(self, admission: "Admission") -> None:
        self.held_bytes = 0
        self.queued = False
        self._admission = admission

    def hold(self, more_bytes: int) -> None:
        """Count so many more bytes as this request's. Raises Refusal: `queue_full`."""
        self._admission.require_bytes(more_bytes, besides=self)
        self._admission.held_bytes += more_bytes
        self.held_bytes += more_bytes

    def enter_queue(self) -> None:
        """Be one of the requests that are worked on: its body has come. Raises Refusal: `queue_full`."""
        self._admission.require_place()
        self._admission.requests += 1
        self.queued = True


class Admission:
    """Counts what is under way.

    A client that sends nothing holds nothing: bytes count when they have come, and a request when its body has. It
    holds both until its answer has been taken.
    """

    def __init__(self, requests: int, most_bytes: int) -> None:
        self.requests = 0
        self.held_bytes = 0
        self.idle = asyncio.Event()
        """Set while nothing is under way."""
        self.idle.set()
        self._open = 0
        self._most_requests = requests
        self._most_bytes = most_bytes
        self._done: deque[float] = deque(maxlen=_REMEMBERED)

    @contextmanager
    def admit(self) -> Iterator[Place]:
        """Let in a request whose body is still to come. Raises Refusal: `queue_full`."""
        self.require_place()
        place = Place(self)
        self._open += 1
        self.idle.clear()
        try:
            yield place
        finally:
            self._open -= 1
            self.held_bytes -= place.held_bytes
            if place.queued:
                self.requests -= 1
                self._done.append(monotonic())
            if not self._open:
                self.idle.set()

    def require_place(self) -> None:
        """Raise Refusal, `queue_full`, if no more requests are taken on."""
        if self.requests >= self._most_requests:
            raise self._refuse()

    def require_bytes(self, more_bytes: int, *, besides: Place) -> None:
        """Raise Refusal, `queue_full`, if there is no room. A request larger than all the room may be alone in it."""
        others = self.held_bytes - besides.held_bytes
        if others and self.held_bytes + more_bytes > self._most_bytes:
            raise self._refuse()

    def _refuse(self) -> Refusal:
        wait_s = self.estimate_wait_s()
        message = f"{self.requests} requests are under way: try again in {wait_s} s"
        return Refusal("queue_full", message, {"Retry-After": str(wait_s)})

    def estimate_wait_s(self) -> int:
        """Return in how many whole seconds half the places will be free, going by the last requests; at least 1."""
        if len(self._done) < 2:
            return 1
        each_s = (monotonic() - self._done[0]) / len(self._done)
        return min(_LONGEST_WAIT_S, max(1, ceil(self.requests / 2 * each_s)))
