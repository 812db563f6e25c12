"""Decides which waiting request is sent next, and where: to the least loaded address that has room.

Requests with the lowest rank go first; those of equal rank go in order of arrival.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import Collection, Sequence
from contextlib import suppress

from autoif.models.pace import Pace, Place


class Dealer:
    """Gives requests their places at several addresses, in one event loop."""

    def __init__(self, paces: Sequence[Pace]) -> None:
        self._paces = paces
        self._waiting: list[tuple[int, int, Collection[int], asyncio.Future[Place]]] = []
        self._arrivals = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0
        self._closed: Exception | None = None
        self._closing = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Requests that wait for a place."""
        return sum(not turn.done() for *_, turn in self._waiting)

    async def enter(self, rank: int = 0, avoid: Collection[int] = ()) -> Place:
        """Wait for a place and return it; give it back with `leave`. Those in `avoid` are taken only if no other has
        room. Raises Exception: what `close` was called with."""
        if self._closed is not None:
            raise self._closed
        if not self._waiting and (place := self.find(avoid)):
            return place
        turn: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._arrivals), avoid, turn))
        self.admit()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave(turn.result())
            raise

    def find(self, avoid: Collection[int] = (), *, strictly: bool = False) -> Place | None:
        """Take a free place and return it; None if no address has room.

        An address that is gone and due for another try comes first, then the least loaded one. With `strictly`, the
        addresses in `avoid` are not taken even if no other one has room.
        """
        now = time.monotonic()
        free = [
            (address in avoid, not pace.gone_since, pace.load, address)
            for address, pace in enumerate(self._paces)
            if pace.has_room(now) and not (strictly and address in avoid)
        ]
        if not free:
            return None
        address = min(free)[-1]
        return Place(address, self._paces[address].start())

    def leave(self, place: Place) -> None:
        self._paces[place.address].leave(place.start)
        self.admit()

    async def pause(self, wait_s: float) -> None:
        """Sleep until the time is up or the dealer closes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._closing.wait()

    def close(self, error: Exception) -> None:
        """Give no more places: waiting and later calls of `enter` raise this error."""
        self._closed = error
        self._closing.set()
        if self._timer is not None:
            self._timer.cancel()
        while self._waiting:
            *_, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_exception(error)

    def admit(self) -> None:
        """Give free places to waiting requests."""
        while self._waiting:
            _, _, avoid, turn = self._waiting[0]
            if not turn.done():
                place = self.find(avoid)
                if place is None:
                    self._wake_later()
                    return
                turn.set_result(place)
            heapq.heappop(self._waiting)

    def _wake_later(self) -> None:
        now = time.monotonic()
        moments = [each.opens_at for each in self._paces if not each.left_out and each.opens_at > now]
        if not moments or (now < self._wakes_at <= min(moments)):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._wakes_at = min(moments)
        self._timer = asyncio.get_running_loop().call_later(self._wakes_at - now + 1e-3, self.admit)
