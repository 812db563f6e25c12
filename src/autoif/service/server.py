"""A server from its start to its orderly end."""

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import Final

from aiohttp import web

from autoif.errors import ConfigError
from autoif.sandbox import Limits, Sandbox
from autoif.service.app import Service
from autoif.service.settings import ServiceSettings, require_token_beyond_loopback

_BACKLOG: Final = 4096
"""Connections that the kernel holds for us: a burst waits there and is not refused."""
_KEEPALIVE_S: Final = 75.0
_CLOSE_S: Final = 5.0
"""For the last answers to leave."""
_logger = logging.getLogger("autoif.service")


async def serve(settings: ServiceSettings, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return. `announce` gets the URL once requests are taken.

    Raises:
        ConfigError: the address can't be listened on, or could be reached by others without a token.
        SandboxError: functions can't be contained on this machine.
    """
    require_token_beyond_loopback(settings)
    stops: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stops.put_nowait, number.name)
    limits = Limits(timeout_s=settings.timeout_s, memory_mb=settings.memory_mb)
    async with Sandbox(limits, backend=settings.backend, workers=settings.workers) as sandbox:
        service = Service(settings, sandbox)
        runner = web.AppRunner(
            service.app,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=_KEEPALIVE_S,
            shutdown_timeout=_CLOSE_S,
        )
        await runner.setup()
        try:
            announce(await _listen(runner, settings))
            _logger.info("sandbox: %s", sandbox.describe())
            _logger.info("%s: draining", await stops.get())
            await _drain(service, stops, settings.grace_s)
        finally:
            await runner.cleanup()


async def _listen(runner: web.AppRunner, settings: ServiceSettings) -> str:
    try:
        await web.TCPSite(runner, settings.host, settings.port, backlog=_BACKLOG).start()
    except OSError as error:
        raise ConfigError(f"can't listen on {settings.host} port {settings.port}: {error.strerror or error}") from None
    host, port = runner.addresses[0][:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def _drain(service: Service, stops: "asyncio.Queue[str]", grace_s: float) -> None:
    """Finish what is under way, for `grace_s` or until a second signal; new requests are refused with a reason."""
    service.draining = True
    waits = [asyncio.create_task(service.admission.idle.wait()), asyncio.create_task(stops.get())]
    await asyncio.wait(waits, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    if service.admission.requests:
        _logger.warning("%d requests are not done and will not be", service.admission.requests)
        service.stop_requests()
    # The listener stays open until here: who comes while others finish gets a 503 and not a refused connection.
