"""`autoif report`: a run as one HTML file."""

import os
from pathlib import Path

import click

from autoif.page.report import write_report


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.html",
    help="File to write. [default: report.html in RUN]",
)  # fmt: skip
def report(run: Path, output: Path | None) -> None:
    """Make a page of RUN: one HTML file that needs no network and can be sent.

    It shows the funnel, every instruction with its functions, cases and verdicts, responses, pairs, distributions and
    settings. A run that goes on, or was stopped, is shown as far as it is. Beyond 50,000 rows the data lies in a folder
    beside the file.
    """
    for path in write_report(run, output or run / "report.html"):
        click.echo(os.path.relpath(path))
