"""The zygote: locked in, warm, and never running model code. Forks a child per function, watches it, reads its sheet.

It enforces the wall clock on each input with SIGKILL; the parent enforces its own on the zygote.
"""

import os
import select
import signal
import time
from collections.abc import Sequence
from typing import Final, NamedTuple, NoReturn

from . import child, kernel, limits, seccomp, sheet, wire

_FIRST_CLOSED: Final = 3
_LAST_CLOSED: Final = 0xFFFFFFFF
_LONGEST_POLL_S: Final = 3600.0
_FIRST_OF_NAMESPACE: Final = 1
"""The zygote's process id where it has a namespace of its own: the kernel then ends its children with it."""
_UNLOCKED_SIGNAL: Final = signal.SIGUSR2
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Settings(NamedTuple):
    """What a function may use; the same for every call of a worker."""

    timeout_s: float
    memory_bytes: int
    detail_bytes: int


class Ending(NamedTuple):
    """How a child ended: its wait status, and whether the clock ended it."""

    status: int
    timed_out: bool


class Zygote:
    """Serves requests from `channel`, one at a time, in order."""

    def __init__(self, channel: int, settings: Settings, child_filter: seccomp.Filter) -> None:
        self._channel = channel
        self._settings = settings
        self._filter = child_filter
        self._close_all = kernel.prepare("close_range", _FIRST_CLOSED, _LAST_CLOSED, 0)
        self._size = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def serve(self) -> None:
        """Answer requests until the parent hangs up."""
        while (payload := wire.read_message(self._channel)) is not None:
            request = wire.unpack_request(payload)
            results = self.execute(request.source, request.inputs)
            wire.write_all(self._channel, wire.pack_reply(request.call, results))

    def execute(self, source: memoryview, inputs: Sequence[memoryview]) -> list[wire.Result]:
        """Return one result per input. A child that dies costs the input at hand; a fresh one gets the rest."""
        count = len(inputs)
        if not count:
            return []
        page = sheet.Sheet(count, self._settings.detail_bytes)
        lost: dict[int, wire.Result] = {}
        loaded = False
        began = time.monotonic()
        try:
            first = 0
            while first < count:
                page.header[0] = first
                page.header[1] = page.header[2] = 0
                ending = self._run_child(source, inputs, first, page)
                loaded = loaded or page.loaded
                done = max(first, page.done)
                if done >= count:
                    break
                if page.ending == sheet.CHILD_LEAVES and done > first:
                    first = done
                    continue
                # What can't be loaded once is not tried again for each input.
                until = done + 1 if page.loaded else count
                lost[done] = _explain(ending, page, began)
                lost |= dict.fromkeys(range(done + 1, until), lost[done]._replace(seconds=0.0))
                first = until
            longest = time.monotonic() - began
            results = [
                lost[index] if index in lost else wire.Result(*page.read(index, longest)) for index in range(count)
            ]
            return results if loaded else [_mark_not_loaded(result) for result in results]
        finally:
            page.close()

    def _run_child(self, source: memoryview, inputs: Sequence[memoryview], first: int, page: sheet.Sheet) -> Ending:
        address_space = int(os.pread(self._size, 64, 0).split()[0]) * _PAGE + self._settings.memory_bytes
        cpu_s = int(self._settings.timeout_s * (len(inputs) - first)) + 2
        zygote = os.getpid()
        page.started[0] = time.monotonic()
        pid = os.fork()
        if pid == 0:
            self._lock_child(zygote, address_space, cpu_s)
            child.run_function(source, inputs, first, page)
        return self._watch(pid, page)

    def _lock_child(self, zygote: int, address_space: int, cpu_s: int) -> None:
        try:
            kernel.call_prepared(self._close_all)
            if zygote != _FIRST_OF_NAMESPACE:
                self._die_with(zygote)
            limits.limit_child(address_space, cpu_s)
            self._filter.install()
        except BaseException:  # noqa: BLE001 - a child that is not locked must not go on, whatever the reason
            # No signal can be sent once the filter is on: model code can't pretend to be a child that is not locked.
            os.kill(os.getpid(), _UNLOCKED_SIGNAL)
            os._exit(1)

    def _die_with(self, zygote: int) -> None:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != zygote:
            os._exit(1)

    def _watch(self, pid: int, page: sheet.Sheet) -> Ending:
        """Wait for the child's end; end it when one input outlasts the time limit, or when the parent is gone."""
        timeout_s = self._settings.timeout_s
        handle = kernel.call("pidfd_open", pid, 0)
        try:
            poller = select.poll()
            poller.register(handle, select.POLLIN)
            poller.register(self._channel, select.POLLRDHUP)
            seen, since = page.header[0], time.monotonic()
            timed_out = False
            while True:
                wait_s = since + timeout_s - time.monotonic()
                ready = poller.poll(min(max(0, wait_s), _LONGEST_POLL_S) * 1000 + 1)
                if any(descriptor == self._channel for descriptor, _ in ready):
                    self._give_up(pid)
                if ready:
                    break
                now = time.monotonic()
                progress = page.header[0]
                if progress != seen:
                    # The child says when it began this input; it can only make its own time shorter by lying.
                    seen, since = progress, _between(since, page.started[0], now)
                if now - since >= timeout_s:
                    timed_out = True
                    os.kill(pid, signal.SIGKILL)
                    break
            return Ending(os.waitpid(pid, 0)[1], timed_out)
        finally:
            os.close(handle)

    def _give_up(self, pid: int) -> NoReturn:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os._exit(0)


def _mark_not_loaded(result: wire.Result) -> wire.Result:
    return result._replace(verdict=result.verdict | sheet.NOT_LOADED)


def _between(low: float, value: float, high: float) -> float:
    return value if low <= value <= high else high


def _explain(ending: Ending, page: sheet.Sheet, began: float) -> wire.Result:
    """Return the result of the input during which a child ended."""
    verdict, detail = _classify(ending, page)
    now = time.monotonic()
    seconds = now - _between(began, page.started[0], now)
    where = "" if page.loaded else "while loading"
    return wire.Result(verdict, seconds, ": ".join(filter(None, (where, detail))).encode())


def _classify(ending: Ending, page: sheet.Sheet) -> tuple[int, str]:
    if ending.timed_out:
        return sheet.TIMEOUT, "did not return in time"
    if page.ending == sheet.OUT_OF_MEMORY:
        return sheet.MEMORY, ""
    if os.WIFSIGNALED(ending.status):
        number = os.WTERMSIG(ending.status)
        if number == _UNLOCKED_SIGNAL:
            return sheet.UNLOCKED, "a child could not be locked in"
        if number == signal.SIGKILL:
            return sheet.MEMORY, "ended by the kernel"
        return sheet.CRASH, f"killed by {signal.Signals(number).name}"
    return sheet.CRASH, f"exited with status {os.WEXITSTATUS(ending.status)}"
