"""Schedules requests on the workers: a free worker goes to a request that has used little worker time so far.

A worker can't be interrupted without losing it, so it is handed out for a *turn*: one function on its next texts (at
most `TEXTS_AT_ONCE`), up to the first that times out. After each turn the next request is chosen:

* Requests are on levels by the worker time that they have used: below 0.1 s, below 0.2 s, below 0.4 s, and so on. The
  lowest level goes first; within a level, the request that came first.
* Requests with a function that has timed out never hold all workers at the same time (unless there is only one).

So a request of quick functions waits for no more than a turn to end, however many hostile requests wait.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import Final

from autoif.records import Verdict
from autoif.sandbox import TEXTS_AT_ONCE, Outcome, Sandbox
from autoif.service.bodies import FunctionAnswer, Judged, Work
from autoif.together import run_together

_FIRST_LEVEL_S: Final = 0.1
_REMEMBERED: Final = 10_000
"""Functions that hung, of which the hashes are kept."""
_LIMITS_OF_A_TURN: Final = 4
"""Time limits of one text after which a turn is broken off, if other requests wait."""
_MARGIN_S: Final = 1.0

Turn = asyncio.Future[float]
"""Done when the turn begins; the result is that time."""


@dataclass(eq=False, slots=True)
class Share:
    """What one request has used of the workers, and the turns that it waits for."""

    used_s: float = 0.0
    timed_out: bool = False
    """Whether one of its functions is known to time out."""
    begun: bool = False
    turns: list[float] = field(default_factory=list)
    """When each of its running turns began."""
    waiting: deque[Turn] = field(default_factory=deque)

    number: int = field(default_factory=count().__next__)
    """Its place in the order of arrival."""

    def rank(self, now: float) -> tuple[int, int]:
        """Return its level and its number; the request with the lowest rank goes first."""
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
        """Whether any request waits for a worker."""
        return bool(self._waiting)

    @asynccontextmanager
    async def take(self, share: Share) -> AsyncIterator[bool]:
        """Wait for a worker, and hold it within the block. Yield True for the first turn of a request."""
        turn: Turn = asyncio.get_running_loop().create_future()
        share.waiting.append(turn)
        self._waiting[share] = None
        self._hand_out()
        try:
            began = await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # the turn began just when the task was cancelled
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
        """Return the request that gets the next turn; None if none may have it now."""
        now = monotonic()
        slow_full = sum(share.timed_out for share in self._running) >= self._slow_width
        candidates = [share for share in self._waiting if not (slow_full and share.timed_out)]
        return min(candidates, key=lambda share: share.rank(now), default=None)

    def _forget(self, share: Share) -> None:
        if not share.waiting:
            self._waiting.pop(share, None)


class Verifier:
    """Shares one sandbox among requests."""

    def __init__(self, sandbox: Sandbox, workers: int, timeout_s: float) -> None:
        self.begun = 0
        """Requests that have had a turn and are not done."""
        self._sandbox = sandbox
        self._turns = Turns(workers)
        self._live: dict[Share, Work] = {}
        self._hanging: OrderedDict[int, None] = OrderedDict()
        self._longest_turn_s = _LIMITS_OF_A_TURN * timeout_s + _MARGIN_S

    async def judge(self, work: Work, longest_detail: int) -> Judged:
        """Run each function on its texts; return its verdicts, with details cut to `longest_detail` characters.

        Cancelling it frees its workers at once. Raises SandboxError.
        """
        judged = Judged()
        share = Share(timed_out=any(hash(source) in self._hanging for source in work))
        sources = iter(work.items())

        async def run_the_rest() -> None:
            for source, texts in sources:
                judged[source] = await self._run(source, texts, share, longest_detail)

        self._live[share] = work
        try:
            await run_together(run_the_rest() for _ in range(min(self._turns.width, len(work))))
        finally:
            del self._live[share]
            self.begun -= share.begun
        return judged

    async def _run(self, source: str, texts: Sequence[str], share: Share, longest_detail: int) -> FunctionAnswer:
        """Return the same verdicts as `Sandbox.run`.

        State that a function keeps between texts is lost after the same texts as there (`TEXTS_AT_ONCE`, timeouts), as
        turns end after these texts. A turn that is broken off before begins again at its first text.
        """
        row = FunctionAnswer()
        patience_s = self._longest_turn_s
        hung = False
        while len(row) < len(texts):
            done = len(row)
            part = texts[done : done - done % TEXTS_AT_ONCE + TEXTS_AT_ONCE]
            async with self._turns.take(share) as first:
                self.begun += first
                found = await self._run_turn(source, part, patience_s)
                if not found or found[-1].verdict is Verdict.TIMEOUT:
                    hung = True
                    self._warn_of(source)
            row.add(found, longest_detail)
            if not found:
                patience_s *= 2
            elif not any(outcome.loaded for outcome in found):
                # It would fail to load again, and that can take a whole time limit.
                row.add([found[-1]] * (len(texts) - len(row)), longest_detail)
        if not hung:
            self._hanging.pop(hash(source), None)
        return row

    def _warn_of(self, source: str) -> None:
        """Remember that a function hangs, for all requests that have it: trainers send the same ones repeatedly."""
        self._hanging[hash(source)] = None
        self._hanging.move_to_end(hash(source))
        if len(self._hanging) > _REMEMBERED:
            self._hanging.popitem(last=False)
        for share, work in self._live.items():
            share.timed_out |= source in work

    async def _run_turn(self, source: str, texts: Sequence[str], patience_s: float) -> list[Outcome]:
        """Return the outcomes up to a text that timed out; none if the turn was broken off because others waited."""
        running = asyncio.create_task(self._sandbox.run_until_timeout(source, texts))
        try:
            while not running.done():
                await asyncio.wait({running}, timeout=patience_s)
                if not running.done() and self._turns.others_wait:
                    return []
            return running.result()
        finally:
            if not running.done():
                running.cancel()
                await asyncio.wait({running})
