"""The `cpython` backend: W workers, each a locked interpreter that forks a child per function (Linux only)."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Coroutine, Sequence
from types import TracebackType

from autoif.errors import SandboxError
from autoif.records import Verdict
from autoif.sandbox.inside.wire import encode_text
from autoif.sandbox.layers import Layer, describe_layers
from autoif.sandbox.outcomes import Limits, Outcome
from autoif.sandbox.worker import Batch, Worker, WorkerDied


class CPythonBackend:
    """A pool of workers; one that ends, for whatever reason, is replaced before its next use."""

    name = "cpython"

    def __init__(self, limits: Limits, workers: int | None) -> None:
        if not sys.platform.startswith("linux"):
            raise SandboxError("the cpython sandbox needs Linux: run autoif in a Linux machine or container")
        self._limits = limits
        self._width = workers or len(os.sched_getaffinity(0))
        self._idle: asyncio.LifoQueue[Worker | None] = asyncio.LifoQueue()
        self._alive: set[Worker] = set()
        self._closed = False
        self._ending: set[asyncio.Task[None]] = set()
        self._layers: list[Layer] = []
        self._texts: tuple[str, ...] = ()
        self._batch = Batch.of(())

    async def __aenter__(self) -> "CPythonBackend":
        try:
            started = await asyncio.gather(*(self._start_worker() for _ in range(self._width)), return_exceptions=True)
            for worker in started:
                if isinstance(worker, BaseException):
                    raise worker
                self._idle.put_nowait(worker)
                self._layers = worker.layers
        except BaseException:
            await self._end_all()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end_all()

    async def _end_all(self) -> None:
        self._closed = True
        await asyncio.gather(*(worker.end() for worker in self._alive))
        while self._ending:
            await asyncio.gather(*self._ending)

    async def _start_worker(self) -> Worker:
        # A start that is cancelled half-way would leave a process of which nobody knows: let it finish, then end it.
        starting = asyncio.create_task(self._start_whole_worker())
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._await_at_exit(self._end_when_started(starting))
            raise

    async def _end_when_started(self, starting: asyncio.Task[Worker]) -> None:
        with contextlib.suppress(SandboxError):
            worker = await starting
            self._alive.discard(worker)
            await worker.end()

    async def _start_whole_worker(self) -> Worker:
        worker = await Worker.start(self._limits)
        try:
            worker.require_layers()
        except SandboxError:
            await worker.end()
            raise
        self._alive.add(worker)
        return worker

    async def run(self, source: str, inputs: Sequence[str], *, until_timeout: bool = False) -> list[Outcome]:
        """Run a function on texts in whichever worker is free first."""
        encoded, batch = encode_text(source), self._encode(tuple(inputs))
        try:
            return await self._run_once(encoded, batch, until_timeout)
        except WorkerDied:
            # It may have been the victim of another process on this machine: once more, in a fresh one.
            try:
                return await self._run_once(encoded, batch, until_timeout)
            except WorkerDied as error:
                if error.failed:
                    raise SandboxError("a sandbox worker failed twice: is the machine short of memory?") from error
                return [Outcome(Verdict.CRASH, "ended the worker it ran in, twice")] * batch.size

    def _encode(self, texts: tuple[str, ...]) -> Batch:
        """Return the texts laid out; many functions on the same texts share one layout."""
        if texts != self._texts:
            self._batch = Batch.of(texts)
            self._texts = texts
        return self._batch

    async def _run_once(self, source: bytes, batch: Batch, until_timeout: bool) -> list[Outcome]:
        worker = await self._idle.get()
        try:
            if self._closed:
                raise SandboxError("the sandbox was closed while functions were still to run")
            if worker is None:
                worker = await self._start_worker()
            outcomes = await worker.call(source, batch, until_timeout=until_timeout)
        except BaseException:
            if worker is not None:
                self._alive.discard(worker)
                self._await_at_exit(worker.end())
            self._idle.put_nowait(None)
            raise
        self._idle.put_nowait(worker)
        return outcomes

    def _await_at_exit(self, ending: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(ending)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def describe(self) -> str:
        packages = f", packages {' '.join(self._limits.packages)}" if self._limits.packages else ""
        return f"{self.name}: {describe_layers(self._layers)}{packages}"
