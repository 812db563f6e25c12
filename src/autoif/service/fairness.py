"""Who gets the next free worker: the first come among the requests that have used the workers least.

A worker that has begun can't be interrupted without losing it, so what is handed out is a *turn*: one function on all
its texts, or up to the first that takes too long. Between turns the choice is made anew. Two rules keep a request whose
functions hang from delaying the others:

* requests are on levels by the worker time that they have used, the turns that they are having included: below 0.1 s,
  below 0.2 s, below 0.4 s, and so on. The lowest level goes first, and within a level who came first, so that small
  requests are finished one after the other and not all at the end;
* requests in which a text has timed out, or with a function that timed out in another one, never hold all workers at
  the same time (unless there is but one).

So a request of quick functions waits for a turn to end, and not for a request to end, however many hostile ones wait.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import Final

_FIRST_LEVEL_S: Final = 0.1

Turn = asyncio.Future[float]
"""Done when the turn begins, with the time at which it does."""


@dataclass(eq=False, slots=True)
class Share:
    """What one request has had of the workers."""

    used_s: float = 0.0
    timed_out: bool = False
    begun: bool = False
    turns: list[float] = field(default_factory=list)
    """When each turn that it is having began."""
    waiting: deque[Turn] = field(default_factory=deque)

    number: int = field(default_factory=count().__next__)
    """In the order of coming."""

    def rank(self, now: float) -> tuple[int, int]:
        """Return its level and its place there; the lowest goes first."""
        total_s = self.used_s + sum(now - began for began in self.turns)
        return int(total_s / _FIRST_LEVEL_S).bit_length(), self.number


class Turns:
    """Hands out `width` workers, one turn at a time."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._slow_width = max(1, width - 1)
        self._running: list[Share] = []
        self._waiting: dict[Share, None] = {}

    @property
    def others_wait(self) -> bool:
        """Whether a turn that goes on keeps somebody waiting."""
        return bool(self._waiting)

    @asynccontextmanager
    async def take(self, share: Share) -> AsyncIterator[bool]:
        """Wait for a worker; have it within the block. True for the first turn of a request."""
        turn: Turn = asyncio.get_running_loop().create_future()
        share.waiting.append(turn)
        self._waiting[share] = None
        self._hand_out()
        try:
            began = await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # turn and cancellation came together
                self._end(share, turn.result())
            elif turn in share.waiting:
                share.waiting.remove(turn)
                self._forget(share)
            raise
        first, share.begun = not share.begun, True
        try:
            yield first
        finally:
            self._end(share, began)

    def _hand_out(self) -> None:
        while len(self._running) < self.width and (share := self._choose()) is not None:
            turn = share.waiting.popleft()
            self._forget(share)
            if not turn.cancelled():
                began = monotonic()
                share.turns.append(began)
                self._running.append(share)
                turn.set_result(began)

    def _end(self, share: Share, began: float) -> None:
        share.turns.remove(began)
        share.used_s += monotonic() - began
        self._running.remove(share)
        self._hand_out()

    def _choose(self) -> Share | None:
        """Return whose turn it is."""
        now = monotonic()
        slow_full = sum(share.timed_out for share in self._running) >= self._slow_width
        candidates = [share for share in self._waiting if not (slow_full and share.timed_out)]
        return min(candidates, key=lambda share: share.rank(now), default=None)

    def _forget(self, share: Share) -> None:
        if not share.waiting:
            self._waiting.pop(share, None)
