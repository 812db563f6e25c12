"""Whatever a worker sends, its parent gives legal outcomes or gives it up: it neither hangs nor falls over.

A man in the middle of the real worker's socket changes what comes back after the first request; nothing here knows how
a message is laid out.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoif.errors import SandboxError
from autoif.records import Verdict
from autoif.sandbox import Limits, Sandbox, cpython

Change = Callable[[bytes], bytes]

SOURCE = "def evaluate(response):\n    if response == 'raise': raise ValueError('x' * 50)\n    return response == 'yes'"
INPUTS = ["yes", "no", "raise", "yes"]
VERDICTS = [Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.PASS]
TIMEOUT_S, LONGEST_S = 1.0, 5.0


class Middle:
    """Stands in for the socket module in `cpython`: what comes back through its pairs goes through `change`."""

    def __init__(self, change: Change) -> None:
        self._change = change
        self._pumps: list[asyncio.Task[None]] = []
        self._sockets: list[socket.socket] = []

    def socketpair(self) -> tuple[socket.socket, socket.socket]:
        (ours, outer), (inner, theirs) = socket.socketpair(), socket.socketpair()
        for each in (outer, inner):
            each.setblocking(False)
            self._sockets.append(each)
        asked = asyncio.Event()
        self._pumps.append(asyncio.create_task(self._pump_requests(outer, inner, asked)))
        self._pumps.append(asyncio.create_task(self._pump_answers(inner, outer, asked)))
        return ours, theirs

    async def _pump_requests(self, source: socket.socket, sink: socket.socket, asked: asyncio.Event) -> None:
        async for data in receive(source, sink):
            asked.set()
            await asyncio.get_running_loop().sock_sendall(sink, data)

    async def _pump_answers(self, source: socket.socket, sink: socket.socket, asked: asyncio.Event) -> None:
        async for data in receive(source, sink):
            await asyncio.get_running_loop().sock_sendall(sink, self._change(data) if asked.is_set() else data)

    async def end(self) -> None:
        """Wait until both sides have hung up."""
        await asyncio.wait_for(asyncio.gather(*self._pumps, return_exceptions=True), 5)
        for each in self._sockets:
            each.close()


async def receive(source: socket.socket, sink: socket.socket) -> AsyncIterator[bytes]:
    """Yield what comes until one side hangs up, then hang up on both."""
    with contextlib.suppress(OSError):
        while data := await asyncio.get_running_loop().sock_recv(source, 1 << 20):
            yield data
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


async def run_through(change: Change, patience_s: float) -> list[Verdict] | None:
    """Return the verdicts that a parent made of a changed answer, None if it gave the sandbox up."""
    middle = Middle(change)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cpython, "socket", SimpleNamespace(socketpair=middle.socketpair, socket=socket.socket))
        patched.setattr(cpython, "_CALL_GRACE_S", patience_s - 1.5 * TIMEOUT_S * len(INPUTS))
        try:
            async with Sandbox(Limits(timeout_s=TIMEOUT_S), backend="cpython", workers=1) as sandbox:
                outcomes = await asyncio.wait_for(sandbox.run(SOURCE, INPUTS), 2 * patience_s + LONGEST_S)
        except SandboxError:
            return None
        finally:
            await middle.end()
    assert len(outcomes) == len(INPUTS)
    assert all(outcome.detail.isprintable() and len(outcome.detail) <= 300 for outcome in outcomes)
    return [Verdict(outcome.verdict) for outcome in outcomes]


def flip(place: float, bits: int) -> Change:
    def change(data: bytes) -> bytes:
        at = int(place * (len(data) - 1))
        return data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]

    return change


CHANGES = st.one_of(
    st.builds(flip, st.floats(0, 1), st.integers(1, 255)),
    st.builds(lambda place: lambda data: data[: int(place * len(data))], st.floats(0, 1)),
    st.builds(lambda extra: lambda data: data + extra, st.binary(min_size=1, max_size=40)),
    st.builds(lambda noise: lambda data: noise, st.binary(max_size=200)),
    st.builds(
        lambda length, noise: lambda data: length.to_bytes(8, "little") + noise, st.integers(0, 2**64 - 1), st.binary()
    ),
    st.just(lambda data: data * 2),
    st.just(lambda data: data[:8] + bytes(len(data) - 8)),
    st.just(lambda data: b"\xff" * len(data)),
)


async def test_an_answer_that_is_not_changed_is_believed() -> None:
    assert await run_through(lambda data: data, 10.0) == VERDICTS


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(change=CHANGES)
async def test_whatever_a_worker_answers_gives_verdicts_or_an_end(change: Change) -> None:
    await run_through(change, 0.1)
