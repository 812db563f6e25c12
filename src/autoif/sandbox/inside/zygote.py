"""The zygote: locked in, warmed up, and never running model code itself. It forks a child per function and watches it.

It enforces the time limit of each input with SIGKILL; the parent enforces another limit on the zygote.
"""

import mmap
import os
import select
import signal
import time
from collections.abc import Sequence
from typing import Final, NamedTuple, NoReturn

from . import child, kernel, locks, result_buffer, seccomp, wire
from .result_buffer import ResultBuffer
from .wire import Texts

_FIRST_CLOSED: Final = 3
_LAST_CLOSED: Final = 0xFFFFFFFF
_LONGEST_WAIT_S: Final = 0.25
"""Longest time, while a function runs, until the zygote notices that its parent is gone."""
_PAUSED_S: Final = 0.75
"""A wait that took this much longer than requested was a pause, of a container or of a job that a terminal stopped."""
CHILD_ENDED: Final = (signal.SIGCHLD,)
"""Blocked in the zygote, which waits for the signal with a time limit."""
_FIRST_OF_NAMESPACE: Final = 1
"""The zygote's process id in a PID namespace of its own, where the kernel ends its children with it."""
_UNLOCKED_SIGNAL: Final = signal.SIGUSR2
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Settings(NamedTuple):
    """What a function may use; the same for every call of a worker."""

    timeout_s: float
    """For one text."""
    total_s: float
    """For a call."""
    memory_bytes: int
    detail_bytes: int


class Descriptors(NamedTuple):
    """Descriptors of the memory that the parent shares; only `results` is writable."""

    texts: int
    source: int
    results: int


class Ending(NamedTuple):
    """How a child ended."""

    status: int
    """As wait(2) gives it."""
    timed_out: bool
    """Killed because its time was up."""
    since: float
    """When the current text began, whichever child began it."""
    paused_s: float
    """How long everything was paused meanwhile; no text is charged for it."""


class Memory:
    """The shared memory: source, texts, and the buffer for results. Mapped again only when a size changes."""

    def __init__(self, descriptors: Descriptors, size: Sequence[int], detail_bytes: int) -> None:
        self.size = size
        self._maps = [
            mmap.mmap(descriptors.texts, size[0], prot=mmap.PROT_READ),
            mmap.mmap(descriptors.source, size[1], prot=mmap.PROT_READ),
        ]
        self.written = mmap.mmap(descriptors.results, size[2])
        self.texts = Texts(self._maps[0])
        self.source = memoryview(self._maps[1])
        self.results = ResultBuffer(self.written, detail_bytes)

    def close(self) -> None:
        self.texts.close()
        self.source.release()
        self.results.close()
        for each in (*self._maps, self.written):
            each.close()


class Zygote:
    """Serves requests from `channel`, one at a time, in order.

    It does as little as it can between two forks, because after a fork the first write to each page that it shares with
    the child copies the page.
    """

    def __init__(self, channel: int, settings: Settings, child_filter: seccomp.Filter) -> None:
        self._channel = channel
        self._settings = settings
        self._pid = os.getpid()
        self._fork = kernel.find_fork()
        self._limits = locks.ChildLimits()
        close_all = kernel.prepare("close_range", _FIRST_CLOSED, _LAST_CLOSED, 0)
        self._filter = child_filter  # its storage must live as long as its arguments
        self._locks = (close_all, *self._limits.calls, child_filter.arguments)
        self._parent = select.poll()
        self._parent.register(channel, select.POLLRDHUP)
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._limits_for = 0
        self._clock_read = 0.0
        """When it last read the clock. A pause may come at any point between two readings, not only during a wait."""

    def serve(self, descriptors: Descriptors) -> None:
        """Answer requests until the parent hangs up."""
        memory: Memory | None = None
        while (payload := wire.read_message(self._channel)) is not None:
            request = wire.unpack_request(payload)
            size = (request.texts_bytes, request.source_bytes, request.results_bytes)
            if memory is None or memory.size != size:
                if memory is not None:
                    memory.close()
                memory = Memory(descriptors, size, self._settings.detail_bytes)
                self._limits_for = 0
            # Zero whatever the last child left, within its own results or beyond, before the next child sees it.
            memory.written.madvise(mmap.MADV_REMOVE)
            # The zygote never copies a source: the next child could read the freed copy.
            with memory.source[: request.source_length] as source:
                job = child.Job(source, memory.texts, request.texts, request.until_timeout)
                wire.write_all(self._channel, self.execute(job, memory.results, request.call))

    def execute(self, job: child.Job, results: ResultBuffer, call: int) -> bytes:
        """Run a function on texts and return the reply message. A child that dies costs the current text only.

        The remaining texts get a fresh child, in this call or, with `until_timeout` after a timeout, in the next.
        """
        count, header = job.size, results.header
        lost: list[wire.Lost] = []
        loaded = False
        began = since = time.monotonic()
        deadline = began + self._settings.total_s
        first = 0
        self._set_limits(job)
        while first < count:
            header[0] = first
            header[1] = header[2] = 0
            ending = self._run_child(job, first, results, since, deadline)
            deadline += ending.paused_s
            loaded = loaded or header[1] == 1
            done = max(first, header[0])
            if done >= count:
                break
            if results.ending == result_buffer.CHILD_LEAVES and done > first:
                # Time that the child spent on the next text, or only claims to have spent, counts for that text.
                first, since = done, ending.since
                continue
            since = time.monotonic()
            # A source that fails to load is not tried again for each text.
            first = done + 1 if results.loaded else count
            lost.append(wire.Lost(done, first, *_explain(ending, results, since)))
            if since >= deadline and first < count:
                lost.append(
                    wire.Lost(first, count, result_buffer.TIMEOUT, 0.0, b"no time was left for it in this call")
                )
                break
            if job.until_timeout and ending.timed_out:
                break
        return wire.pack_reply(wire.Reply(call, loaded, time.monotonic() - began, lost))

    def _set_limits(self, job: child.Job) -> None:
        if job.size != self._limits_for:
            self._limits_for = job.size
            address_space = int(os.pread(self._statm, 64, 0).split()[0]) * _PAGE + self._settings.memory_bytes
            cpu_s = min(self._settings.timeout_s * job.size, self._settings.total_s)
            self._limits.set(address_space, int(cpu_s) + 2)

    def _run_child(self, job: child.Job, first: int, results: ResultBuffer, since: float, deadline: float) -> Ending:
        results.started[0] = since
        self._clock_read = time.monotonic()
        pid = self._fork()
        if pid == 0:
            self._lock_child()
            child.run_function(job, first, results)
        if pid < 0:
            raise OSError("the kernel makes no process for a function")
        return self._watch(pid, results, range(first, job.size), since, deadline)

    def _lock_child(self) -> None:
        try:
            if self._pid != _FIRST_OF_NAMESPACE:
                kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != self._pid:
                    os._exit(1)
            for words in self._locks:
                if kernel.call_plainly(*words) < 0:
                    raise OSError("the kernel refused a lock")
        except BaseException:  # noqa: BLE001 - a child that is not locked must not go on, whatever the reason
            # Once the filter is on, no signal can be sent, so model code can't pose as a child that isn't locked.
            os.kill(os.getpid(), _UNLOCKED_SIGNAL)
            os._exit(1)

    def _watch(self, pid: int, results: ResultBuffer, texts: range, since: float, deadline: float) -> Ending:
        """Wait for the child to end; kill it when a text or the call is out of time, or when the parent is gone.

        The first text began at `since`; the call has until `deadline`.
        """
        timeout_s = self._settings.timeout_s
        seen, paused_s = texts.start, 0.0
        while True:
            left_s = min(since + timeout_s, deadline + paused_s) - self._clock_read
            if left_s <= 0:
                os.kill(pid, signal.SIGKILL)
                return Ending(os.waitpid(pid, 0)[1], True, since, paused_s)
            wait_s = min(left_s, _LONGEST_WAIT_S)
            signal.sigtimedwait(CHILD_ENDED, wait_s)
            last, self._clock_read = self._clock_read, time.monotonic()
            late_s = self._clock_read - last - wait_s
            if late_s > _PAUSED_S:
                since, paused_s = since + late_s, paused_s + late_s
            ended, status = os.waitpid(pid, os.WNOHANG)
            progress = results.header[0]
            if seen < progress <= texts.stop:
                # The child reports when it began this text; a lie can only shorten its own time. Progress stops at the
                # last text, so the child never gets more time than all its texts have together.
                seen, since = progress, _between(since, results.started[0], time.monotonic())
            if ended:
                return Ending(status, False, since, paused_s)
            if self._parent.poll(0):
                self._give_up(pid)

    def _give_up(self, pid: int) -> NoReturn:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os._exit(0)


def _between(low: float, value: float, high: float) -> float:
    return value if low <= value <= high else high


def _explain(ending: Ending, results: ResultBuffer, now: float) -> tuple[int, float, bytes]:
    """Return (verdict, seconds, detail) of the text that a child ended in."""
    verdict, detail = _classify(ending, results)
    where = "" if results.loaded else "while loading"
    return verdict, now - ending.since, ": ".join(filter(None, (where, detail))).encode()


def _classify(ending: Ending, results: ResultBuffer) -> tuple[int, str]:
    if ending.timed_out:
        return result_buffer.TIMEOUT, "did not return in time"
    if results.ending == result_buffer.OUT_OF_MEMORY:
        return result_buffer.MEMORY, ""
    if os.WIFSIGNALED(ending.status):
        number = os.WTERMSIG(ending.status)
        if number == _UNLOCKED_SIGNAL:
            return result_buffer.UNLOCKED, "a child could not be locked in"
        if number == signal.SIGKILL:
            return result_buffer.MEMORY, "ended by the kernel"
        return result_buffer.CRASH, f"killed by {signal.Signals(number).name}"
    return result_buffer.CRASH, f"exited with status {os.WEXITSTATUS(ending.status)}"
