"""The `monty` backend: runs functions in an interpreter that has no access to the host, on any system.

`pydantic-monty` interprets a subset of Python and is written in Rust. Every function gets a fresh interpreter process,
which a worker of ours starts, watches and ends (`monty_inside`). So a fault of the interpreter or of its client never
reaches the pipeline. A function that monty can't run gets an `error` that says so: docs/sandbox.md#backends.
"""

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import Any, Final

from autoif.errors import SandboxError
from autoif.processors import count_processors
from autoif.records import Verdict
from autoif.sandbox.cpython import Layer
from autoif.sandbox.monty_inside.wire import LENGTH, Result, Settings, pack_message
from autoif.sandbox.outcomes import DetailCleaner, Limits, Outcome
from autoif.sandbox.pool import WorkerDied, WorkerPool, close_in_forks, find_interpreter
from autoif.together import run_to_end

INSTALL: Final = "the monty sandbox is not installed: pip install 'autoif[monty]'"

_PROGRAM: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from monty_inside.worker import main; del sys.path[0]; main()"
)
_NEEDED_TO_START: Final = ("LD_LIBRARY_PATH", "MONTY_BIN", "PATH", "SYSTEMROOT")
_LOST_S: Final = 3.0
"""Extra time that a lost input may cost: the wait before its process is killed, and starting a fresh one."""
_CALL_GRACE_S: Final = 30.0
_END_TIMEOUT_S: Final = 5.0
_LONGEST_DETAIL: Final = 2048
_MEBIBYTE: Final = 1 << 20


def open_monty(limits: Limits, workers: int | None) -> WorkerPool["MontyWorker"]:
    """Return a pool of workers, not yet entered. Raises SandboxError if monty is not installed or packages are set."""
    if find_spec("pydantic_monty") is None:
        raise SandboxError(INSTALL)
    if limits.packages:
        raise SandboxError("monty can't import packages: leave out sandbox.packages, or use the cpython backend")
    return WorkerPool("monty", partial(MontyWorker.start, limits), workers or count_processors())


def inspect_monty() -> Layer:
    """Start monty, have it try what it must refuse, and return whether it did. Never raises SandboxError."""
    return run_to_end(_inspect_monty())


async def _inspect_monty() -> Layer:
    try:
        async with open_monty(Limits(), workers=1) as pool:
            return Layer("monty", True, False, pool.describe().partition(": ")[2])
    except SandboxError as error:
        return Layer("monty", False, False, str(error))


class MontyWorker:
    """A process that runs the interpreter's client. Created by `start`, serves one call at a time, ended by `end`."""

    def __init__(self, process: Process, limits: Limits) -> None:
        assert process.stdin and process.stdout
        self._process, self._requests, self._replies = process, process.stdin, process.stdout
        self._limits = limits
        self._version = ""
        self._clean = DetailCleaner(())
        if pipe := self._requests.get_extra_info("pipe"):  # uvloop doesn't expose it, so a fork keeps a copy there
            close_in_forks(pipe)

    @classmethod
    async def start(cls, limits: Limits) -> "MontyWorker":
        """Start a worker. Raises SandboxError if it doesn't start, or its interpreter doesn't refuse what it must."""
        total_s = inf if limits.total_s is None else limits.total_s
        detail_bytes = min(limits.output_bytes, _LONGEST_DETAIL)
        settings = Settings(limits.timeout_s, total_s, limits.memory_mb * _MEBIBYTE, detail_bytes)
        try:
            process = await asyncio.create_subprocess_exec(
                *(find_interpreter(), "-P", "-B", "-X", "utf8"),
                *("-c", _PROGRAM, str(Path(__file__).parent), json.dumps(settings)),
                stdin=PIPE,
                stdout=PIPE,
                limit=_MEBIBYTE,
                stderr=DEVNULL,  # the interpreter writes there when it runs out of memory
                env={name: os.environ[name] for name in _NEEDED_TO_START if name in os.environ}
                | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        except OSError as error:
            raise SandboxError(f"the sandbox can't start {sys.executable}: {error}") from error
        except NotImplementedError as error:
            raise SandboxError("this event loop starts no processes: enter the sandbox with `with`") from error
        worker = cls(process, limits)
        try:
            await worker._greet()
        except BaseException:
            await worker.end()
            raise
        return worker

    async def _greet(self) -> None:
        try:
            self._version, problem = await self._read()
        except WorkerDied as error:
            problem = str(error)
        if problem:
            raise SandboxError(f"the monty interpreter can't be used ({problem}): install pydantic-monty again")

    def describe(self) -> str:
        """Return the interpreter's version and how it contains a function."""
        return f"pydantic-monty {self._version}, no host to reach, a process for each function"

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    async def call(self, source: str, inputs: Sequence[str], *, until_timeout: bool) -> list[Outcome]:
        """Run a function on all inputs or, with `until_timeout`, on those up to the first that times out.

        Raises WorkerDied. After any exception the worker can't be used again.
        """
        longest_s = len(inputs) * (self._limits.timeout_s + _LOST_S) + _CALL_GRACE_S
        try:
            async with asyncio.timeout(longest_s):
                self._requests.write(pack_message([source, inputs, until_timeout]))
                await self._requests.drain()
                return [self._read_outcome(Result(*result)) for result in await self._read()]
        except OSError as error:
            raise WorkerDied(str(error) or "it did not answer in time") from error

    async def _read(self) -> Any:
        try:
            (size,) = LENGTH.unpack(await self._replies.readexactly(LENGTH.size))
            return json.loads(await self._replies.readexactly(size))
        except (OSError, EOFError, ValueError) as error:
            raise WorkerDied("its worker hung up") from error

    def _read_outcome(self, result: Result) -> Outcome:
        detail = self._clean(result.detail.encode("utf-8", "backslashreplace"))
        return Outcome(Verdict(result.verdict), detail, result.seconds, loaded=result.loaded)

    async def end(self) -> None:
        """End the worker and its interpreter, and reap it. Does nothing the second time."""
        self._requests.close()  # the worker then ends its interpreter first; killing it would not
        try:
            async with asyncio.timeout(_END_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
