"""What a command writes replaces no file but an earlier result of the same kind: none of a run, and none of others."""

import json
from pathlib import Path

import click
import pytest

from autoif.api import load_run
from autoif.cli.main import cli
from autoif.cli.options import OutputPath
from autoif.errors import ConfigError
from autoif.renewing import FIGURE, PAGE, TABLES, ResultKind, find_place
from autoif.runs.store import DATA_SETS, MANIFEST, is_of_run
from support.command import autoif_here, fails_here, run_here

_WRITTEN = {"output", "plot", "clean"}
OWN_FOLDER_CHECK = {"run output"}
"""A run's output is its own folder: it refuses what another run made by the settings that differ."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "07_scoring").mkdir(parents=True)
    for name in (MANIFEST, *DATA_SETS):
        (folder / name).write_text("{}\n", encoding="utf-8")
    return folder


def list_outputs(group: click.Group, path: tuple[str, ...] = ()) -> dict[str, click.Parameter]:
    """Return the options of every command that name what it writes."""
    found: dict[str, click.Parameter] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        if isinstance(command, click.Group):
            found |= list_outputs(command, (*path, name))
        else:
            here = {f"{' '.join((*path, name))} {each.name}": each for each in command.params if each.name in _WRITTEN}
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


MAKING = {
    "verify": ("verify", "functions.jsonl", "responses.jsonl", "-o", "OUT.jsonl"),
    "cross-validate": ("cross-validate", "generations.jsonl", "-o", "OUT.jsonl"),
    "prompts": (
        "prompts",
        "--instructions",
        "RUN",
        "--queries",
        "queries.txt",
        "--per-instruction",
        "1",
        "-o",
        "OUT.jsonl",
    ),
    "report": ("report", "RUN", "-o", "OUT.html"),
    "replay": ("replay", "RUN", "--sweep", "scoring.mean=9", "-o", "OUT.json"),
    "replay --plot": ("replay", "RUN", "--sweep", "scoring.mean=9", "--plot", "OUT.svg"),
    "plot": ("plot", "trained", "-o", "OUT.png"),
    "plot as PDF": ("plot", "trained", "-o", "OUT.pdf"),
}
"""Commands that make one file."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with what the commands read."""
    function = "def evaluate(response):\n    return 'x' in response\n"
    answer = json.dumps({"func": function, "cases": [{"input": "x", "output": True}, {"input": "y", "output": False}]})
    for name, row in {
        "functions.jsonl": {"id": "a", "source": function},
        "responses.jsonl": {"id": 1, "text": "x"},
        "generations.jsonl": {"instruction": "Use an x.", "generations": [answer, answer.replace("'x'", '\\"x\\"')]},
    }.items():
        (tmp_path / name).write_text(json.dumps(row) + "\n", encoding="utf-8")
    (tmp_path / "queries.txt").write_text("How does a lighthouse keeper spend the night?\n", encoding="utf-8")
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n', encoding="utf-8")
    return tmp_path


def make(name: str, run: Path, out: str) -> list[str]:
    return [each.replace("RUN", str(run)).replace("OUT", out) for each in MAKING[name]]


@pytest.mark.parametrize("name", MAKING)
def test_a_result_is_renewed_by_the_same_command_and_nothing_else_is_replaced(
    replayed: Path, place: Path, name: str
) -> None:
    suffix = Path(MAKING[name][MAKING[name].index("-o" if "-o" in MAKING[name] else "--plot") + 1]).suffix
    for _ in range(2):
        done = run_here(*make(name, replayed, "mine"), cwd=place)
        assert done.returncode == 0, done.stderr
    (place / f"foreign{suffix}").write_text("two years of work\n", encoding="utf-8")
    said = fails_here(*make(name, replayed, "foreign"), cwd=place)
    assert f"foreign{suffix} is there and is no " in said
    assert said.endswith("so it isn't replaced: move it away, or name another")
    assert (place / f"foreign{suffix}").read_text(encoding="utf-8") == "two years of work\n"


@pytest.mark.parametrize("name", MAKING)
def test_a_link_stays_and_what_it_leads_to_is_renewed_and_no_pipe_or_device_is_replaced(
    replayed: Path, place: Path, name: str
) -> None:
    suffix = Path(MAKING[name][MAKING[name].index("-o" if "-o" in MAKING[name] else "--plot") + 1]).suffix
    (place / f"link{suffix}").symlink_to(place / f"target{suffix}")
    for _ in range(2):
        assert run_here(*make(name, replayed, "link"), cwd=place).returncode == 0
    assert (place / f"link{suffix}").is_symlink()
    assert (place / f"target{suffix}").stat().st_size
    (place / f"null{suffix}").symlink_to("/dev/null")
    done = run_here(*make(name, replayed, "null"), cwd=place)
    assert done.returncode == (0 if name == "verify" else 2)  # whose rows are written as they come
    assert name == "verify" or "is a pipe or a device, whose place no file takes: name a file" in done.stderr
    assert Path("/dev/null").is_char_device()


def test_what_is_written_beside_the_output_replaces_no_file_of_others_and_no_input(place: Path) -> None:
    (place / "out.dropped.jsonl").write_text("mine\n", encoding="utf-8")
    said = fails_here("cross-validate", "generations.jsonl", "-o", "out.jsonl", cwd=place)
    assert "out.dropped.jsonl is there and is no file of what autoif dropped" in said
    (place / "generations.jsonl").rename(place / "new.dropped.jsonl")
    said = fails_here("cross-validate", "new.dropped.jsonl", "-o", "new.jsonl", cwd=place)
    assert "new.dropped.jsonl is read by this command and would be replaced by what it makes: name another" in said


def test_prompts_do_not_replace_the_file_that_their_queries_are_read_from(replayed: Path, place: Path) -> None:
    assert run_here(*make("prompts", replayed, "first"), cwd=place).returncode == 0
    before = (place / "first.jsonl").read_bytes()
    options = ("--instructions", replayed, "--queries", "first.jsonl", "--per-instruction", 1)
    said = fails_here("prompts", *options, "-o", "first.jsonl", cwd=place)
    assert "first.jsonl is read by this command and would be replaced" in said
    assert (place / "first.jsonl").read_bytes() == before


def test_an_export_does_not_replace_the_file_that_it_is_made_of(replayed: Path, tmp_path: Path) -> None:
    before = (replayed / "sft.jsonl").read_bytes()
    (tmp_path / "sft.jsonl").write_bytes(before)
    said = fails_here("export", "sft.jsonl", "--to", "trl", "-o", ".", "--overwrite", cwd=tmp_path)
    assert "sft.jsonl is read by this command and would be replaced" in said
    assert (tmp_path / "sft.jsonl").read_bytes() == before


def test_a_recording_replaces_only_a_recording_and_only_if_that_is_asked_for(replayed: Path, tmp_path: Path) -> None:
    autoif_here("record", replayed, "-o", tmp_path / "a.jsonl.xz")
    assert "use --overwrite" in fails_here("record", replayed, "-o", tmp_path / "a.jsonl.xz")
    autoif_here("record", replayed, "-o", tmp_path / "a.jsonl.xz", "--overwrite")
    (tmp_path / "notes.xz").write_text("mine", encoding="utf-8")
    for options in ((), ("--overwrite",)):
        said = fails_here("record", replayed, "-o", tmp_path / "notes.xz", *options)
        assert "is no recording of `autoif record`" in said
    assert (tmp_path / "notes.xz").read_text(encoding="utf-8") == "mine"


def test_a_split_replaces_no_file_that_is_of_no_split(replayed: Path, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("mine\n", encoding="utf-8")
    said = fails_here("split", replayed, "-o", tmp_path)
    assert "train.jsonl is there and is of no split, so it isn't replaced: choose another --output" in said
    assert [path.name for path in tmp_path.iterdir()] == ["train.jsonl"]


def test_python_replaces_nothing_but_a_page_either(replayed: Path, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html>mine</html>", encoding="utf-8")
    with pytest.raises(ConfigError, match="is there and is no page of autoif, so it isn't replaced"):
        load_run(replayed).report(tmp_path / "page.html")


@pytest.mark.parametrize("kind", [FIGURE, PAGE, TABLES], ids=lambda kind: kind.name)
def test_an_empty_file_holds_nothing_to_lose_and_a_page_of_others_something(tmp_path: Path, kind: ResultKind) -> None:
    (tmp_path / "empty").touch()
    assert find_place(tmp_path / "empty", kind) == tmp_path / "empty"
    (tmp_path / "page").write_text(
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>x</title>'
    )
    with pytest.raises(ConfigError):
        find_place(tmp_path / "page", kind)
