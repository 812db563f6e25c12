"""No command's --output may replace what a run keeps: each is refused in one line, and the run stays as it is."""

from pathlib import Path

import click
import pytest

from autoif.cli.main import cli
from autoif.cli.options import OutputPath
from autoif.runs.store import DATA_SETS, MANIFEST, is_of_run
from support.command import fails_here

OWN_FOLDER_CHECK = {"run"}
"""A run's output is its own folder: it refuses what another run made by the settings that differ."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "07_scoring").mkdir(parents=True)
    for name in (MANIFEST, *DATA_SETS):
        (folder / name).write_text("{}\n", encoding="utf-8")
    return folder


def list_outputs(group: click.Group, path: tuple[str, ...] = ()) -> dict[str, click.Parameter]:
    """Return the --output of every command that has one."""
    found: dict[str, click.Parameter] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        if isinstance(command, click.Group):
            found |= list_outputs(command, (*path, name))
        else:
            here = {" ".join((*path, name)): each for each in command.params if each.name == "output"}
            found |= here
    return found


def test_every_output_is_checked_in_one_place() -> None:
    outputs = list_outputs(cli)
    assert len(outputs) > 15
    unchecked = {name for name, option in outputs.items() if not isinstance(option.type, OutputPath)}
    assert unchecked == OWN_FOLDER_CHECK


@pytest.mark.parametrize(
    ("place", "own"),
    [
        ("", True),
        ("sft.jsonl", True),
        ("folded.jsonl", True),
        ("sft.jsonl.zst", True),
        ("completions.sqlite-wal", True),
        (".lock", True),
        ("07_scoring/kept-0000.jsonl", True),
        ("07_scoring", True),
        ("model/../sft.jsonl", True),
        ("report.html", False),
        ("model", False),
        ("exports/trl/sft.jsonl", False),
        ("../sft.jsonl", False),
    ],
)
def test_what_a_run_writes_is_its_own_whether_it_is_there_yet_or_not(run: Path, place: str, own: bool) -> None:
    assert is_of_run(run / place) == own


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", "RUN", "--sweep", "scoring.mean=9", "-o", "RUN/run.json"),
        ("export", "RUN", "--to", "trl", "--overwrite", "-o", "RUN"),
        ("record", "RUN", "--overwrite", "-o", "RUN/completions.sqlite"),
        ("cross-validate", "RUN/sft.jsonl", "-o", "RUN/instructions.jsonl"),
        ("compare", "RUN", "-o", "LINK"),
        ("split", "RUN", "-o", "RUN"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_run_s_own_file_is_refused_and_stays_as_it_is(run: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "link").symlink_to(run / "sft.jsonl")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    named = [each.replace("RUN", str(run)).replace("LINK", str(tmp_path / "link")) for each in arguments]
    assert "belongs to a run, which would lose what it has there: name another" in fails_here(*named)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
