"""`autoif doctor`: what this machine enforces, and what is installed."""

import sys

import click
from rich.console import Console

from autoif.report.doctor import show_machine


@click.command()
def doctor() -> None:
    """Try each layer of the sandbox on this machine, and say which extras are installed.

    Exit code 1 if model-written code would not be run here: a required layer is not enforced, and there is no
    interpreter without host access (monty) in its place.
    """
    if not show_machine(Console()):
        sys.exit(1)
