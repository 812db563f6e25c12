"""The `autoif` command: parse, call, print. What goes wrong ends in one line and exit code 2."""

import os
import sys

import click

from autoif.cli.benchmarks import fetch, ifbench, ifeval
from autoif.cli.contamination import contamination
from autoif.cli.cross_validate import cross_validate
from autoif.cli.doctor import doctor
from autoif.cli.evaluate import compare, evaluate, plot_curves
from autoif.cli.evaluate_followbench import followbench
from autoif.cli.evaluate_general import general
from autoif.cli.export import export
from autoif.cli.models import models
from autoif.cli.push import push
from autoif.cli.record import record
from autoif.cli.run import run
from autoif.cli.serve import serve
from autoif.cli.show import show
from autoif.cli.split import prompts, split
from autoif.cli.train import train
from autoif.cli.verify import verify
from autoif.errors import AutoIFError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="autoif")
def cli() -> None:
    """Make instruction-following training data that running code has verified (AutoIF, Dong et al., 2024)."""


for command in (
    run,
    cross_validate,
    verify,
    split,
    prompts,
    train,
    evaluate,
    compare,
    plot_curves,
    contamination,
    export,
    push,
    record,
    serve,
    models,
    doctor,
    show,
):
    cli.add_command(command)
for benchmark in (ifeval, ifbench, followbench, general, fetch):
    evaluate.add_command(benchmark)


def main() -> None:
    """Run the command line; the entry point of the package."""
    try:
        cli.main(standalone_mode=False)
    except AutoIFError as error:
        _fail(str(error))
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except BrokenPipeError:  # the reader (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _fail(message: str) -> None:
    click.echo(f"autoif: {' '.join(message.split())}", err=True)
    sys.exit(2)
