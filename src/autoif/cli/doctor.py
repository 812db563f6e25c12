"""`autoif doctor`: what this machine enforces, and what is installed."""

import os
import sys
from importlib.util import find_spec

import click
from rich.console import Console
from rich.table import Table

from autoif.sandbox import inspect_layers

_EXTRAS = {"embedded": "xllamacpp", "nli": "transformers", "ray": "ray", "datasets": "datasets"}


@click.command()
def doctor() -> None:
    """Try each layer of the sandbox on this machine, and say which extras are installed.

    Exit code 1 if a required layer is not enforced: model-written code would not be run here.
    """
    console = Console()
    layers = inspect_layers()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("sandbox layer", "state", "detail"):
        table.add_column(column, overflow="fold")
    for layer in layers:
        missing = "[red]NOT ENFORCED[/]" if layer.required else "[yellow]not here (optional)[/]"
        table.add_row(layer.name, "[green]enforced[/]" if layer.enforced else missing, layer.detail)
    console.print(table)
    console.print()
    for extra, package in _EXTRAS.items():
        state = "installed" if find_spec(package) else f"not installed: pip install 'autoif[{extra}]'"
        console.print(f"extra {extra}: {state}", markup=False)
    console.print(f"cores: {len(os.sched_getaffinity(0))}, python {sys.version.split()[0]}")
    if any(layer.required and not layer.enforced for layer in layers):
        sys.exit(1)
