"""`autoif cat`: the rows of files as text, packed or not."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from autoif.cli.options import LocalPath
from autoif.errors import ConfigError
from autoif.messages import show_in_line
from autoif.reading.jsonl import read_json_lines
from autoif.runs.store import FOLDERS, list_shards, read_own_lines
from autoif.runs.whole_files import PACKED


@click.command()
@click.argument("paths", metavar="FILE…", nargs=-1, required=True, type=LocalPath())
@click.option("--dropped", is_flag=True, help="Print what a stage dropped, not what it kept.")
def cat(paths: tuple[Path, ...], dropped: bool) -> None:
    """Print the rows of files, packed or not.

    FILE is a file of JSON lines, also a packed one of a run (.zst), or the folder of a stage, as in
    `autoif cat runs/first/06_rejection_sampling | head`, which prints all that the stage kept.
    """
    show = show_in_line if sys.stdout.isatty() else str  # a row may hold control sequences, which a terminal obeys
    for path in paths:
        for file in _list_files(path, dropped):
            lines = read_own_lines(file) if file.suffix == PACKED else read_json_lines(file)
            for _, line in lines:
                click.echo(show(line))


def _list_files(path: Path, dropped: bool) -> Iterator[Path]:
    if not path.is_dir():
        if not path.exists():
            raise ConfigError(f"{path}: no such file")
        if dropped:
            raise ConfigError(f"{path} is a file, and --dropped goes with the folder of a stage")
        yield path
        return
    found = list_shards(path.parent, path.name, "dropped" if dropped else "kept")
    if not found:
        stages = ", ".join(FOLDERS)
        raise ConfigError(f"{path} is no folder of a stage with files in it: name a file, or one of {stages} in a run")
    yield from found
