"""Options that several commands share; those of a model, a judge or the sandbox have modules of their own."""

from pathlib import Path

import click

OUTPUT = click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write."
)
QUIET = click.option("--quiet", is_flag=True, help="Show no progress.")
SETTINGS = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting; may be repeated."
)
