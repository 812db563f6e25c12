"""What the command and its crew tell each other, over a pair of sockets."""

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
    """To the crew: the cluster to connect to, or to start one with so many cores on this machine."""

    address: str
    cores: int


class Serve(NamedTuple):
    """To the crew: start the servers that these endpoints want."""

    endpoints: Mapping[Role, Endpoint]


class Hire(NamedTuple):
    """To the crew: start workers with these settings. Shards follow."""

    settings: ToolSettings
    workers: int


class Connected(NamedTuple):
    """From the crew: where the head of its cluster is."""

    address: str


class Served(NamedTuple):
    """From the crew: a server of these roles' model is there."""

    roles: tuple[Role, ...]
    url: str


class Joined(NamedTuple):
    """From the crew: a worker is ready on this node."""

    node: Node


class Bound(NamedTuple):
    """From the crew: what holds it back; "" where nothing does."""

    said: str


class Done(NamedTuple):
    """From the crew: a shard's result, and the verdicts that it took."""

    result: ShardResult
    verdicts: int


class Failed(NamedTuple):
    """From the crew, its last word: what ends the run."""

    error: Exception


class Lost(NamedTuple):
    """From the crew, its last word: the cluster is another one by now."""

    why: str


class Link:
    """One end: sends and receives whole objects."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Self:
        return cls(*await asyncio.open_unix_connection(sock=end))

    def send(self, message: object) -> None:
        """Send without waiting, so that two who send at the same time don't wait for each other."""
        content = pickle.dumps(message)
        self._writer.write(len(content).to_bytes(_LENGTH_BYTES, "big") + content)

    async def receive(self) -> Any:
        """Return the next message; None when the other end is gone."""
        try:
            length = await self._reader.readexactly(_LENGTH_BYTES)
            return pickle.loads(await self._reader.readexactly(int.from_bytes(length, "big")))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def close(self) -> None:
        """Send what is left, and hang up."""
        self._writer.close()
        with suppress(ConnectionError):  # the other end was quicker
            await self._writer.wait_closed()
