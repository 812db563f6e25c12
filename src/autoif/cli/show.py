"""`autoif show`: print a run, one of its instructions, or the prompts."""

from pathlib import Path

import click
from rich.console import Console

from autoif.report.show import show_instruction, show_prompts, show_run
from autoif.runs.remote import refuse_address


@click.command()
@click.argument("run", required=False)
@click.argument("id", required=False)
@click.option("--prompts", is_flag=True, help="Print the prompts of a run, a preset or a TOML file. [default: paper]")
def show(run: str | None, id: str | None, prompts: bool) -> None:
    """Print the funnel of RUN and its instructions, or one instruction in detail.

    ID is the beginning of an instruction's id. Its details are how its functions were settled, the matrix of functions
    and cases, the functions, back-translations and samples.
    """
    if prompts:
        if id:
            raise click.UsageError("--prompts takes one run folder, preset or TOML file")
        show_prompts(run or "paper", Console())
        return
    if not run:
        raise click.UsageError("name a run folder, or --prompts")
    refuse_address(run)
    if id:
        show_instruction(Path(run), id, Console())
    else:
        show_run(Path(run), Console())
