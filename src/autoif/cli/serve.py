"""`autoif serve`: verdicts and rewards over HTTP."""

import asyncio
from importlib.util import find_spec
from pathlib import Path

import click

from autoif.cli.options import LocalPath
from autoif.cli.sandbox_options import sandbox_options
from autoif.errors import ConfigError
from autoif.sandbox import SandboxSettings
from autoif.service.settings import ServiceSettings, read_token

_DEFAULTS = ServiceSettings()


@click.command()
@click.option("--host", default=_DEFAULTS.host, show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=_DEFAULTS.port, show_default=True, help="0: a free one.")
@click.option("--token-file", type=LocalPath(), help="File with the token that clients must send.")
@sandbox_options()
@click.option(
    "--queue",
    type=click.IntRange(min=1),
    default=_DEFAULTS.queue,
    show_default=True,
    help="Requests taken on at once; more get 429.",
)
@click.option(
    "--queue-mb",
    type=click.IntRange(min=1),
    default=_DEFAULTS.queue_mb,
    show_default=True,
    help="MiB that they hold, all together.",
)
@click.option(
    "--body-mb",
    type=click.IntRange(min=1),
    default=_DEFAULTS.body_mb,
    show_default=True,
    help="MiB of one body; more gets 413.",
)
@click.option(
    "--patience",
    "patience_s",
    type=click.FloatRange(min=0, min_open=True),
    default=_DEFAULTS.patience_s,
    show_default=True,
    help="Seconds that a client may keep the server waiting.",
)
@click.option(
    "--deadline",
    "deadline_s",
    type=click.FloatRange(min=0, min_open=True),
    default=_DEFAULTS.deadline_s,
    show_default=True,
    help="Seconds for one request; then 504.",
)
@click.option(
    "--grace",
    "grace_s",
    type=click.FloatRange(min=0),
    default=_DEFAULTS.grace_s,
    show_default=True,
    help="Seconds for requests in flight at SIGTERM.",
)
def serve(
    host: str,
    port: int,
    token_file: Path | None,
    sandbox: SandboxSettings,
    queue: int,
    queue_mb: int,
    body_mb: int,
    patience_s: float,
    deadline_s: float,
    grace_s: float,
) -> None:
    """Answer HTTP requests for verdicts and rewards, until SIGTERM or Ctrl-C.

    Prints its URL, one line, once it takes requests on; GET /docs there shows the routes. The token comes from
    --token-file or from AUTOIF_SERVICE_TOKEN, and must be given where other machines can reach the server.
    """
    if not find_spec("prometheus_client"):
        raise ConfigError("this command needs an extra: pip install 'autoif[service]'")
    from autoif.service.server import serve as serve_until_stopped  # needs the extra
    from autoif.service.telemetry import configure_log

    configure_log()
    settings = ServiceSettings(
        host=host,
        port=port,
        token=read_token(token_file),
        sandbox=sandbox,
        queue=queue,
        queue_mb=queue_mb,
        body_mb=body_mb,
        patience_s=patience_s,
        deadline_s=deadline_s,
        grace_s=grace_s,
    )
    asyncio.run(serve_until_stopped(settings, click.echo))
