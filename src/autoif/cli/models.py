"""`autoif models`: the models that this package can run itself."""

from pathlib import Path

import click
from rich.console import Console

from autoif.cli.options import LocalPath
from autoif.models.download import ensure_model, list_models
from autoif.models.weights import write_weights
from autoif.report.terminal import make_table


@click.group(invoke_without_command=True)
@click.pass_context
def models(context: click.Context) -> None:
    """List the embedded models, or fetch one."""
    if context.invoked_subcommand:
        return
    table = make_table("name", "size", "licence", "here")
    for model in list_models():
        table.add_row(model.name, f"{model.bytes / 1e6:,.0f} MB", model.licence, str(model.path or "no"))
    Console().print(table)


@models.command()
@click.argument("name")
@click.option("--weights", type=LocalPath(), metavar="FOLDER", help="Also write weights to train on.")
def fetch(name: str, weights: Path | None) -> None:
    """Download the embedded model NAME, verify its hash, and print where it is.

    --weights makes a model folder of it that `autoif train` takes (extra `train`).
    """
    model = ensure_model(name)
    click.echo(model)
    if weights:
        write_weights(model, weights)
        click.echo(weights)
