"""Runs coroutines: several at the same time, or one from code that isn't asynchronous."""

import asyncio
import gc
import signal
import threading
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

T = TypeVar("T")
_NEW_OBJECTS = 1_000_000
"""New objects after which Python collects garbage; this bounds the memory that unreachable objects take."""
_COLLECTING = threading.Lock()
_THRESHOLDS_FOUND: list[tuple[int, int, int]] = []
"""The thresholds that each active run of this process found. The last one to end restores those of the first."""


async def run_together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return all results, in order. The first one that raises cancels the others, and only its error is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, in an event loop of this thread or, if one is running here, of a new thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)

    def run_loop() -> None:
        with suppress(BaseException):  # `result` raises it, in the caller's thread
            loop.run_until_complete(task)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    thread = threading.Thread(target=run_loop, name="autoif-run")
    thread.start()
    try:
        thread.join()
    except KeyboardInterrupt:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        raise
    return task.result()


@contextmanager
def ending_by_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C interrupt code that blocks the loop of `asyncio.run`, which would notice it only afterwards."""
    on_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if on_main_thread else None
    if not isinstance(getattr(getattr(handler, "func", None), "__self__", None), asyncio.Runner):
        yield  # Ctrl-C has another handler, which stays
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Have Python collect garbage only after a million new objects.

    Each collection stops the event loop (60 ms for 50,000 objects), and a run leaves some hundred cycles, however many
    prompts it has.
    """
    with _COLLECTING:
        _THRESHOLDS_FOUND.append(before := gc.get_threshold())
        gc.set_threshold(before[0] and max(before[0], _NEW_OBJECTS), *before[1:])  # 0 means never
    try:
        yield
    finally:
        with _COLLECTING:
            first = _THRESHOLDS_FOUND[0]
            _THRESHOLDS_FOUND.pop()
            if not _THRESHOLDS_FOUND:
                gc.set_threshold(*first)
