"""The `cpython` backend: workers are locked-down interpreters that fork a child for each function (Linux only).

This is the parent's side, which starts, calls and ends workers. The workers' side is `inside.start`.
"""

import asyncio
import contextlib
import importlib.util
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import packages_distributions
from itertools import repeat
from math import inf
from pathlib import Path
from typing import Final

from autoif.errors import SandboxError
from autoif.processors import count_processors
from autoif.records import Verdict
from autoif.sandbox.exchange import Channel, SharedMemory
from autoif.sandbox.inside import result_buffer, wire
from autoif.sandbox.inside.wire import pack_texts
from autoif.sandbox.outcomes import DetailCleaner, Limits, Outcome
from autoif.sandbox.pool import WorkerDied, WorkerPool, close_in_forks, find_interpreter
from autoif.together import run_to_end

_PROGRAM: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from inside.start import main; del sys.path[0]; main()"
)
_FOLDER: Final = str(Path(__file__).parent)
_NEEDED_TO_START: Final = ("LD_LIBRARY_PATH",)
"""Some interpreters need it to find their own library. The zygote drops it before it runs anything."""
_START_TIMEOUT_S: Final = 60.0
_CALL_GRACE_S: Final = 30.0
_END_TIMEOUT_S: Final = 10.0
_MEBIBYTE: Final = 1 << 20
# No site, no user folder, no current folder, no byte code written. Not -I: it would ignore the hash seed.
_FLAGS: Final = ("-S", "-s", "-P", "-B", "-X", "utf8")
_ENVIRONMENT: Final = {"PYTHONHASHSEED": "0", "TZ": "UTC0", "LD_BIND_NOW": "1"}
"""Without LD_BIND_NOW, every child would look up again each function of the C library at its first call."""
_READ_AT_ONCE: Final = 64
"""Outcomes read before other tasks get a turn: cleaning the details of a whole call can take a second, and a server
must answer other requests meanwhile."""

_VERDICTS: Final = {
    result_buffer.PASS: Verdict.PASS,
    result_buffer.FAIL: Verdict.FAIL,
    result_buffer.ERROR: Verdict.ERROR,
    result_buffer.TIMEOUT: Verdict.TIMEOUT,
    result_buffer.MEMORY: Verdict.MEMORY,
    result_buffer.CRASH: Verdict.CRASH,
}
_PASS_OR_FAIL_BYTES: Final = bytes((result_buffer.PASS, result_buffer.FAIL))


def open_cpython(limits: Limits, workers: int | None) -> WorkerPool["CPythonWorker"]:
    """Return a pool of workers, not yet entered. Raises SandboxError on other systems than Linux."""
    if not sys.platform.startswith("linux"):
        raise SandboxError("the cpython sandbox needs Linux: run autoif in a Linux machine or container")
    return WorkerPool("cpython", partial(_start_contained, limits), workers or count_processors())


async def _start_contained(limits: Limits) -> "CPythonWorker":
    worker = await CPythonWorker.start(limits)
    try:
        worker.require_layers()
    except SandboxError:
        await worker.end()
        raise
    return worker


def inspect_layers() -> "list[Layer]":
    """Start a worker, have it try each forbidden act, and return which layers held. Never raises SandboxError."""
    if not sys.platform.startswith("linux"):
        return [Layer("linux", False, True, f"the cpython sandbox needs Linux, this is {sys.platform}")]
    return run_to_end(_inspect_layers())


async def _inspect_layers() -> "list[Layer]":
    try:
        worker = await CPythonWorker.start(Limits())
    except SandboxError as error:
        return [Layer("worker", False, True, str(error))]
    await worker.end()
    return worker.layers


@dataclass(frozen=True, slots=True)
class Layer:
    """One mechanism that contains model code, and whether it works here."""

    name: str
    enforced: bool
    """Proved by trying the forbidden act inside, which was refused."""
    required: bool
    """No model code runs without this layer."""
    detail: str
    """The version or figure in force, or why the layer is not enforced."""


def describe_layers(layers: Sequence[Layer]) -> str:
    """Return one line, as "landlock v7, seccomp, rlimits, user+pid+net+ipc namespaces"."""
    held = {layer.name: layer.detail for layer in layers if layer.enforced}
    parts = [f"landlock {held['landlock']}"] if "landlock" in held else []
    parts += [name for name in ("seccomp", "rlimits") if name in held]
    spaces = [name.removesuffix(" namespace") for name in held if name.endswith(" namespace")]
    return ", ".join([*parts, f"{'+'.join(spaces)} namespaces" if spaces else "no namespaces"])


def find_missing(layers: Sequence[Layer]) -> list[Layer]:
    """Return the required layers that are not enforced."""
    return [layer for layer in layers if layer.required and not layer.enforced]


def find_packages(names: Sequence[str]) -> dict[str, str]:
    """Return each package's folder (or file, for a single module) by name. Raises SandboxError for names that aren't
    packages, or aren't installed."""
    found = {}
    for name in names:
        if not name.isidentifier() or name in sys.stdlib_module_names:
            raise SandboxError(f"{name!r} is no package that can be allowed: give the name that functions import")
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise SandboxError(f"the sandbox is to allow the package {name}, which is not installed here: install it")
        found[name] = os.path.realpath((spec.submodule_search_locations or [spec.origin])[0])
    return found


def find_libraries(packages: Mapping[str, str]) -> list[str]:
    """Return the folders of shared libraries that the packages' wheels installed, such as `numpy.libs`."""
    distributions = packages_distributions() if packages else {}
    found = []
    for name, place in packages.items():
        wanted = {f"{each.replace('-', '_')}.libs".casefold() for each in (name, *distributions.get(name, ()))}
        found += [entry.path for entry in os.scandir(Path(place).parent) if entry.name.casefold() in wanted]
    return found


class CPythonWorker:
    """A locked-down interpreter. Created by `start`, serves one call at a time, ended by `end`."""

    def __init__(self, limits: Limits) -> None:
        self.layers: list[Layer] = []
        self._limits = limits
        self._total_s = inf if limits.total_s is None else limits.total_s
        self._detail_bytes = min(limits.output_bytes, result_buffer.LONGEST_DETAIL)
        self._clean = DetailCleaner(())
        self._texts_written: tuple[str, ...] | None = None
        """The texts that the shared memory holds. They are written once for all functions that run on them."""
        self._channel = Channel()
        self._transport: asyncio.Transport | None = None
        with contextlib.ExitStack() as undo:
            self._texts = undo.enter_context(contextlib.closing(SharedMemory("texts", 1 << 16)))
            self._source = undo.enter_context(contextlib.closing(SharedMemory("source", 1 << 16)))
            self._result_memory = undo.enter_context(
                contextlib.closing(SharedMemory("results", result_buffer.measure(0)))
            )
            self._results = result_buffer.ResultBuffer(self._result_memory.map, self._detail_bytes)
            undo.callback(self._results.close)
            self._socket, theirs = socket.socketpair()
            close_in_forks(self._socket, theirs)
            undo.callback(self._socket.close)
            with theirs:
                self._process = self._spawn(theirs)
            undo.pop_all()

    def _spawn(self, channel: socket.socket) -> "subprocess.Popen[bytes]":
        with contextlib.ExitStack() as undo:
            readable = []
            packages = find_packages(self._limits.packages)
            for memory in (self._texts, self._source):
                readable.append(memory.open_for_reading())
                undo.callback(os.close, readable[-1])
            options = {
                "texts": readable[0],
                "source": readable[1],
                "results": self._result_memory.descriptor,
                "ipc": Path("/proc/self/ns/ipc").stat().st_ino,
                "timeout_s": self._limits.timeout_s,
                "total_s": self._total_s,
                "packages": packages,
                "libraries": find_libraries(packages),
                "memory_bytes": self._limits.memory_mb * _MEBIBYTE,
                "detail_bytes": self._detail_bytes,
            }
            return subprocess.Popen(
                [find_interpreter(), *_FLAGS, "-c", _PROGRAM, _FOLDER, json.dumps(options)],
                stdin=channel.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(*readable, self._result_memory.descriptor),
                env={name: os.environ[name] for name in _NEEDED_TO_START if name in os.environ} | _ENVIRONMENT,
                cwd=os.sep,
                start_new_session=True,
            )

    @classmethod
    async def start(cls, limits: Limits) -> "CPythonWorker":
        """Start a worker and learn which layers hold. Raises SandboxError if it doesn't start."""
        try:
            worker = cls(limits)
        except (OSError, TypeError) as error:
            raise SandboxError(f"the sandbox can't start {sys.executable}: {error}") from error
        try:
            await worker._connect()
        except BaseException:
            await worker.end()
            raise
        return worker

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_unix_connection(lambda: self._channel, sock=self._socket)
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                hello = json.loads(await self._channel.read_message())
        except (ConnectionError, TimeoutError) as error:
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

    def describe(self) -> str:
        """Return the layers that hold and the packages that are allowed, in one line."""
        packages = f", packages {' '.join(self._limits.packages)}" if self._limits.packages else ""
        return f"{describe_layers(self.layers)}{packages}"

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    async def call(self, source: str, inputs: Sequence[str], *, until_timeout: bool) -> list[Outcome]:
        """Run a function on all texts or, with `until_timeout`, on those up to the first that times out.

        Raises WorkerDied. After any exception the worker can't be used again.
        """
        transport = self._transport
        assert transport is not None
        call, count, encoded = secrets.randbits(64), len(inputs), wire.encode_text(source)
        longest_s = min(count * self._limits.timeout_s, self._total_s) * 1.5 + _CALL_GRACE_S
        self._share_texts(tuple(inputs))
        self._source.write(encoded)
        sizes = (self._texts.size, self._result_memory.size, self._source.size)
        request = wire.Request(call, count, *sizes, len(encoded), until_timeout)
        try:
            async with asyncio.timeout(longest_s):
                transport.write(wire.pack_request(request))
                reply = wire.unpack_reply(await self._channel.read_message())
        except ConnectionError as error:
            await asyncio.to_thread(self._reap)
            raise WorkerDied("it hung up", failed=self._process.returncode == wire.FAILED) from error
        except (TimeoutError, ValueError) as error:
            raise WorkerDied(str(error)) from error
        if reply.call != call or any(not lost.first < lost.end <= count for lost in reply.lost):
            raise WorkerDied("it answered another call")
        if any(lost.verdict not in _VERDICTS for lost in reply.lost):
            raise SandboxError("a function's process could not be locked in: see `autoif doctor`")
        ended = until_timeout and reply.lost and reply.lost[-1].verdict == result_buffer.TIMEOUT
        return await self._read_outcomes(reply.lost[-1].end if ended else count, reply)

    def _share_texts(self, texts: tuple[str, ...]) -> None:
        """Write the texts to shared memory, unless they are there already, and make room for their results."""
        size = result_buffer.measure(len(texts))
        if size != self._result_memory.size:
            self._results.close()
            self._result_memory.reserve(size)
            self._results = result_buffer.ResultBuffer(self._result_memory.map, self._detail_bytes)
        if texts != self._texts_written:
            self._texts.write(pack_texts(texts))
            self._texts_written = texts

    async def _read_outcomes(self, count: int, reply: wire.Reply) -> list[Outcome]:
        results, longest_s, loaded = self._results, reply.longest_s, reply.loaded
        verdicts, seconds = bytes(results.verdicts[:count]), results.seconds[:count].tolist()
        if not (reply.lost or verdicts.translate(None, _PASS_OR_FAIL_BYTES)) and _all_between(0.0, seconds, longest_s):
            fields = zip(map(_VERDICTS.__getitem__, verdicts), repeat(""), seconds, repeat(loaded))
            return list(map(tuple.__new__, repeat(Outcome), fields))  # `Outcome._make` takes half as long again
        outcomes: list[Outcome] = []
        for start in range(0, count, _READ_AT_ONCE):
            part = range(start, min(start + _READ_AT_ONCE, count))
            outcomes += [self._make_outcome(results.read(index, longest_s), loaded) for index in part]
            await asyncio.sleep(0)
        for first, end, verdict, spent, detail in reply.lost:
            outcomes[first] = self._make_outcome((verdict, spent, detail), loaded)
            outcomes[first + 1 : end] = [outcomes[first]._replace(seconds=0.0)] * (end - first - 1)
        return outcomes

    def _make_outcome(self, result: tuple[int, float, bytes], loaded: bool) -> Outcome:
        verdict, seconds, detail = result
        return Outcome(_VERDICTS[verdict], self._clean(detail), seconds, loaded)

    def _explain_silence(self) -> str:
        self._process.kill()
        assert self._process.stderr is not None
        lines = self._process.stderr.read().decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
        return f"the sandbox does not come up ({last.strip()}): see `autoif doctor`"

    async def end(self) -> None:
        """End the worker and everything in it, and reap it. Does nothing the second time."""
        if self._process.stderr is not None:
            self._process.stderr.close()
        if self._transport is None:
            self._socket.close()
        else:
            self._transport.abort()
            await self._channel.wait_closed()
        if self._process.poll() is None:
            self._process.terminate()
        await asyncio.to_thread(self._reap)
        self._results.close()
        self._texts.close()
        self._source.close()
        self._result_memory.close()

    def _reap(self) -> None:
        try:
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _all_between(low: float, values: Sequence[float], high: float) -> bool:
    """Tell whether all values lie between two numbers. A child can write NaN as seconds, which only the sum shows."""
    return low <= min(values) and max(values) <= high and sum(values) >= low
