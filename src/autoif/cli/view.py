"""`autoif view`: serve the live page of a run, on which reviewers decide."""

import asyncio
import getpass
import os
from pathlib import Path

import click

from autoif.cli.options import LocalPath
from autoif.cli.serve import listening_options
from autoif.reading.text_lines import refuse_repeats
from autoif.runs.store import DECISIONS, read_run
from autoif.service.settings import ServiceSettings, read_token

_DEFAULTS = ServiceSettings(port=8421, body_mb=1, queue=64)


@click.command()
@click.argument("runs", type=LocalPath(), nargs=-1, required=True)
@click.option("--author", help="Name on your decisions. [default: your login name]")
@listening_options(_DEFAULTS, "browsers must give")
def view(runs: tuple[Path, ...], author: str | None, host: str, port: int, token_file: Path | None) -> None:
    """Review RUNS, run folders, in a browser, until Ctrl-C: the page of `autoif report`, kept up to date.

    Accept, reject and comment on instructions, functions, responses and pairs, by mouse or by single keys. Your
    decisions are stored in decisions.jsonl in the run folder (docs/view.md). With two runs, /compare shows the
    differences.

    Prints its URL when it is ready. If other machines can reach it, it needs a token (--token-file, or
    AUTOIF_SERVICE_TOKEN): browsers ask for it as password, and for the reviewer's name.
    """
    from autoif.view.server import view_until_stopped

    refuse_repeats(runs)
    for run in runs:
        read_run(run)
        if not os.access(run / DECISIONS if (run / DECISIONS).exists() else run, os.W_OK):
            click.echo(f"note: {run} can't be written to: it is shown, but to decide on it view a copy", err=True)
    settings = _DEFAULTS.model_copy(update={"host": host, "port": port, "token": read_token(token_file)})
    asyncio.run(view_until_stopped(runs, settings, author or _find_user(), click.echo))


def _find_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for this user id
        return "reviewer"
