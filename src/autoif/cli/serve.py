"""`autoif serve`: verdicts and rewards over HTTP."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from autoif.cli.options import Command, LocalPath, add_options
from autoif.cli.sandbox_options import sandbox_options
from autoif.errors import needing_extra
from autoif.service.settings import ServiceSettings, read_token

_DEFAULTS = ServiceSettings()


def listening_options(defaults: ServiceSettings, token: str) -> Callable[[Command], Command]:
    """Add the options of a server to a command: --host, --port, --token-file.

    `token` completes the help of the last: "File with the token that …".
    """
    return add_options((
        click.option("--host", default=defaults.host, show_default=True, help="Address to listen on."),
        click.option(
            "--port", type=click.IntRange(0, 65535), default=defaults.port, show_default=True, help="0: a free one."
        ),
        click.option("--token-file", type=LocalPath(), help=f"File with the token that {token}."),
    ))  # fmt: skip


def _limit(name: str, kind: click.IntRange | click.FloatRange, help: str) -> Callable[[Command], Command]:
    """Return the option for a setting of the service."""
    flag = f"--{name.removesuffix('_s').replace('_', '-')}"
    return click.option(flag, name, type=kind, default=getattr(_DEFAULTS, name), show_default=True, help=help)


_LIMITS = (
    _limit("queue", click.IntRange(min=1), "Requests accepted at once; more get 429."),
    _limit("queue_mb", click.IntRange(min=1), "MiB that these requests may hold together."),
    _limit("body_mb", click.IntRange(min=1), "MiB of one body; more gets 413."),
    _limit("patience_s", click.FloatRange(min=0, min_open=True), "Seconds that a client may keep the server waiting."),
    _limit("deadline_s", click.FloatRange(min=0, min_open=True), "Seconds for one request; then 504."),
    _limit("grace_s", click.FloatRange(min=0), "Seconds for requests in flight at SIGTERM."),
)


@click.command()
@listening_options(_DEFAULTS, "clients must send")
@sandbox_options()
@add_options(_LIMITS)
def serve(token_file: Path | None, **settings: Any) -> None:
    """Answer HTTP requests for verdicts and rewards, until SIGTERM or Ctrl-C.

    Prints its URL when it is ready; GET /docs there shows the routes. If other machines can reach it, it needs a token,
    from --token-file or AUTOIF_SERVICE_TOKEN.
    """
    with needing_extra("service", "autoif serve"):
        from autoif.service.server import serve as serve_until_stopped
        from autoif.service.telemetry import configure_log
    configure_log()
    asyncio.run(serve_until_stopped(ServiceSettings(token=read_token(token_file), **settings), click.echo))
