"""Limits how many requests, and how many bytes of them, the server holds at the same time."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from time import monotonic
from typing import Final

from autoif.service.schemas import Refusal

_LONGEST_WAIT_S: Final = 30
_REMEMBERED: Final = 64
"""Finished requests from which the waiting time is estimated."""
_FIRST_BYTES_S: Final = 2.0
_SLOWEST_SENDER: Final = 2_000_000
"""Bytes a second. A slower body is tolerated only while nobody else needs its room."""


class Place:
    """What one request takes up in the server. Made by `Admission.admit`."""

    def __init__(self, admission: "Admission") -> None:
        self.held_bytes = 0
        self.queued = False
        self.gave_way = False
        """Whether it lost its room, because its body came slowly and others needed the room."""
        self.stop_receiving: Callable[[], None] | None = None
        """Ends the wait for more of the body; None while nothing waits for it."""
        self._admission = admission
        self._began = monotonic()

    def hold(self, more_bytes: int) -> None:
        """Count `more_bytes` for this request, unless it gave way. Raises Refusal: `queue_full`."""
        if not self.gave_way:
            self._admission.make_room(more_bytes, besides=self)
            self._admission.held_bytes += more_bytes
            self.held_bytes += more_bytes

    def enter_queue(self) -> None:
        """Count as a request that is worked on, now that its body has arrived. Raises Refusal: `queue_full`."""
        self._admission.require_place()
        self._admission.requests += 1
        self.queued = True

    def is_slow(self, now: float) -> bool:
        """Tell whether part of the body has arrived, and the rest comes too slowly."""
        due_s = _FIRST_BYTES_S + self.held_bytes / _SLOWEST_SENDER
        return self.held_bytes > 0 and self.stop_receiving is not None and now - self._began > due_s

    def give_way(self) -> None:
        """Free its bytes for other requests, and stop receiving its body."""
        self.gave_way = True
        self._admission.held_bytes -= self.held_bytes
        self.held_bytes = 0
        if self.stop_receiving is not None:
            self.stop_receiving()


class Admission:
    """Counts what is under way, until the client has taken its answer.

    Bytes count as they arrive; a request counts when its whole body has arrived.
    """

    def __init__(self, requests: int, most_bytes: int) -> None:
        self.requests = 0
        self.held_bytes = 0
        self.idle = asyncio.Event()
        """Set while nothing is under way."""
        self.idle.set()
        self._open: dict[Place, None] = {}
        """In order of arrival."""
        self._most_requests = requests
        self._most_bytes = most_bytes
        self._done: deque[float] = deque(maxlen=_REMEMBERED)

    @contextmanager
    def admit(self) -> Iterator[Place]:
        """Let in a request whose body is still to come. Raises Refusal: `queue_full`."""
        self.require_place()
        place = Place(self)
        self._open[place] = None
        self.idle.clear()
        try:
            yield place
        finally:
            del self._open[place]
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

    def make_room(self, more_bytes: int, *, besides: Place) -> None:
        """Make slow bodies give way until there is room; otherwise a few slow clients could hold all of it.

        A request larger than the whole room is let in while it is the only one. Raises Refusal: `queue_full`.
        """
        now = monotonic()
        while self.held_bytes > besides.held_bytes and self.held_bytes + more_bytes > self._most_bytes:
            slow = next((place for place in self._open if place is not besides and place.is_slow(now)), None)
            if slow is None:
                raise self._refuse()
            slow.give_way()

    def _refuse(self) -> Refusal:
        wait_s = self.estimate_wait_s()
        message = f"{self.requests} requests are under way: try again in {wait_s} s"
        return Refusal("queue_full", message, {"Retry-After": str(wait_s)})

    def estimate_wait_s(self) -> int:
        """Return after how many whole seconds half the requests will be done, judging by the last ones; at least 1."""
        if len(self._done) < 2:
            return 1
        each_s = (monotonic() - self._done[0]) / len(self._done)
        return min(_LONGEST_WAIT_S, max(1, ceil(self.requests / 2 * each_s)))
