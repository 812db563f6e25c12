"""The messages between the command and its crew, and the pair of sockets that carries them."""

import asyncio
import pickle
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Self

from autoif.engines.ray.worker import Node
from autoif.models.endpoint import Endpoint
from autoif.models.requests import Role
from autoif.pipeline import ShardResult
from autoif.tools import ToolSettings

_LENGTH_BYTES = 8


class Connect(NamedTuple):
    """To the crew: connect to the cluster at this address, or start one on this machine."""

    address: str
    """If empty, a cluster is started."""
    cores: int
    """Of a cluster that is started."""


class Serve(NamedTuple):
    """To the crew: start the servers of these endpoints."""

    endpoints: Mapping[Role, Endpoint]


class Hire(NamedTuple):
    """To the crew: start workers with these settings. Shards follow."""

    settings: ToolSettings
    workers: int


class Connected(NamedTuple):
    """From the crew: it is connected to a cluster, whose head is at this address."""

    address: str


class Served(NamedTuple):
    """From the crew: a server for these roles is ready."""

    roles: tuple[Role, ...]
    url: str


class Joined(NamedTuple):
    """From the crew: a worker is ready on this node."""

    node: Node


class Bound(NamedTuple):
    """From the crew: what holds it back; "" if nothing does."""

    what: str


class Done(NamedTuple):
    """From the crew: a shard's result, and how many verdicts the worker gave since its last one."""

    result: ShardResult
    verdicts: int


class Failed(NamedTuple):
    """From the crew, its last message: the error that ends the run."""

    error: Exception


class Lost(NamedTuple):
    """From the crew, its last message: the cluster is lost, and the run may go on with a new crew."""

    why: str


class Link:
    """One end of the connection: sends and receives whole objects."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Self:
        return cls(*await asyncio.open_unix_connection(sock=end))

    def send(self, message: object) -> None:
        """Queue a message without waiting, so that two ends that send at the same time can't block each other."""
        content = pickle.dumps(message)
        self._writer.write(len(content).to_bytes(_LENGTH_BYTES, "big") + content)

    async def receive(self) -> Any:
        """Return the next message; None if the other end is closed."""
        try:
            length = await self._reader.readexactly(_LENGTH_BYTES)
            return pickle.loads(await self._reader.readexactly(int.from_bytes(length, "big")))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def close(self) -> None:
        """Send what is still queued, and close this end."""
        self._writer.close()
        with suppress(ConnectionError):  # the other end closed first
            await self._writer.wait_closed()
