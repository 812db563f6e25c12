"""Functions on texts, in turns: each source once per request over all its texts, and no request in another's way."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from autoif.records import Verdict
from autoif.sandbox import TEXTS_AT_ONCE, Outcome, Sandbox
from autoif.service.answers import Judged, Row
from autoif.service.fairness import Share, Turns
from autoif.service.reading import Work

_REMEMBERED: Final = 10_000
_LIMITS_OF_A_TURN: Final = 4
_MARGIN_S: Final = 1.0


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
        """Return, for each source, what it said of each of its texts, in order; details are cut to so many characters.

        Cancelling it gives its workers back at once. Raises SandboxError.
        """
        judged = Judged()
        share = Share(timed_out=any(hash(source) in self._hanging for source in work))
        sources = iter(work.items())

        async def run_the_rest() -> None:
            for source, texts in sources:
                judged[source] = await self._run(source, texts, share, longest_detail)

        self._live[share] = work
        try:
            async with asyncio.TaskGroup() as runners:
                for _ in range(min(self._turns.width, len(work))):
                    runners.create_task(run_the_rest())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            del self._live[share]
            self.begun -= share.begun
        return judged

    async def _run(self, source: str, texts: Sequence[str], share: Share, longest_detail: int) -> Row:
        """Return the verdicts that `Sandbox.run` gives.

        What a function keeps from one text to the next ends where it ends there: after so many texts, and after a text
        that took too long. A turn ends in these places only; one that is broken off elsewhere begins again.
        """
        row = Row()
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
                # It would only fail to load again, and that can take a whole time limit.
                row.add([found[-1]] * (len(texts) - len(row)), longest_detail)
        if not hung:
            self._hanging.pop(hash(source), None)
        return row

    def _warn_of(self, source: str) -> None:
        """Note that a function hangs, for all requests with it: trainers send the same ones again and again."""
        self._hanging[hash(source)] = None
        self._hanging.move_to_end(hash(source))
        if len(self._hanging) > _REMEMBERED:
            self._hanging.popitem(last=False)
        for share, work in self._live.items():
            share.timed_out |= source in work

    async def _run_turn(self, source: str, texts: Sequence[str], patience_s: float) -> list[Outcome]:
        """Return the outcomes up to a text that timed out; none if the turn was broken off, as others waited long."""
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
