"""The `monty` backend: functions run by an interpreter that has no host to reach, in processes of its own (any system).

`pydantic-monty` is a Python subset written in Rust. Every function gets a fresh process of it, which a worker of ours
starts, watches and ends (`monty_inside`); so neither a fault of the interpreter nor one of its client reaches the
pipeline. What monty can't run is an `error` that says so: docs/sandbox.md#backends.
"""

import asyncio
import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from autoif.errors import SandboxError
from autoif.records import Verdict
from autoif.sandbox.details import DetailCleaner
from autoif.sandbox.forks import close_in_forks
from autoif.sandbox.monty_inside.wire import Result, Settings, read_message, write_message
from autoif.sandbox.outcomes import Limits, Outcome

INSTALL: Final = "the monty sandbox is not installed: pip install 'autoif[monty]'"

_PROGRAM: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from monty_inside.worker import main; del sys.path[0]; main()"
)
_NEEDED_TO_START: Final = ("LD_LIBRARY_PATH", "MONTY_BIN", "PATH", "SYSTEMROOT")
_LOST_S: Final = 3.0
"""What a lost input may cost beyond its time limit: the wait before its process is killed, and a fresh one."""
_CALL_GRACE_S: Final = 30.0
_END_TIMEOUT_S: Final = 5.0
_LONGEST_DETAIL: Final = 2048
_MEBIBYTE: Final = 1 << 20
_CLOSED: Final = "the sandbox was closed while functions were still to run"


class WorkerDied(Exception):
    """The worker itself, not the function in it, ended or stopped making sense."""


class MontyWorker:
    """A worker, seen from its parent. Its methods block; `end` may be called while another thread is in one."""

    def __init__(self, limits: Limits) -> None:
        detail_bytes = min(limits.output_bytes, _LONGEST_DETAIL)
        total_s = inf if limits.total_s is None else limits.total_s
        settings = Settings(limits.timeout_s, total_s, limits.memory_mb * _MEBIBYTE, detail_bytes)
        self.version = ""
        self._clean = DetailCleaner(())
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-B",
                "-X",
                "utf8",
                "-c",
                _PROGRAM,
                str(Path(__file__).parent),
                json.dumps(settings),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the interpreter writes there when it runs out of memory
            env={name: os.environ[name] for name in _NEEDED_TO_START if name in os.environ}
            | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert self._process.stdin and self._process.stdout
        self._requests, self._replies = self._process.stdin, self._process.stdout
        assert isinstance(self._process.stdin, io.BufferedWriter)
        close_in_forks(self._process.stdin.raw)

    def greet(self) -> None:
        """Learn the interpreter's version. Raises SandboxError if it does not start or does not contain."""
        try:
            self.version, problem = self._read()
        except WorkerDied as error:
            problem = str(error)
        if problem:
            raise SandboxError(f"the monty interpreter can't be used ({problem}): install pydantic-monty again")

    def call(self, source: str, inputs: Sequence[str]) -> list[Outcome]:
        """Run a function on inputs. Raises WorkerDied; the worker is of no use after it."""
        try:
            write_message(self._requests, [source, inputs])
        except (OSError, ValueError) as error:
            raise WorkerDied(str(error)) from error
        return [self._outcome(Result(*result)) for result in self._read()]

    def _read(self) -> Any:
        try:
            message = read_message(self._replies)
        except (OSError, ValueError) as error:
            raise WorkerDied(str(error)) from error
        if message is None:
            raise WorkerDied("its worker hung up")
        return message

    def _outcome(self, result: Result) -> Outcome:
        detail = self._clean(result.detail.encode("utf-8", "backslashreplace"))
        return Outcome(Verdict(result.verdict), detail, result.seconds, loaded=result.loaded)

    def end(self) -> None:
        """End the worker and its interpreter, and reap it."""
        with contextlib.suppress(OSError):
            self._requests.close()  # it ends its interpreter first, which a kill would not
        try:
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._replies.close()


class MontyBackend:
    """A pool of workers; one that ends, for whatever reason, is replaced before its next use."""

    name = "monty"

    def __init__(self, limits: Limits, workers: int | None) -> None:
        if find_spec("pydantic_monty") is None:
            raise SandboxError(INSTALL)
        if limits.packages:
            raise SandboxError("monty can't import packages: leave out sandbox.packages, or use the cpython backend")
        self._limits = limits
        self._width = workers or _count_processors()
        self._idle: asyncio.LifoQueue[MontyWorker | None] = asyncio.LifoQueue()
        self._alive: set[MontyWorker] = set()
        self._closed = False
        self._version = ""
        # Of its own: the default one is as wide as the machine and shared with whoever else blocks in it.
        self._threads = ThreadPoolExecutor(2 * self._width, "monty")

    async def __aenter__(self) -> "MontyBackend":
        try:
            started = await asyncio.gather(*(self._start_worker() for _ in range(self._width)), return_exceptions=True)
            for worker in started:
                if isinstance(worker, BaseException):
                    raise worker
                self._idle.put_nowait(worker)
                self._version = worker.version
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
        while alive := list(self._alive):
            await asyncio.gather(*(self._end(worker) for worker in alive))
        self._threads.shutdown()

    async def run(self, source: str, inputs: Sequence[str], *, until_timeout: bool = False) -> list[Outcome]:
        """Run a function on inputs in whichever worker is free first. It runs all of them, also `until_timeout`."""
        try:
            return await self._run_once(source, inputs)
        except WorkerDied:
            # It may have been the victim of another process on this machine: once more, in a fresh one.
            try:
                return await self._run_once(source, inputs)
            except WorkerDied:
                return [Outcome(Verdict.CRASH, "ended the worker it ran in, twice")] * len(inputs)

    async def _run_once(self, source: str, inputs: Sequence[str]) -> list[Outcome]:
        worker = await self._idle.get()
        longest_s = len(inputs) * (self._limits.timeout_s + _LOST_S) + _CALL_GRACE_S
        try:
            if self._closed:
                raise SandboxError(_CLOSED)
            if worker is None:
                worker = await self._start_worker()
            async with asyncio.timeout(longest_s):
                outcomes = await asyncio.get_running_loop().run_in_executor(self._threads, worker.call, source, inputs)
        except BaseException as error:
            self._idle.put_nowait(None)
            if worker is not None:
                await asyncio.shield(self._end(worker))
            if isinstance(error, TimeoutError):
                raise WorkerDied("it did not answer in time") from error
            raise
        self._idle.put_nowait(worker)
        return outcomes

    async def _start_worker(self) -> MontyWorker:
        # Not cancelled half-way: that would leave a process of which nobody knows.
        starting = asyncio.ensure_future(asyncio.get_running_loop().run_in_executor(self._threads, self._start))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            with contextlib.suppress(SandboxError):
                await self._end(await starting)
            raise

    def _start(self) -> MontyWorker:
        try:
            worker = MontyWorker(self._limits)
        except OSError as error:
            raise SandboxError(f"the sandbox can't start {sys.executable}: {error}") from error
        self._alive.add(worker)
        worker.greet()
        return worker

    async def _end(self, worker: MontyWorker) -> None:
        await asyncio.get_running_loop().run_in_executor(self._threads, worker.end)
        self._alive.discard(worker)

    def describe(self) -> str:
        return f"{self.name}: pydantic-monty {self._version}, no host to reach, a process for each function"


def _count_processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # no Linux
        return os.cpu_count() or 1
