"""What this machine enforces, and what is installed, for a terminal."""

import sys
from importlib.util import find_spec

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from autoif.models.cores import count_cores
from autoif.sandbox import inspect_layers, inspect_monty
from autoif.sandbox.cpython import find_missing

_EXTRAS = {
    "embedded": "xllamacpp",
    "nli": "transformers",
    "ray": "ray",
    "datasets": "datasets",
    "monty": "pydantic_monty",
    "service": "prometheus_client",
    "train": "trl",
    "eval": "langdetect",
}


def show_machine(console: Console) -> bool:
    """Print each layer of the sandbox and each extra; tell whether model-written code is run here."""
    layers = inspect_layers()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("sandbox layer", "state", "detail"):
        table.add_column(column, overflow="fold")
    for layer in layers:
        missing = "[red]NOT ENFORCED[/]" if layer.required else "[yellow]not here (optional)[/]"
        table.add_row(layer.name, "[green]enforced[/]" if layer.enforced else missing, layer.detail)
    monty = inspect_monty()
    table.add_row(
        "monty", "[green]contains[/]" if monty.enforced else "[yellow]not here (optional)[/]", escape(monty.detail)
    )
    console.print(table)
    console.print()
    chosen = "monty" if find_missing(layers) else "cpython"
    contained = monty.enforced if chosen == "monty" else True
    console.print(
        f"backend auto: {chosen if contained else 'none, model-written code is not run here'}", highlight=False
    )
    for extra, package in _EXTRAS.items():
        state = "installed" if find_spec(package) else f"not installed: pip install 'autoif[{extra}]'"
        console.print(f"extra {extra}: {state}", markup=False)
    console.print(f"cores: {count_cores()}, python {sys.version.split()[0]}")
    return contained
