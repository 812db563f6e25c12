"""The recording of a real quickstart run: replayed with no model, byte for byte, also when it is killed on the way."""

import json
import os
import random
import shutil
import signal
import time

import pytest

from autoif.runs.store import FOLDERS
from record_quickstart import GOLDEN, RECORDING
from support.command import autoif, run_here
from support.processes import DATA_FILES, data_of, stages_of, start_autoif

RUN = ("run", "quickstart", "--recorded", "--quiet", "-o", "run")


@pytest.fixture(scope="module")
def replay(replayed):
    told = replayed.parent
    return replayed, (told / "report.txt").read_text(), float((told / "seconds.txt").read_text())


def test_the_replay_makes_the_golden_outputs_byte_for_byte(replay):
    run, _, _ = replay
    for name in DATA_FILES:
        assert (run / name).read_bytes() == (GOLDEN / name).read_bytes(), name


def test_the_recorded_run_kept_something_at_every_stage_and_enough_data(replay):
    run, report, _ = replay
    for folder in FOLDERS:
        assert any(path.stat().st_size for path in (run / folder).glob("kept-*.jsonl")), folder
        assert folder in report
    assert len((run / "sft.jsonl").read_text().splitlines()) >= 20
    assert len((run / "preferences.jsonl").read_text().splitlines()) >= 10


def test_the_recording_is_small_and_the_replay_takes_seconds(replay):
    _, _, seconds = replay
    assert RECORDING.stat().st_size < 3_000_000
    assert seconds < 120  # five on an idle machine


def test_every_row_of_the_replay_passes_its_own_functions(replay):
    run, _, _ = replay
    done = run_here("verify", "--dataset", run / "sft.jsonl", cwd=run)
    count = len((run / "sft.jsonl").read_text().splitlines())
    assert (done.returncode, done.stdout.strip()) == (0, f"{count} of {count} rows hold")


def test_show_says_how_many_answers_voted_for_the_functions_of_an_instruction(replay):
    run, _, _ = replay
    verified = json.loads((run / "instructions.jsonl").read_text().splitlines()[0])
    done = run_here("show", "run", verified["instruction"]["id"], cwd=run.parent)
    assert "chosen by score, 0.85: 3 of 3 answers gave the kept functions" in done.stdout


def test_a_replay_killed_at_random_points_ends_with_the_same_bytes(replay, tmp_path):
    run, *_ = replay
    chance = random.Random(11)
    whole, kills = len(stages_of(run)), 0
    for third in range(3):
        process = start_autoif(*RUN, cwd=tmp_path)
        until = (third + chance.random()) / 3 * whole
        while process.poll() is None and len(stages_of(tmp_path / "run")) < until:
            time.sleep(0.01)
        kills += process.poll() is None
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert kills > 1, "nearly every replay was over before it could be killed"
    done = run_here(*RUN, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert data_of(tmp_path / "run") == data_of(run)
    assert stages_of(tmp_path / "run") == stages_of(run)


def test_a_run_of_another_version_is_made_anew_by_the_same_command(replay, tmp_path):
    shutil.copytree(replay[0], tmp_path / "run")
    manifest = json.loads((tmp_path / "run/run.json").read_text())
    del manifest["format"]
    (tmp_path / "run/run.json").write_text(json.dumps(manifest))
    for path in (tmp_path / "run/06_rejection_sampling").iterdir():
        path.write_text('{"of": "another version"}\n')
    done = run_here("show", "run", cwd=tmp_path)
    assert (done.returncode, "run it again with the same command" in done.stderr) == (2, True)
    assert run_here(*RUN, cwd=tmp_path).returncode == 0
    assert data_of(tmp_path / "run") == data_of(replay[0])
    assert stages_of(tmp_path / "run") == stages_of(replay[0])


def test_a_replay_on_ray_makes_the_golden_outputs_too(tmp_path):
    # Without --ray-address Ray is started here, whatever cluster the machine belongs to.
    around = {"PYTHONHASHSEED": "4", "RAY_ADDRESS": "127.0.0.1:1"}
    done = autoif(*RUN, "--engine", "ray", "--workers", "2", cwd=tmp_path, **around)
    assert done.returncode == 0, done.stderr
    for name in DATA_FILES:
        assert (tmp_path / "run" / name).read_bytes() == (GOLDEN / name).read_bytes(), name


def test_a_replay_with_other_settings_says_that_the_recording_lacks_an_answer(tmp_path):
    done = run_here(*RUN, "--set", "verification.temperature=0.1", cwd=tmp_path)
    assert done.returncode == 2
    assert "the recording lacks an answer of stage verification" in done.stderr
    assert "Traceback" not in done.stderr


def test_one_backend_judges_all_of_a_run(replay, tmp_path):
    """And "auto" is the backend that it came to."""
    shutil.copytree(replay[0], tmp_path / "run")
    assert json.loads((tmp_path / "run/run.json").read_text())["config"]["sandbox"]["backend"] == "cpython"
    assert run_here(*RUN, cwd=tmp_path).returncode == 0
    done = run_here(*RUN, "--sandbox", "monty", cwd=tmp_path)
    assert done.returncode == 2
    assert "sandbox.backend" in done.stderr


def test_there_is_no_recording_of_other_presets(tmp_path):
    done = run_here("run", "paper", "--recorded", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip() == 'autoif: there is no recording of "paper": it goes with the preset quickstart'
