"""Options that several commands share; those of a model, a judge or the sandbox have modules of their own."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import click

Command = Callable[..., None]


def add_options(options: Sequence[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    """Return a decorator that gives a command several options, in their order."""
    return lambda command: functools.reduce(lambda given, option: option(given), reversed(options), command)


OUTPUT = click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write."
)
QUIET = click.option("--quiet", is_flag=True, help="Show no progress.")
SETTINGS = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting; may be repeated."
)
