"""The process and the event loop that an entered sandbox belongs to. Calls from elsewhere are carried there.

So a sandbox may be used from any thread and any loop, and its backend is only ever touched by one.
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
    """The process and the running event loop in which it is made."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._left = False
        self._calls: set[Future[Any]] = set()
        """Those from other threads that have no answer yet."""

    def is_of_this_process(self) -> bool:
        return self._process == os.getpid()

    def is_here(self) -> bool:
        """Tell whether the caller runs on this very loop."""
        return asyncio._get_running_loop() is self._loop

    def require_process(self) -> None:
        """Raise SandboxError in a process that was forked since: its copy leads to workers that are not its own."""
        if not self.is_of_this_process():
            raise SandboxError(
                f"this sandbox belongs to another process: process {os.getpid()} was forked from it, and needs a "
                "sandbox of its own"
            )

    async def run(self, work: Work[T]) -> T:
        """Return the work's result. Called on any loop; cancelling it cancels the work."""
        if self.is_here():
            return await work()
        call = self._send(work)
        try:
            return await asyncio.wrap_future(call)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise SandboxError(CLOSED) from None  # nobody cancelled this call: the loop that it was carried to did

    def run_sync(self, work: Work[T]) -> T:
        """Return the work's result; wait for it in this thread. An exception in the waiting, as Ctrl-C, cancels it."""
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
        """Take no more calls from elsewhere."""
        with self._lock:
            self._left = True

    def drop_calls(self) -> None:
        """End the calls that still wait, so that no thread waits for ever for a loop that stops."""
        for call in list(self._calls):
            call.cancel()


class LoopThread:
    """An event loop in a thread of its own, for a sandbox that is entered where there is none.

    `leave` is awaited at the end, and again after whatever was still under way then.
    """

    def __init__(self, leave: Work[None]) -> None:
        self._leave = leave
        self._loop = asyncio.new_event_loop()
        # A daemon: a sandbox that nobody leaves must not keep the program alive. Its workers end with the process.
        self._thread = threading.Thread(target=self._live, name="autoif-sandbox", daemon=True)
        self._thread.start()

    def run_sync(self, work: Work[T]) -> T:
        """Return the work's result; wait for it in this thread."""
        call = asyncio.run_coroutine_threadsafe(work(), self._loop)
        try:
            return call.result()
        finally:
            call.cancel()

    def end(self) -> None:
        """Leave, and wait until all is gone: tasks, loop, thread."""
        self.stop()
        self._thread.join()

    def stop(self) -> None:
        """Leave, and don't wait."""
        with suppress(RuntimeError):  # it is closed: somebody left before
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _live(self) -> None:
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._finish())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()

    async def _finish(self) -> None:
        await self._leave()
        while rest := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(rest)
            await self._leave()
