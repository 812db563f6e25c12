"""`autoif models`: the models that this package can run itself."""

from pathlib import Path

import click

from autoif.cli.options import LocalPath
from autoif.models.download import ensure_model, list_models
from autoif.models.weights import write_weights


@click.group(invoke_without_command=True)
@click.pass_context
def models(context: click.Context) -> None:
    """List the embedded models, or fetch one."""
    if context.invoked_subcommand:
        return
    click.echo(f"{'name':<20}{'size':>8}  {'licence':<10}  here")
    for model in list_models():
        click.echo(f"{model.name:<20}{model.bytes / 1e6:>5,.0f} MB  {model.licence:<10}  {model.path or 'no'}")


@models.command()
@click.argument("name")
@click.option("--weights", type=LocalPath(), metavar="FOLDER", help="Also write weights to train on.")
def fetch(name: str, weights: Path | None) -> None:
    """Download the embedded model NAME, check its hash, print its path.

    --weights makes a model folder of it that `autoif train` takes (extra `train`).
    """
    model = ensure_model(name)
    click.echo(model)
    if weights:
        write_weights(model, weights)
        click.echo(weights)
