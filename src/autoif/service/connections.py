"""HTTP connections with a limit on how long the server waits for each client.

At any time the server either works for a connection, or waits for its client: to send a head, to send more of a body,
or to take an answer. It hangs up on a client that keeps it waiting too long. When there are too many connections, it
hangs up on the one whose client has been silent longest.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

LONGEST_HEAD_BYTES: Final = 1 << 16
_END_OF_HEAD: Final = b"\r\n\r\n"


class Connections:
    """All open connections; also the protocol factory for `loop.create_server`."""

    def __init__(self, make: Callable[[], asyncio.Protocol], most: int, head_s: float) -> None:
        self._make = make
        self._most = most
        self._head_s = head_s
        self._open: set[Connection] = set()
        self._waiting: dict[Connection, None] = {}
        """Connections whose client has the turn, the one that has been silent longest first."""

    def __call__(self) -> "Connection":
        return Connection(self, self._make, self._head_s)

    def add(self, connection: "Connection") -> None:
        """Register a connection; if there are too many, hang up on the one that has been silent longest."""
        self._open.add(connection)
        if len(self._open) > self._most and (longest := next(iter(self._waiting), None)):
            longest.hang_up()

    def note_step(self, connection: "Connection", *, waiting: bool) -> None:
        """Note that something happened on a connection, and whether the server is now `waiting` for its client."""
        self._waiting.pop(connection, None)
        if waiting:
            self._waiting[connection] = None

    def remove(self, connection: "Connection") -> None:
        self._open.discard(connection)
        self._waiting.pop(connection, None)


class Connection(asyncio.Protocol):
    """Stands between a transport and the protocol that speaks HTTP; that one is made when the first bytes arrive."""

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
        """Give the turn to the client, for at most this long."""
        self._stop_clock()
        if self._transport is not None:
            self._waits = True
            self._clock = asyncio.get_running_loop().call_later(seconds, self.hang_up)
            self._connections.note_step(self, waiting=True)

    def wait_for_head(self, seconds: float) -> None:
        """Wait for the client to send the head of a request."""
        self._head_is_due = True
        self.wait(seconds)

    def work(self) -> None:
        """Give the turn to the server."""
        self._stop_clock()
        self._waits = self._head_is_due = False
        self._head.clear()
        self._connections.note_step(self, waiting=False)

    def require_attention(self) -> None:
        """Hang up if reading is paused, as the client has sent too much ahead: nobody would notice that it leaves."""
        if self._transport is not None and not self._transport.is_reading():
            self.hang_up()

    def hang_up(self) -> None:
        """Close the connection at once, and drop what was not sent."""
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
        """Tell whether a head has become too long: the parser limits single headers only, not all of them together."""
        seen = len(self._head)
        self._head += data if seen else data.lstrip(b"\r\n")  # empty lines before a head don't belong to it
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
