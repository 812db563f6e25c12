"""Prints what the sandbox enforces on this machine, and what is installed."""

import sys
from importlib.util import find_spec

from rich.console import Console
from rich.markup import escape

from autoif.models.catalog import find_model
from autoif.models.endpoint import Endpoint
from autoif.models.runtimes import RUNTIMES, choose_runtime
from autoif.processors import count_cores
from autoif.report.terminal import make_table, print_line
from autoif.sandbox import inspect_layers, inspect_monty
from autoif.sandbox.cpython import find_missing

_EXTRAS = {
    "embedded": "xllamacpp",
    "nli": "transformers",
    "ray": "ray",
    "datasets": "datasets",
    "monty": "pydantic_monty",
    "service": "prometheus_client",
    "otel": "opentelemetry",
    "train": "trl",
    "eval": "langdetect",
}


def show_machine(console: Console) -> bool:
    """Print each layer of the sandbox and each extra; return whether model-written code can run here."""
    layers = inspect_layers()
    table = make_table("sandbox layer", "state", "detail")
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
    print_line(f"backend auto: {chosen if contained else 'none, model-written code is not run here'}", console)
    for extra, package in _EXTRAS.items():
        state = "installed" if find_spec(package) else f"not installed: pip install 'autoif[{extra}]'"
        print_line(f"extra {extra}: {state}", console)
    model = find_model(Endpoint().model)
    print_line(f"embedded model: {model.name}, which runs in {RUNTIMES[choose_runtime(model)].name} here", console)
    print_line(f"cores: {count_cores()}, python {sys.version.split()[0]}", console)
    return contained
