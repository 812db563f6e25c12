"""`autoif record`: pack the model answers of runs into one small file, to replay or to build on."""

from pathlib import Path

import click

from autoif.cli.options import LocalPath, OutputPath
from autoif.models.recording import export_recording
from autoif.reading.text_lines import refuse_repeats
from autoif.renewing import RECORDING
from autoif.runs.store import COMPLETIONS


@click.command()
@click.argument("runs", type=LocalPath(), nargs=-1, required=True)
@click.option("-o", "--output", type=OutputPath(RECORDING), required=True, help="File to write: NAME.jsonl.xz.")
@click.option("--overwrite", is_flag=True, help="Replace a recording of that name.")
def record(runs: tuple[Path, ...], output: Path, overwrite: bool) -> None:
    """Record the model answers of RUNS, run folders, in one file.

    `autoif run --recording FILE` makes the same data from it without a model; `autoif run --answers FILE` asks only for
    missing answers. The file has what the model wrote, but no prompts and no keys.
    """
    refuse_repeats(runs)
    recorded = export_recording([run / COMPLETIONS for run in runs], output, overwrite=overwrite)
    click.echo(f"{recorded.completions:,} completions, {output.stat().st_size:,} bytes  {output}")
    if recorded.conflicts:
        click.echo(f"{recorded.conflicts:,} of them differ between the runs: those of the first are kept", err=True)
