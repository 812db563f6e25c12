"""`autoif fetch`: copy a run from an object store to a folder on this machine."""

import os
from pathlib import Path

import click

from autoif import api
from autoif.cli.options import LocalPath


@click.command()
@click.argument("address")
@click.argument("folder", required=False, type=LocalPath(file_okay=False))
def fetch(address: str, folder: Path | None) -> None:
    """Copy the run at ADDRESS (s3://BUCKET/runs/NAME) to FOLDER, by default runs/NAME, answers included.

    Every command can use the copy. Of a run in progress it has what is finished so far. The same command continues an
    interrupted copy.
    """
    made = api.fetch_run(address, folder)
    click.echo(f"{address} is in {os.path.relpath(made.path)}")
