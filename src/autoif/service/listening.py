"""Makes a server listen on an address, with a limit on connections."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Final, Protocol

from aiohttp import web

from autoif.errors import ConfigError
from autoif.processors import raise_descriptors
from autoif.service.callers import KEEP_ALIVE_S
from autoif.service.connections import Connections
from autoif.service.settings import ServiceSettings

_BACKLOG: Final = 4096
"""Connections that the kernel queues: a burst waits there instead of being refused."""
_ACCEPTED_AT_ONCE: Final = 32
_MOST_CONNECTIONS: Final = 2048
_OWN_DESCRIPTORS: Final = 64 + 2 * _ACCEPTED_AT_ONCE
"""File descriptors for everything but connections, and for connections that are just opened or closed."""
_DESCRIPTORS_OF_A_WORKER: Final = 16
_CLOSE_S: Final = 5.0
"""How long the last answers may take to be sent when the server stops."""
_LINGER_S: Final = 2.0
"""How long the rest of a refused body is still received."""


class Listener(Protocol):
    """An application that can be served."""

    @property
    def app(self) -> web.Application: ...

    async def end(self) -> None:
        """Free its resources."""
        ...


def catch_stops() -> "asyncio.Queue[str]":
    """Catch SIGTERM and SIGINT from now on; return a queue that gets the name of each signal."""
    stops: asyncio.Queue[str] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stops.put_nowait, number.name)
    return stops


@asynccontextmanager
async def listening(service: Listener, settings: ServiceSettings) -> AsyncIterator[str]:
    """Serve requests within the block; yield the URL. Raises ConfigError: it can't listen there."""
    most = count_connections(settings)
    runner = web.AppRunner(
        service.app,
        handler_cancellation=True,
        access_log=None,
        keepalive_timeout=KEEP_ALIVE_S,
        lingering_time=_LINGER_S,
        auto_decompress=False,  # compressed bodies are refused; decompressing the rest of one could take seconds
        shutdown_timeout=_CLOSE_S,
    )
    await runner.setup()
    assert runner.server is not None
    try:
        connections = Connections(runner.server, most, settings.patience_s)
        with closing(await _listen(connections, settings)) as server:
            host, port = server.sockets[0].getsockname()[:2]
            yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        await runner.cleanup()
        await service.end()


async def _listen(connections: Connections, settings: ServiceSettings) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    try:
        # asyncio accepts as many connections in a row as its backlog says, and retries as often when no descriptor is
        # left. So asyncio gets a short backlog, and the kernel a long one.
        server = await loop.create_server(connections, settings.host, settings.port, backlog=_ACCEPTED_AT_ONCE)
        for listener in server.sockets:
            with socket.socket(fileno=os.dup(listener.fileno())) as same:
                same.listen(_BACKLOG)
    except OSError as error:
        raise ConfigError(f"can't listen on {settings.host} port {settings.port}: {error.strerror or error}") from None
    return server


def count_connections(settings: ServiceSettings) -> int:
    """Return how many connections may be open at once; raise the limit of file descriptors for them if possible.

    Raises ConfigError: the limit allows fewer connections than the queue holds.
    """
    ours = _OWN_DESCRIPTORS + _DESCRIPTORS_OF_A_WORKER * settings.sandbox.count_workers()
    wanted = ours + max(_MOST_CONNECTIONS, 2 * settings.queue)
    most = raise_descriptors(wanted) - ours
    if most <= settings.queue:
        raise ConfigError(
            f"this process may open too few files for a queue of {settings.queue}: "
            f"raise the limit (ulimit -n {wanted}), or lower --queue"
        )
    return most
