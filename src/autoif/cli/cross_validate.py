"""`autoif cross-validate`: filter recorded generations of functions and cases, from any AutoIF implementation."""

import asyncio
from pathlib import Path

import click

from autoif.cli.options import SETTINGS, LocalPath, OutputPath, refuse_loss
from autoif.config import load_config
from autoif.errors import NoData
from autoif.instructions.recorded import filter_generations, read_generations
from autoif.renewing import DROPPED, INSTRUCTIONS, find_place
from autoif.runs.whole_files import write_jsonl


@click.command("cross-validate")
@click.argument("generations", type=LocalPath())
@click.option("-o", "--output", type=OutputPath(INSTRUCTIONS), required=True, help="Verified instructions, JSONL.")
@click.option("--preset", default="paper", show_default=True, help="Preset whose thresholds to use.")
@SETTINGS
def cross_validate(generations: Path, output: Path, preset: str, settings: tuple[str, ...]) -> None:
    """Cross-validate recorded GENERATIONS: rows {"instruction", "generations": [text, ...]} (also "gpt-answer").

    What is kept goes to OUTPUT, in the form that `autoif run --instructions` takes; what is dropped goes, with its
    reason, to a file beside it.
    """
    dropped = output.with_name(f"{output.stem}.dropped.jsonl")
    refuse_loss(dropped, click.get_current_context(), written=True)
    dropped = find_place(dropped, DROPPED)
    config = load_config(preset, settings)
    rows = read_generations(generations)
    result = asyncio.run(filter_generations(rows, config))
    write_jsonl(output, result.kept)
    write_jsonl(dropped, result.dropped)
    for line in result.describe():
        click.echo(line)
    click.echo(f"{len(result.kept):,} rows  {output}\n{len(result.dropped):,} rows  {dropped}")
    if not result.kept:
        raise NoData(f"no instruction is kept: {dropped} says why of each")
