"""The workers of a sandbox: what becomes of a call whose worker ends, and of a worker that ends between calls."""

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from autoif.records import Verdict
from autoif.sandbox import Limits, Sandbox
from autoif.sandbox.outcomes import Outcome
from autoif.sandbox.pool import WorkerDied, WorkerPool

PASSES = [Outcome(Verdict.PASS, "")]
SOURCE = "def evaluate(response): return True"


class Worker:
    """A worker that ends when a call is its last; `ended` is what befalls it from elsewhere."""

    def __init__(self, *, lasts: bool) -> None:
        self._lasts = lasts
        self.ended = False

    @property
    def is_alive(self) -> bool:
        return not self.ended

    async def call(self, source: str, inputs: Sequence[str], *, until_timeout: bool) -> list[Outcome]:
        if self.ended or not self._lasts:
            raise WorkerDied("it hung up")
        await asyncio.sleep(0)
        return PASSES

    async def end(self) -> None:
        self.ended = True

    def describe(self) -> str:
        return "nothing"


@pytest.mark.parametrize(
    ("lasting", "killed", "verdict"),
    [
        ([True], 0, Verdict.PASS),
        ([False, True], 0, Verdict.PASS),
        ([False, False], 0, Verdict.CRASH),
        ([True, True], 1, Verdict.PASS),
        ([True, False, True], 1, Verdict.PASS),  # that it had ended before was no try of the function
        ([True, False, False], 1, Verdict.CRASH),
        ([True, True, False, True], 2, Verdict.PASS),
    ],
)
async def test_a_function_is_tried_in_two_workers_that_were_alive(
    lasting: list[bool], killed: int, verdict: Verdict
) -> None:
    workers = [Worker(lasts=lasts) for lasts in lasting]
    left = iter(workers)

    async def start() -> Worker:
        return next(left)

    async with WorkerPool("test", start, max(1, killed)) as pool:
        await asyncio.gather(*(pool.run(SOURCE, ["text"]) for _ in range(killed)))  # at once: all are started
        for worker in workers[:killed]:
            worker.ended = True
        [outcome] = await pool.run(SOURCE, ["text"])
    assert outcome.verdict is verdict


async def test_only_as_many_workers_are_started_as_calls_run_at_once() -> None:
    started = list[Worker]()

    async def start() -> Worker:
        started.append(Worker(lasts=True))
        return started[-1]

    async with WorkerPool("test", start, 8) as pool:
        assert len(started) == 1
        for _ in range(5):
            await pool.run(SOURCE, ["text"])
        assert len(started) == 1
        await asyncio.gather(*(pool.run(SOURCE, ["text"]) for _ in range(3)))
        assert len(started) == 3
        await asyncio.gather(*(pool.run(SOURCE, ["text"]) for _ in range(20)))
        assert len(started) == 8
    assert all(worker.ended for worker in started)


def descendants(pid: int) -> list[int]:
    """Return the processes below one, parents first."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [each for child in children for each in (child, *descendants(child))]


async def test_who_waits_for_a_worker_has_a_turn_before_those_that_come_again_and_again() -> None:
    source = "def evaluate(response): return len(response) > 3"
    async with Sandbox(backend="cpython", workers=1) as sandbox:

        async def ask_again_and_again() -> None:
            while True:
                await sandbox.run(source, ["long"])

        busy = [asyncio.create_task(ask_again_and_again()) for _ in range(20)]
        await asyncio.sleep(0.05)
        try:
            (outcome,) = await asyncio.wait_for(sandbox.run_until_timeout(source, ["long"]), 10)
        finally:
            for each in busy:
                each.cancel()
            await asyncio.gather(*busy, return_exceptions=True)
    assert outcome.verdict is Verdict.PASS


async def test_time_in_which_everything_stands_still_is_not_the_functions() -> None:
    source = "import time\ndef evaluate(response):\n    time.sleep(0.5)\n    return True"
    async with Sandbox(Limits(timeout_s=2), backend="cpython", workers=1) as sandbox:
        [worker] = sandbox._backend._alive
        call = asyncio.create_task(sandbox.run(source, ["a", "b"]))
        while len(paused := descendants(worker._process.pid)) < 2:  # the zygote and the function's process
            assert not call.done()
            await asyncio.sleep(0.01)
        for pid in paused:
            os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(2.5)
        for pid in paused:
            os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(0.05)  # the zygote looks at the clock before the function goes on
        assert [outcome.verdict for outcome in await call] == [Verdict.PASS, Verdict.PASS]
