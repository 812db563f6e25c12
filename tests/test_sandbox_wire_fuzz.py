"""Whatever a worker sends, its parent gives legal outcomes or gives the worker up: it neither hangs nor falls over.

A man in the middle of the real worker's socket changes what comes back after the first request; nothing here knows how
a message is laid out.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoif.errors import SandboxError
from autoif.records import Verdict
from autoif.sandbox import Limits, worker

Change = Callable[[bytes], bytes]

SOURCE = "def evaluate(response):\n    if response == 'raise': raise ValueError('x' * 50)\n    return response == 'yes'"
INPUTS = ["yes", "no", "raise", "yes"]
VERDICTS = [Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.PASS]
TIMEOUT_S, LONGEST_S = 1.0, 5.0


class Middle:
    """Stands in for the socket module in `worker`: its pairs pass what is sent through `change`."""

    AF_UNIX = socket.AF_UNIX

    def __init__(self, change: Change) -> None:
        self._change = change
        self._asked = False
        self._sockets: list[socket.socket] = []
        self._pumps: list[asyncio.Task[None]] = []

    def socketpair(self, *arguments: int) -> tuple[socket.socket, socket.socket]:
        ours, outer = socket.socketpair(*arguments)
        inner, theirs = socket.socketpair(*arguments)
        self._sockets = [outer, inner]
        for each in self._sockets:
            each.setblocking(False)
        self._pumps += [
            asyncio.ensure_future(self._pump(*way)) for way in ((outer, inner, True), (inner, outer, False))
        ]
        return ours, theirs

    async def _pump(self, source: socket.socket, sink: socket.socket, asking: bool) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(source, 1 << 20):
                self._asked |= asking
                await loop.sock_sendall(sink, data if asking or not self._asked else self._change(data))
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    async def end(self) -> None:
        """Wait until both sides have hung up."""
        await asyncio.wait_for(asyncio.gather(*self._pumps), 5)
        for each in self._sockets:
            each.close()


async def call_through(change: Change, patience_s: float) -> list[Verdict] | None:
    """Return the verdicts that a parent made of a changed answer, None if it gave the worker up."""
    middle = Middle(change)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(worker, "socket", SimpleNamespace(socketpair=middle.socketpair, socket=socket.socket))
        patched.setattr(worker, "_CALL_GRACE_S", patience_s - 1.5 * TIMEOUT_S * len(INPUTS))
        started = await worker.Worker.start(Limits(timeout_s=TIMEOUT_S))
        try:
            outcomes = await asyncio.wait_for(started.call(SOURCE, INPUTS), patience_s + LONGEST_S)
        except (worker.WorkerDied, SandboxError):
            return None
        finally:
            await started.end()
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
    assert await call_through(lambda data: data, 10.0) == VERDICTS


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(change=CHANGES)
async def test_whatever_a_worker_answers_gives_verdicts_or_an_end(change: Change) -> None:
    await call_through(change, 0.3)
