"""`autoif status`: how a run stands, from any machine that sees its folder."""

import json
from pathlib import Path

import click
from rich.console import Console

from autoif.report.status import print_status, read_status, to_plain


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(run: Path, as_json: bool) -> None:
    """Print how RUN stands: who works on it, what each stage has done, answers, tokens and what stopped it.

    Only files are read, so another terminal or machine may ask while the run goes on.
    """
    found = read_status(run)
    if as_json:
        click.echo(json.dumps(to_plain(found), indent=2))
    else:
        print_status(found, Console())
