"""Work on an event loop: several things at the same time, or one from where no event loop waits for it."""

import asyncio
import gc
import signal
import threading
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

T = TypeVar("T")
_NEW_OBJECTS = 1_000_000
"""After which Python looks for garbage: what objects that nobody reaches any more may take is bounded by it."""
_COLLECTING = threading.Lock()
_BEFORE: list[tuple[int, int, int]] = []
"""The thresholds that each run found, of all that go on in this process. The last to end sets what the first found."""


async def run_together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return what all of them give, in order. The first that raises ends the others, and its error comes alone."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Run on an event loop: this thread's own, or, where one is running already, that of another thread."""
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
    """Let Ctrl-C end what holds up the event loop of `asyncio.run`, which would hear of it only when that is done."""
    on_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if on_main_thread else None
    if not isinstance(getattr(getattr(handler, "func", None), "__self__", None), asyncio.Runner):
        yield  # who started the loop, or the process, has Ctrl-C do something else
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Let Python look for garbage only after a million new objects: each look stops the event loop (60 ms for 50,000
    objects), and a run leaves some hundred cycles, however many prompts it has."""
    with _COLLECTING:
        _BEFORE.append(before := gc.get_threshold())
        gc.set_threshold(before[0] and max(before[0], _NEW_OBJECTS), *before[1:])  # 0 is never
    try:
        yield
    finally:
        with _COLLECTING:
            first = _BEFORE[0]
            _BEFORE.pop()
            if not _BEFORE:
                gc.set_threshold(*first)
