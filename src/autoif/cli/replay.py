"""`autoif replay`: show what a run would be with other thresholds, from its stored verdicts."""

from pathlib import Path

import click
from rich.console import Console

from autoif.cli.options import LocalPath, OutputPath
from autoif.errors import needing_extra
from autoif.renewing import FIGURE, SWEEP
from autoif.report.sweep import print_sweep
from autoif.runs.whole_files import write_json
from autoif.sweep.applying import apply_sweep
from autoif.sweep.points import sweep_run


@click.command()
@click.argument("run", type=LocalPath())
@click.option(
    "--sweep", "sweeps", multiple=True, required=True, metavar="KEY=VALUES",
    help="A setting with a range FIRST:LAST:STEP or a list VALUE,VALUE; repeat for a grid.",
)  # fmt: skip
@click.option("-o", "--output", type=OutputPath(SWEEP), metavar="FILE.json", help="Write all figures.")
@click.option(
    "--plot",
    type=OutputPath(FIGURE),
    metavar="FILE.svg",
    help="Draw the figures (extra `eval`).",
)
@click.option(
    "--apply", "folder", type=LocalPath(), metavar="FOLDER",
    help="Make the data set of one point in a new run folder.",
)  # fmt: skip
def replay(run: Path, sweeps: tuple[str, ...], output: Path | None, plot: Path | None, folder: Path | None) -> None:
    """Print what RUN would be with other thresholds: instructions, rows and pairs. No model is asked.

    A range such as cross_validation.function_agreement=0.5:1.0:0.1 takes the sign of the run's own threshold; ">=0.8"
    has its own. Settings that only judge what is stored can be swept (docs/planning.md). Answers that a looser setting
    needs and the run never asked for are counted, and left out.

    With an audit.json in RUN, also prints precision against gold and the score of the functions that are left.
    """
    if plot:
        with needing_extra("eval", "autoif replay --plot"):
            from autoif.figures.plots import plot_sweep
            from autoif.figures.style import check_kind
        check_kind(plot)
    if folder:
        for note in apply_sweep(run, sweeps, folder):
            click.echo(f"note: {note}", err=True)
    found = sweep_run(run, sweeps)
    print_sweep(found, Console())
    if output:
        write_json(output, found)
    if plot:
        plot_sweep(found, plot)
    if folder:
        click.echo(f"made {folder}")
