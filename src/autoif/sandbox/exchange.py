"""What a worker of the `cpython` backend and its parent share: messages on a socket, and memory."""

import asyncio
import errno
import mmap
import os
from typing import Final

from autoif.sandbox.inside import wire


class Channel(asyncio.Protocol):
    """Assembles messages from the pieces received. A protocol rather than a stream: a call costs one callback and one
    future."""

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
        await self._closed.wait()

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._deliver()

    def eof_received(self) -> None:
        """Close the connection: a half-closed one counts as closed."""

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


_SMALLEST: Final = 1 << 12
_KEPT: Final = 1 << 24
"""Memory up to this size is kept for the next call even if far less is needed."""
_NOEXEC: Final = 0x8
"""MFD_NOEXEC_SEAL: some machines require it (sysctl vm.memfd_noexec); kernels before 6.3 don't know it."""


def _create(name: str) -> int:
    try:
        return os.memfd_create(name, os.MFD_CLOEXEC | _NOEXEC)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return os.memfd_create(name, os.MFD_CLOEXEC)


class SharedMemory:
    """Memory that grows on demand and is accessed as `map`. Raises OSError if the kernel refuses it."""

    def __init__(self, name: str, size: int) -> None:
        self.descriptor = _create(f"autoif-{name}")
        self._written = 0
        self._map: mmap.mmap | None = None
        try:
            self.reserve(size)
        except BaseException:
            os.close(self.descriptor)
            raise

    @property
    def size(self) -> int:
        return len(self.map)

    @property
    def map(self) -> mmap.mmap:
        assert self._map is not None
        return self._map

    def reserve(self, size: int) -> None:
        """Make it at least `size` bytes large; shrink it when far less is needed than before."""
        wanted = max(_SMALLEST, 1 << (size - 1).bit_length())
        if self._map is not None:
            if size <= len(self._map) <= max(_KEPT, 4 * wanted):
                return
            self._map.close()
        os.ftruncate(self.descriptor, wanted)
        self._map = mmap.mmap(self.descriptor, wanted)

    def write(self, data: bytes) -> None:
        """Write `data` at the beginning, and zeros over whatever a longer earlier write left behind it."""
        self.reserve(len(data))
        self.map[: len(data)] = data
        left = min(self._written, self.size)
        if left > len(data):
            self.map[len(data) : left] = bytes(left - len(data))
        self._written = len(data)

    def open_for_reading(self) -> int:
        """Return a new descriptor that can read the memory but not write it."""
        return os.open(f"/proc/self/fd/{self.descriptor}", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Release the memory. Does nothing the second time."""
        if self._map is not None:
            self._map.close()
            self._map = None
            os.close(self.descriptor)
