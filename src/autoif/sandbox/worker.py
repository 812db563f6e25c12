"""A worker seen from its parent: starts it, calls it, ends it. The other side is `inside.start`."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from autoif.errors import SandboxError
from autoif.records import Verdict
from autoif.sandbox.details import DetailCleaner
from autoif.sandbox.inside import sheet, wire
from autoif.sandbox.layers import Layer, find_missing
from autoif.sandbox.outcomes import Limits, Outcome

_PROGRAM: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from inside.start import main; del sys.path[0]; main()"
)
_FOLDER: Final = str(Path(__file__).parent)
_NEEDED_TO_START: Final = ("LD_LIBRARY_PATH",)
"""Some interpreters find their own library only by it. The zygote drops it before it runs anything."""
_START_TIMEOUT_S: Final = 60.0
_CALL_GRACE_S: Final = 30.0
_END_TIMEOUT_S: Final = 10.0
_MEBIBYTE: Final = 1 << 20
_LONGEST_DETAIL: Final = 2048

_VERDICTS: Final = {
    sheet.PASS: Verdict.PASS,
    sheet.FAIL: Verdict.FAIL,
    sheet.ERROR: Verdict.ERROR,
    sheet.TIMEOUT: Verdict.TIMEOUT,
    sheet.MEMORY: Verdict.MEMORY,
    sheet.CRASH: Verdict.CRASH,
}


class WorkerDied(Exception):
    """The worker itself, not the function in it, ended or stopped making sense."""

    def __init__(self, message: str, failed: bool = False) -> None:
        super().__init__(message)
        self.failed = failed
        """It ended because something went wrong in its own code, and not by a signal from elsewhere."""


class Worker:
    """One locked interpreter. Made by `start`; serves one call at a time; ended by `end`."""

    def __init__(self, limits: Limits) -> None:
        self.layers: list[Layer] = []
        self._limits = limits
        self._clean = DetailCleaner(())
        self._calls = 0
        self._socket, theirs = socket.socketpair()
        self._writer: asyncio.StreamWriter | None = None
        with theirs:
            try:
                self._process = _spawn(limits, theirs)
            except OSError:
                self._socket.close()
                raise

    @classmethod
    async def start(cls, limits: Limits) -> "Worker":
        """Start a worker and learn which layers hold. Raises SandboxError if it doesn't come up."""
        try:
            worker = cls(limits)
        except (OSError, TypeError) as error:
            raise SandboxError(f"the sandbox can't start {sys.executable}: {error}") from error
        try:
            await worker._greet()
        except BaseException:
            await worker.end()
            raise
        return worker

    async def _greet(self) -> None:
        self._reader, self._writer = await asyncio.open_unix_connection(sock=self._socket)
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                hello = json.loads(await self._read_message())
        except (WorkerDied, TimeoutError) as error:
            raise SandboxError(await asyncio.to_thread(self._explain_silence)) from error
        assert self._process.stderr is not None
        self._process.stderr.close()
        self.layers = [Layer(*state) for state in hello["layers"]]
        self._clean = DetailCleaner(hello["hidden"])

    def require_layers(self) -> None:
        """Raise SandboxError unless every required layer is enforced."""
        missing = find_missing(self.layers)
        if missing:
            found = "; ".join(f"{layer.name}: {layer.detail}" for layer in missing)
            raise SandboxError(f"model code can't be contained on this machine ({found}): see `autoif doctor`")

    async def call(self, source: str, inputs: Sequence[str]) -> list[Outcome]:
        """Run a function on inputs. Raises WorkerDied; the worker is of no use after any exception."""
        writer = self._writer
        assert writer is not None
        self._calls += 1
        longest_s = len(inputs) * self._limits.timeout_s * 1.5 + _CALL_GRACE_S
        try:
            async with asyncio.timeout(longest_s):
                writer.write(wire.pack_request(self._calls, source, inputs))
                await writer.drain()
                call, results = wire.unpack_reply(await self._read_message())
        except (TimeoutError, OSError, ValueError) as error:
            raise WorkerDied(str(error)) from error
        if call != self._calls or len(results) != len(inputs):
            raise WorkerDied("it answered another call")
        if any(result.verdict & ~sheet.NOT_LOADED not in _VERDICTS for result in results):
            raise SandboxError("a function's process could not be locked in: see `autoif doctor`")
        return [self._outcome(result) for result in results]

    def _outcome(self, result: wire.Result) -> Outcome:
        return Outcome(
            _VERDICTS[result.verdict & ~sheet.NOT_LOADED],
            self._clean(result.detail),
            result.seconds,
            loaded=not result.verdict & sheet.NOT_LOADED,
        )

    async def _read_message(self) -> bytes:
        try:
            (length,) = wire.LENGTH.unpack(await self._reader.readexactly(wire.LENGTH.size))
            return await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError) as error:
            await asyncio.to_thread(self._reap)
            raise WorkerDied("it hung up", failed=self._process.returncode == wire.FAILED) from error

    def _explain_silence(self) -> str:
        self._process.kill()
        assert self._process.stderr is not None
        lines = self._process.stderr.read().decode(errors="replace").split("\n")
        said = next((line for line in reversed(lines) if line.strip()), "it said nothing")
        return f"the sandbox does not come up ({said.strip()}): see `autoif doctor`"

    async def end(self) -> None:
        """End the worker and everything in it, and reap it. Does nothing the second time."""
        if self._process.stderr is not None:
            self._process.stderr.close()
        if self._writer is None:
            self._socket.close()
        else:
            self._writer.transport.abort()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
        if self._process.poll() is None:
            self._process.terminate()
        await asyncio.to_thread(self._reap)

    def _reap(self) -> None:
        try:
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _spawn(limits: Limits, channel: socket.socket) -> "subprocess.Popen[bytes]":
    options = {
        "ipc": Path("/proc/self/ns/ipc").stat().st_ino,
        "timeout_s": limits.timeout_s,
        "memory_bytes": limits.memory_mb * _MEBIBYTE,
        "detail_bytes": min(limits.output_bytes, _LONGEST_DETAIL),
    }
    # No site, no user folder, no current folder, no byte code written. Not -I: it would ignore the hash seed.
    flags = ("-S", "-s", "-P", "-B", "-X", "utf8")
    return subprocess.Popen(
        [sys.executable, *flags, "-c", _PROGRAM, _FOLDER, json.dumps(options)],
        stdin=channel.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={name: os.environ[name] for name in _NEEDED_TO_START if name in os.environ}
        | {"PYTHONHASHSEED": "0", "TZ": "UTC0"},
        cwd=os.sep,
        start_new_session=True,
    )
