"""Runs the server from its start to its orderly end."""

import asyncio
import logging

from autoif.messages import Say
from autoif.service.app import Service
from autoif.service.listening import catch_stops, listening
from autoif.service.settings import ServiceSettings, require_token_beyond_loopback

_logger = logging.getLogger("autoif.service")


async def serve(settings: ServiceSettings, announce: Say) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return. `announce` gets the URL once the server listens.

    Raises:
        ConfigError: the address can't be listened on, or could be reached by others without a token.
        SandboxError: functions can't be contained on this machine.
    """
    require_token_beyond_loopback(settings)
    stops = catch_stops()
    async with settings.sandbox.make_sandbox(total_s=settings.deadline_s) as sandbox:
        service = Service(settings, sandbox)
        async with listening(service, settings) as url:
            announce(url)
            _logger.info("sandbox: %s", sandbox.describe())
            _logger.info("%s: draining", await stops.get())
            await _drain(service, stops, settings.grace_s)


async def _drain(service: Service, stops: "asyncio.Queue[str]", grace_s: float) -> None:
    """Let requests under way finish, for `grace_s` or until a second signal; refuse new ones with a reason."""
    service.draining = True
    waits = [asyncio.create_task(service.admission.idle.wait()), asyncio.create_task(stops.get())]
    await asyncio.wait(waits, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    if service.admission.requests:
        _logger.warning("%d requests are not done and will not be", service.admission.requests)
        service.stop_requests()
    # The listener stays open until here, so that new requests get a 503 and not a refused connection.
