"""The workers of a sandbox: processes that each run one call at a time. Every backend uses the same pool."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Generic, Protocol, Self, TypeVar
from weakref import WeakSet

from autoif.errors import SandboxError
from autoif.records import Verdict
from autoif.sandbox.outcomes import Outcome

_STARTS = 3
"""Attempts to start a worker in place of one that died."""
MAX_WORKERS: Final = 1_000
"""All of them may run at once, so a mistyped number must not bring down the machine."""
CLOSED: Final = "the sandbox was closed while functions were still to run"


def find_interpreter() -> str:
    """Return the path of the Python that runs workers. Raises SandboxError if an embedding program hides it."""
    if not sys.executable:
        raise SandboxError(
            "the sandbox can't find Python: the program that embeds it has to set sys.executable to a Python "
            f"{sys.version_info.major}.{sys.version_info.minor}"
        )
    return sys.executable


class WorkerDied(Exception):
    """The worker itself, not the function in it, ended or sent something invalid."""

    def __init__(self, message: str, failed: bool = False) -> None:
        super().__init__(message)
        self.failed = failed
        """Whether it ended by an error in its own code rather than by a signal from elsewhere."""


class Worker(Protocol):
    """A process of a backend, seen from its parent."""

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs, as far as its parent knows."""
        ...

    async def call(self, source: str, inputs: Sequence[str], *, until_timeout: bool) -> list[Outcome]:
        """Run a function on all texts or, with `until_timeout`, on those up to the first that times out.

        Raises WorkerDied. After any exception the worker can't be used again.
        """
        ...

    async def end(self) -> None:
        """End the process and everything in it. Does nothing the second time."""
        ...

    def describe(self) -> str:
        """Return in words how the worker contains a function."""
        ...


W = TypeVar("W", bound=Worker)


class WorkerPool(Generic[W]):
    """Runs functions in whichever of `width` workers is free; a worker that ended is replaced before its next use."""

    def __init__(self, name: str, start: Callable[[], Coroutine[Any, Any, W]], width: int) -> None:
        self._name = name
        self._start = start
        self._width = width
        self._idle: asyncio.LifoQueue[W | None] = asyncio.LifoQueue()
        """None stands for a worker that is still to be started."""
        self._alive: set[W] = set()
        self._closed = False
        self._tasks: set[asyncio.Task[Any]] = set()
        """Tasks that start and end workers. They are never cancelled: that would leave processes that nobody tracks."""
        self._description = ""

    async def __aenter__(self) -> Self:
        """Start one worker, which shows that functions are contained here. The others start when they are needed."""
        for _ in range(self._width - 1):
            self._idle.put_nowait(None)
        try:
            self._idle.put_nowait(await self._get_worker())
        except BaseException:
            await self._end_all()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end_all()

    async def run(self, source: str, inputs: Sequence[str], *, until_timeout: bool = False) -> list[Outcome]:
        """Return the outcomes of a function on texts; see `Worker.call`. Raises SandboxError."""
        try:
            return await self._run_once(source, inputs, until_timeout)
        except WorkerDied:
            # Another process on this machine may have killed it: try once more, in a fresh worker.
            try:
                return await self._run_once(source, inputs, until_timeout)
            except WorkerDied as error:
                if error.failed:
                    raise SandboxError("a sandbox worker failed twice: is the machine short of memory?") from error
                return [Outcome(Verdict.CRASH, "ended the worker it ran in, twice")] * len(inputs)

    def describe(self) -> str:
        """Return the backend's name and how its workers contain a function."""
        return f"{self._name}: {self._description}"

    async def _run_once(self, source: str, inputs: Sequence[str], until_timeout: bool) -> list[Outcome]:
        worker = await self._idle.get()
        try:
            if self._closed:
                raise SandboxError(CLOSED)
            if worker is not None and not worker.is_alive:  # it ended between calls: no function is to blame
                self._begin(self._end(worker))
                worker = None
            if worker is None:
                worker = await self._replace_worker()
            outcomes = await worker.call(source, inputs, until_timeout=until_timeout)
        except BaseException:
            if worker is not None:
                self._begin(self._end(worker))
            self._idle.put_nowait(None)
            raise
        self._idle.put_nowait(worker)
        # Let waiting callers have their turn: one that runs function after function would take the worker back at once.
        await asyncio.sleep(0)
        return outcomes

    async def _get_worker(self) -> W:
        starting = self._begin(self._start_worker())
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._begin(self._end_when_started(starting))
            raise

    async def _replace_worker(self) -> W:
        """Start a worker in place of one that died. Retries: whatever killed the last one may kill its successor."""
        for _ in range(_STARTS - 1):
            try:
                return await self._get_worker()
            except SandboxError:
                if self._closed:
                    raise
        return await self._get_worker()

    async def _start_worker(self) -> W:
        worker = await self._start()
        self._alive.add(worker)
        if self._closed:
            await self._end(worker)
            raise SandboxError(CLOSED)
        self._description = worker.describe()
        return worker

    async def _end_when_started(self, starting: asyncio.Task[W]) -> None:
        with contextlib.suppress(SandboxError):
            await self._end(await starting)

    async def _end(self, worker: W) -> None:
        self._alive.discard(worker)
        await worker.end()

    async def _end_all(self) -> None:
        self._closed = True
        for worker in list(self._alive):
            self._begin(self._end(worker))
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


# A worker ends when nobody holds the other end of its pipe any more. Forked processes would hold copies of it.


class Closable(Protocol):
    """An object with a descriptor. Closing it in a forked process closes only that process's copy."""

    def close(self) -> None: ...


_ENDS: Final = WeakSet[Closable]()


def close_in_forks(*ends: Closable) -> None:
    """Close these in every process that is forked from now on. Don't pass buffered files: closing would flush them."""
    _ENDS.update(ends)


def _close_all() -> None:
    for end in list(_ENDS):
        end.close()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_close_all)
