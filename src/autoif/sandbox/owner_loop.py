"""The process and the event loop that an entered sandbox belongs to. Calls from other threads and loops are sent there.

So a sandbox may be used from any thread and any loop, while only one loop ever touches its backend.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, Final, TypeVar

from autoif.errors import SandboxError
from autoif.sandbox.pool import CLOSED

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]

_NO_LOOP: Final = "the event loop that the sandbox was entered in is not running: enter a sandbox in this one"
_WOULD_BLOCK: Final = (
    "a blocking call would stop the event loop that the sandbox runs in: use `await sandbox.run(…)`, or enter the "
    "sandbox with `with`"
)


class OwnerLoop:
    """The process and the running event loop that created this object."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._left = False
        self._calls: set[Future[Any]] = set()
        """Calls from other threads that have no result yet."""

    def is_of_this_process(self) -> bool:
        return self._process == os.getpid()

    def is_here(self) -> bool:
        """Tell whether the caller runs on this very loop."""
        return asyncio._get_running_loop() is self._loop

    def require_process(self) -> None:
        """Raise SandboxError in a process that was forked since: the workers belong to its parent."""
        if not self.is_of_this_process():
            raise SandboxError(
                f"this sandbox belongs to another process: process {os.getpid()} was forked from it, and needs a "
                "sandbox of its own"
            )

    async def run(self, work: Work[T]) -> T:
        """Return the work's result. May be called on any loop; cancelling the call cancels the work."""
        if self.is_here():
            return await work()
        call = self._send(work)
        try:
            return await asyncio.wrap_future(call)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise SandboxError(CLOSED) from None  # not cancelled by the caller, but by the loop that ran it

    def run_sync(self, work: Work[T]) -> T:
        """Wait in this thread for the work's result and return it. An exception meanwhile, as by Ctrl-C, cancels it."""
        if self.is_here():
            raise SandboxError(_WOULD_BLOCK)
        call = self._send(work)
        try:
            return call.result()
        except CancelledError:
            raise SandboxError(CLOSED) from None
        finally:
            call.cancel()

    def _send(self, work: Work[T]) -> "Future[T]":
        with self._lock:
            if self._left:
                raise SandboxError(CLOSED)
            if not self._loop.is_running():
                raise SandboxError(_NO_LOOP)
            call = asyncio.run_coroutine_threadsafe(work(), self._loop)
            self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return call

    def refuse_calls(self) -> None:
        """Refuse further calls from other threads and loops."""
        with self._lock:
            self._left = True

    def drop_calls(self) -> None:
        """Cancel the calls that are still waiting, so that no thread waits forever for a loop that stops."""
        for call in list(self._calls):
            call.cancel()


class LoopThread:
    """An event loop in its own thread, for a sandbox that is entered where no loop runs.

    At the end `leave` is awaited, and once more each time remaining tasks have finished.
    """

    def __init__(self, leave: Work[None]) -> None:
        self._leave = leave
        made = Future[asyncio.AbstractEventLoop]()
        # A daemon: a sandbox that nobody leaves must not keep the program alive. Its workers end with the process.
        self._thread = threading.Thread(target=self._run_loop, args=(made,), name="autoif-sandbox", daemon=True)
        self._thread.start()
        self._loop = made.result()

    def run_sync(self, work: Work[T]) -> T:
        """Wait in this thread for the work and return its result."""
        call = asyncio.run_coroutine_threadsafe(work(), self._loop)
        try:
            return call.result()
        finally:
            call.cancel()

    def end(self) -> None:
        """Leave, and wait until tasks, loop and thread have ended."""
        self.stop()
        self._thread.join()

    def stop(self) -> None:
        """Leave without waiting."""
        with suppress(RuntimeError):  # the loop is closed: the sandbox was left before
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _run_loop(self, made: Future[asyncio.AbstractEventLoop]) -> None:
        try:  # Made in this thread: in the main thread, Ctrl-C could leave it half made, of which Python complains.
            loop = asyncio.new_event_loop()
        except BaseException as error:  # noqa: BLE001 - raised where the thread was started
            made.set_exception(error)
            return
        made.set_result(loop)
        try:
            loop.run_forever()
            loop.run_until_complete(self._finish())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()

    async def _finish(self) -> None:
        await self._leave()
        while rest := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(rest)
            await self._leave()
