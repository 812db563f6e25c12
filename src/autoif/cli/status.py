"""`autoif status`: print the state of a run, from any machine that sees its folder."""

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from autoif.report.status import print_status, read_status, read_status_at
from autoif.runs.remote import Remote, is_address


@click.command()
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(run: str, as_json: bool) -> None:
    """Print the state of RUN: who works on it, what each stage has done, answers, tokens, and what stopped it.

    Reads only files, so you may ask from another terminal or machine during the run. RUN is a folder, or the address
    of a run's output.
    """
    found = read_status_at(Remote(run)) if is_address(run) else read_status(Path(run))
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
    else:
        print_status(found, Console())
