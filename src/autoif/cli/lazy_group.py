"""A group whose commands are imported when they are called, so that each starts without loading the others."""

from collections.abc import Mapping
from importlib import import_module
from itertools import pairwise
from typing import Any, NamedTuple

import click


class Place(NamedTuple):
    """Where to import a command from, and its line in the list of commands."""

    where: str
    """As "module:variable"."""
    summary: str


_MAY_BE_EMPTY = "--language"
"""The one option for which an empty value means something. Any other empty value is likely an unset shell variable, and
would be read as the working directory or as if the option were missing."""


class LazyGroup(click.Group):
    """A group that imports the commands named in `places` when they are called; others can be added as usual."""

    def __init__(self, *arguments: Any, places: Mapping[str, Place], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._places = places

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for before, given in pairwise([self.name or "", *args]):
            is_bare = given.startswith("--") and given.find("=") == len(given) - 1  # as --data=
            option = given[:-1] if is_bare else before
            if (not given or is_bare) and option != _MAY_BE_EMPTY:
                raise click.UsageError(f"what comes after {option} is empty: give a value, or leave it out", ctx)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self._places])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._places:
            return super().get_command(ctx, cmd_name)
        module, variable = self._places[cmd_name].where.split(":")
        command: click.Command = getattr(import_module(module), variable)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        listed = {name: place.summary for name, place in self._places.items()}
        listed |= {name: command.get_short_help_str() for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(listed.items()))
