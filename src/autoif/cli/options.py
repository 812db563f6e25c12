"""Options that several commands share. Those of models, judges and the sandbox have modules of their own."""

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from autoif.errors import ConfigError
from autoif.messages import Say
from autoif.renewing import ResultKind, find_place

Command = Callable[..., None]


def add_options(options: Sequence[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    """Return a decorator that adds several options to a command, in this order."""
    return lambda command: functools.reduce(lambda given, option: option(given), reversed(options), command)


def gather_options(
    options: Sequence[Callable[[Command], Command]], name: str, make: Callable[..., Any]
) -> Callable[[Command], Command]:
    """Return a decorator that adds several options to a command, which receives `make(**values)` as argument `name`."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            values = {each: given.pop(each) for each in names}
            command(**{name: make(**values)}, **given)

        @add_options(options)
        def only_these() -> None: ...

        names = [each.name for each in getattr(only_these, "__click_params__")]  # noqa: B009  # click's own list
        return add_options(options)(run)

    return decorate


def choose_say(quiet: bool) -> Say:
    """Return a function that prints lines of progress to standard error, or with `quiet` ignores them."""
    return (lambda line: None) if quiet else functools.partial(click.echo, err=True)


def refuse_loss(path: Path, context: click.Context | None, *, written: bool) -> None:
    """Refuse a file that a command both reads and writes, in whatever order they are named: its content would be lost.

    Raises:
        ConfigError: the command has named this file for the other use.
    """
    if context and path.is_file():
        uses: dict[str, bool] = context.meta.setdefault(__name__, {})
        if uses.setdefault(os.path.realpath(path), written) != written:
            raise ConfigError(f"{path} is read by this command and would be replaced by what it makes: name another")


class LocalPath(click.Path):
    """A file or folder on this machine; "~" is expanded. An address is refused, with advice on how to fetch it."""

    written = False
    """Whether the command writes to it."""

    def __init__(self, *, exists: bool = False, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(path_type=Path, exists=exists, file_okay=file_okay, dir_okay=dir_okay)

    def convert(self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from autoif.reading.text_lines import expand_home  # imported here, as --help doesn't need it

        if "://" in os.fsdecode(value):
            from autoif.runs.remote import refuse_address

            refuse_address(value)
        path = Path(os.fsdecode(super().convert(expand_home(value), param, ctx)))
        refuse_loss(path, ctx, written=self.written)
        return path


class OutputPath(LocalPath):
    """A folder or a result file to write. Refuses files that belong to a run, and existing files of another kind than
    `kind` (`autoif.renewing`).
    """

    written = True

    def __init__(self, kind: ResultKind | None = None) -> None:
        """Without a `kind`, the path is a folder."""
        super().__init__(file_okay=kind is not None, dir_okay=kind is None)
        self._kind = kind

    def convert(self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from autoif.runs.store import refuse_run_file  # imported here, as --help doesn't need it

        path = super().convert(value, param, ctx)
        refuse_run_file(path)
        return find_place(path, self._kind) if self._kind else path


OUTPUT = click.option("-o", "--output", type=OutputPath(), required=True, help="Folder to write.")
QUIET = click.option("--quiet", is_flag=True, help="Show no progress.")
SETTINGS = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting; may be repeated."
)
