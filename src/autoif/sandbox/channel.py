"""The parent's end of a worker's socket: messages as they come, one awaited at a time."""

import asyncio

from autoif.sandbox.inside import wire


class Channel(asyncio.Protocol):
    """Puts the pieces of a message together. A protocol and no stream: a call costs one callback and one future."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._awaited: asyncio.Future[bytes] | None = None
        self._closed = asyncio.Event()

    async def read_message(self) -> bytes:
        """Return the next message, without its length. Raises ConnectionError if the other side is gone."""
        self._awaited = asyncio.get_running_loop().create_future()
        self._deliver()
        return await self._awaited

    async def wait_closed(self) -> None:
        """Wait until the socket is closed."""
        await self._closed.wait()

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._deliver()

    def eof_received(self) -> None:
        """Close: who hangs up in one direction has hung up."""

    def connection_lost(self, error: Exception | None) -> None:
        self._closed.set()
        self._deliver()

    def _deliver(self) -> None:
        if self._awaited is None or self._awaited.done():
            return
        head, received = wire.LENGTH.size, self._received
        if len(received) >= head:
            (length,) = wire.LENGTH.unpack_from(received)
            if len(received) >= head + length:
                self._awaited.set_result(bytes(received[head : head + length]))
                del received[: head + length]
                return
        if self._closed.is_set():
            self._awaited.set_exception(ConnectionResetError("the worker hung up"))
