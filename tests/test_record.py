"""`autoif record`, and what a recording is for: the same data without a model, or fewer questions to one."""

import json
import shutil

import pytest

from support.command import run_here
from support.processes import data_of, model_server

SMALL = (
    "--set", "self_instruct.max_instructions=3", "--set", "augmentation.queries_per_instruction=2",
    "--model", "test", "--quiet",
)  # fmt: skip
NOWHERE = ("--base-url", "http://127.0.0.1:9/v1")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make a run in two parts, as one who splits the instructions does: its folder and the server that was asked."""
    folder = tmp_path_factory.mktemp("made")
    with model_server(folder) as server:
        endpoint = ("--base-url", server.url)
        first = run_here("run", "quickstart", *SMALL, *endpoint, "--until", "instructions", "-o", "first", cwd=folder)
        assert first.returncode == 0, first.stderr
        given = ("--instructions", "first/instructions.jsonl")
        second = run_here("run", "quickstart", *SMALL, *endpoint, *given, "-o", "second", cwd=folder)
        assert second.returncode == 0, second.stderr
        done = run_here("record", "first", "second", "-o", "both.jsonl.xz", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert "completions," in done.stdout
        assert not done.stderr
    return folder


def test_both_parts_are_replayed_from_one_recording_without_a_model(made, tmp_path):
    recorded = (*NOWHERE, "--recording", made / "both.jsonl.xz")
    first = run_here("run", "quickstart", *SMALL, *recorded, "--until", "instructions", "-o", "first", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    given = ("--instructions", "first/instructions.jsonl")
    second = run_here("run", "quickstart", *SMALL, *recorded, *given, "-o", "second", cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert (tmp_path / "second/sft.jsonl").stat().st_size
    assert data_of(tmp_path / "second") == data_of(made / "second")


def test_a_replay_goes_by_default_into_a_folder_of_its_own(made, tmp_path):
    recorded = ("--recording", made / "both.jsonl.xz")
    done = run_here("run", "quickstart", *SMALL, *NOWHERE, *recorded, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["quickstart-recorded"]


def test_a_replay_says_what_it_lacks_and_answers_leave_only_that_to_the_model(made, tmp_path):
    done = run_here("record", made / "first", "-o", "part.jsonl.xz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = ("run", "quickstart", *SMALL, "-o", "run")
    done = run_here(*run, *NOWHERE, "--recording", "part.jsonl.xz", cwd=tmp_path)
    assert done.returncode == 2
    assert "the recording lacks an answer of stage rejection_sampling" in done.stderr
    assert "with --answers for --recording" in done.stderr
    shutil.rmtree(tmp_path / "run")
    with model_server(tmp_path) as server:
        done = run_here(*run, "--base-url", server.url, "--answers", "part.jsonl.xz", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        asked = [key for event, key, _ in server.events() if event == "asked"]
    usage = json.loads((tmp_path / "run/run.json").read_text())["usage"]
    assert len(asked) == usage["rejection_sampling"]["requests"] + usage["scoring"]["requests"] > 0
    assert usage["verification"]["completions"] > 0  # what is imported counts as what was asked
    assert data_of(tmp_path / "run") == data_of(made / "second")


def test_what_was_replayed_is_gone_on_with_by_a_model(made, tmp_path):
    """A replay that failed leaves a folder that the same command without the recording completes."""
    run_here("record", made / "first", "-o", "part.jsonl.xz", cwd=tmp_path)
    run = ("run", "quickstart", *SMALL, "-o", "run")
    assert run_here(*run, *NOWHERE, "--recording", "part.jsonl.xz", cwd=tmp_path).returncode == 2
    with model_server(tmp_path) as server:
        done = run_here(*run, "--base-url", server.url, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert data_of(tmp_path / "run") == data_of(made / "second")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("record", "nothing", "-o", "r.jsonl.xz"), "completions.sqlite is not there: name a run folder"),
        (("record", "{made}/first", "-o", "{made}/both.jsonl.xz"), "is there already: choose another --output, or use"),
        (("run", "quickstart", "--recording", "nothing.xz"), "nothing.xz is not there"),
        (("run", "quickstart", "--answers", "{made}/first/instructions.jsonl"), "is damaged or no recording"),
    ],
)
def test_what_is_no_run_or_no_recording_is_named_in_one_line(made, tmp_path, arguments, said):
    done = run_here(*(each.format(made=made) for each in arguments), cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "r.jsonl.xz").exists()
