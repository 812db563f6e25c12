"""`autoif show`: a run, or one of its instructions, for reading."""

from pathlib import Path

import click
from rich.console import Console

from autoif.report.show import show_instruction, show_run


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("id", required=False)
def show(run: Path, id: str | None) -> None:
    """Print the funnel of RUN, or all about the instruction whose id begins with ID.

    For an instruction: its functions x cases matrix, its functions, its back-translations and its samples.
    """
    if id:
        show_instruction(run, id, Console())
    else:
        show_run(run, Console())
