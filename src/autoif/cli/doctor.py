"""`autoif doctor`: what this machine enforces, and what is installed."""

import sys

import click
from rich.console import Console

from autoif.report.doctor import show_machine


@click.command()
def doctor() -> None:
    """Test each layer of the sandbox on this machine, and list the installed extras.

    The exit code is 1 if model-written code can't run here: a required layer is not enforced, and the interpreter
    without host access (monty) is not installed.
    """
    if not show_machine(Console()):
        sys.exit(1)
