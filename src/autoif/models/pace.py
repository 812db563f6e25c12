"""How many requests to keep in flight at one endpoint: additive increase, multiplicative decrease.

As in TCP: every answer widens the window a little; being told to slow down halves it, once for all the requests that
were under way at that moment. A server that says how long to wait is left alone until then.
"""

import asyncio
import heapq
import itertools
import time
from contextlib import suppress


class Pace:
    """A window of requests in flight, at most `most` wide and at least one."""

    def __init__(self, most: int) -> None:
        self.in_flight = 0
        self.answered = 0
        """Requests that got an answer."""
        self.answered_at = 0.0
        """When the last of them did, on the event loop's clock: tells whether a busy server still serves anyone."""
        self.most = most
        """How wide the window may get."""
        self._window = float(most)
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._arrivals = itertools.count()
        self._started = 0
        self._forgiven = 0
        self._resume_at = 0.0
        self._said_wait_until = 0.0
        """The same on a clock that other threads can read."""
        self._hurry = asyncio.Event()

    @property
    def window(self) -> int:
        """The present width."""
        return int(self._window)

    @property
    def waiting(self) -> int:
        """Requests that wait for a place in it."""
        return sum(not turn.done() for _, _, turn in self._waiting)

    @property
    def is_told_to_wait(self) -> bool:
        """Whether the server has said to leave it alone for now."""
        return self._said_wait_until > time.monotonic()

    async def enter(self, rank: int = 0) -> int:
        """Wait for a place in the window; return the number of this start, for `slow_down`.

        Of those that wait, the lowest rank goes first, and of equals the one that came first.
        """
        if self.in_flight < self.window and not self._waiting:
            self.in_flight += 1
        else:
            await self._queue(rank)
        try:
            while (wait_s := self._resume_at - asyncio.get_running_loop().time()) > 0 and not self._hurry.is_set():
                await self.pause(wait_s)
        except asyncio.CancelledError:
            self.leave()
            raise
        self._started += 1
        return self._started

    def leave(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
        self._admit()

    def speed_up(self) -> None:
        """Count an answer and widen the window, by one for a whole window of answers."""
        self.answered += 1
        self.answered_at = asyncio.get_running_loop().time()
        if self._window < self.most:
            self._window = min(self.most, self._window + 1 / self._window)
            self._admit()

    def slow_down(self, start: int, wait_s: float = 0.0) -> None:
        """Halve the window, unless that was done since start number `start`; start nothing for `wait_s` seconds."""
        self._resume_at = max(self._resume_at, asyncio.get_running_loop().time() + wait_s)
        self._said_wait_until = max(self._said_wait_until, time.monotonic() + wait_s)
        if start > self._forgiven:
            self._window = max(1.0, self._window / 2)
            self._forgiven = self._started

    async def pause(self, wait_s: float) -> None:
        """Sleep, at most until `hurry` is called."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._hurry.wait()

    def hurry(self) -> None:
        """End all waiting for a time, now and later: the client is closing."""
        self._hurry.set()

    async def _queue(self, rank: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._arrivals), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def _admit(self) -> None:
        while self._waiting and self.in_flight < self.window:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)
