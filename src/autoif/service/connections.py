"""HTTP connections with time limits: how long the server waits for each client.

The server either works for a connection or waits for its client: for a head, for more of a body, or until an answer is
taken. A client that keeps it waiting too long is hung up on, and so is the slowest where there are too many.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

LONGEST_HEAD_BYTES: Final = 1 << 16
_END_OF_HEAD: Final = b"\r\n\r\n"


class Connections:
    """Makes the protocol of each new connection, as `loop.create_server` asks for it."""

    def __init__(self, make: Callable[[], asyncio.Protocol], most: int, head_s: float) -> None:
        self._make = make
        self._most = most
        self._head_s = head_s
        self._open: set[Connection] = set()
        self._waiting: dict[Connection, None] = {}
        """Those whose client has the next step, by when it last took one."""

    def __call__(self) -> "Connection":
        return Connection(self, self._make, self._head_s)

    def add(self, connection: "Connection") -> None:
        """Count a connection in; hang up on another if these are too many."""
        self._open.add(connection)
        if len(self._open) > self._most and (longest := next(iter(self._waiting), None)):
            longest.hang_up()

    def note_step(self, connection: "Connection", *, waiting: bool) -> None:
        """Note that a client has done something, and whether it has the next step as well."""
        self._waiting.pop(connection, None)
        if waiting:
            self._waiting[connection] = None

    def remove(self, connection: "Connection") -> None:
        self._open.discard(connection)
        self._waiting.pop(connection, None)


class Connection(asyncio.Protocol):
    """Stands between a transport and the protocol that speaks HTTP on it, which is made for the first bytes to read."""

    def __init__(self, connections: Connections, make: Callable[[], asyncio.Protocol], head_s: float) -> None:
        self._connections = connections
        self._make = make
        self._inner: asyncio.Protocol | None = None
        self._first_head_s = head_s
        self._transport: asyncio.Transport | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._waits = False
        self._head = bytearray()
        self._head_is_due = False

    def wait(self, seconds: float) -> None:
        """From now on it is the client's turn; it has so long for it."""
        self._stop_clock()
        if self._transport is not None:
            self._waits = True
            self._clock = asyncio.get_running_loop().call_later(seconds, self.hang_up)
            self._connections.note_step(self, waiting=True)

    def wait_for_head(self, seconds: float) -> None:
        """Wait for the next request."""
        self._head_is_due = True
        self.wait(seconds)

    def work(self) -> None:
        """From now on it is the server's turn."""
        self._stop_clock()
        self._waits = self._head_is_due = False
        self._head.clear()
        self._connections.note_step(self, waiting=False)

    def require_attention(self) -> None:
        """Hang up if it is no longer read, as the client sends too much ahead: nobody would notice that it leaves."""
        if self._transport is not None and not self._transport.is_reading():
            self.hang_up()

    def hang_up(self) -> None:
        """End the connection, and drop what was not sent."""
        self._connections.remove(self)
        if self._transport is not None:
            self._transport.abort()

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)
        self.wait_for_head(self._first_head_s)

    def data_received(self, data: bytes) -> None:
        if self._waits:
            self._connections.note_step(self, waiting=True)
        if self._head_is_due and self._is_endless(data):
            self.hang_up()
            return
        if self._inner is None:
            assert self._transport is not None
            self._inner = self._make()
            self._inner.connection_made(self._transport)
        self._inner.data_received(data)
        if not self._waits:
            self.require_attention()

    def _is_endless(self, data: bytes) -> bool:
        """Whether a head has become too long. The parser limits each header by itself, and so a megabyte of them."""
        seen = len(self._head)
        self._head += data if seen else data.lstrip(b"\r\n")  # empty lines before a head are none of it
        self._head_is_due = self._head.find(_END_OF_HEAD, max(0, seen - len(_END_OF_HEAD))) < 0
        if not self._head_is_due:
            self._head.clear()
        return len(self._head) > LONGEST_HEAD_BYTES

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._inner else None

    def pause_writing(self) -> None:
        if self._inner:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner:
            self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_clock()
        self._transport = None
        self._connections.remove(self)
        if self._inner:
            self._inner.connection_lost(error)
