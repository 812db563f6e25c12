"""How a run stands, told from its files."""

import json
import os
import signal
import time
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest

from autoif.errors import BudgetExhausted
from autoif.report.status import read_status
from autoif.runs import events
from autoif.runs.claims import Holder
from autoif.runs.events import Events, read_last, recording_events
from autoif.runs.run_folder import RunFolder
from support.command import fails_here, run_here
from support.processes import fork_autoif, model_server


def status_of(run):
    done = run_here("status", run, "--json", cwd=run)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_run_is_running_then_interrupted_by_a_kill_and_complete_when_it_was_started_again(tmp_path):
    run = tmp_path / "run"
    with model_server(tmp_path) as server:
        command = ["run", "quickstart", "--base-url", server.url, "--model", "test", "-o", str(run), "--quiet"]
        command += ["--set", "self_instruct.max_instructions=4", "--set", "augmentation.queries_per_instruction=4"]
        process = fork_autoif(*command, cwd=tmp_path)
        deadline = time.monotonic() + 120
        while not list(run.glob("02_*/kept-*")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        going = status_of(run)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert (going["state"], going["holder"].split()[1]) == ("running", str(process.pid))
        killed = status_of(run)
        assert killed["state"] == "interrupted"
        assert run_here(*command, cwd=tmp_path).returncode == 0
    done = status_of(run)
    manifest = json.loads((run / "run.json").read_text())
    assert done["state"] == "complete"
    assert done["usage"]["requests"] == sum(stage["requests"] for stage in manifest["usage"].values())
    assert done["stages"]["07_scoring"]["kept"] == done["rows"]["sft.jsonl"] > 0
    shown = run_here("status", run, cwd=tmp_path).stdout
    assert f"{run}: complete" in shown
    assert "07_scoring" in shown
    assert f"sft.jsonl {done['rows']['sft.jsonl']}" in shown


@pytest.fixture
def run(tmp_path):
    write_manifest(tmp_path, "running")
    return tmp_path


def write_manifest(folder, status, **more):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps({"format": 2, "identity": {}, "status": status, "usage": {}, **more}))


def write_began(folder, holder, ago_s):
    line = {"event": "began", "at": (datetime.now(UTC) - timedelta(seconds=ago_s)).isoformat(), **asdict(holder)}
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


@contextmanager
def recording_here(path, counts=None):
    with RunFolder(path) as folder, recording_events(noted := Events(folder), lambda: counts or {}):
        yield noted


@pytest.mark.parametrize(("ago_s", "state"), [(100, "running"), (140, "interrupted")])
def test_a_process_of_another_machine_counts_as_gone_after_two_minutes_of_silence(run, ago_s, state):
    write_began(run, Holder("node7", 1), ago_s)
    assert read_status(run).state == state


def test_what_stopped_a_run_is_told_and_nothing_of_it_reaches_the_terminal_as_a_command(run):
    with pytest.raises(BudgetExhausted), recording_here(run):
        raise BudgetExhausted("the budget is \x1b[31mspent")
    assert read_status(run).state == "failed"
    shown = run_here("status", run, cwd=run).stdout
    assert "stopped  the budget is" in shown
    assert "\x1b" not in shown


def test_ctrl_c_is_an_interruption(run):
    with pytest.raises(KeyboardInterrupt), recording_here(run):
        raise KeyboardInterrupt
    found = read_status(run)
    assert (found.state, found.error) == ("interrupted", "")


def test_a_torn_last_event_and_a_long_file_are_read(run, monkeypatch):
    monkeypatch.setattr(events, "_TAIL_BYTES", 2000)
    with recording_here(run) as noted:
        for index in range(50):
            noted.add("shard", step="queries", index=index)
        noted.add("progress", stages={"07_scoring": {"entered": 9, "kept": 5, "dropped": 4}}, usage={"requests": 3})
        with (run / "events.jsonl").open("a") as file:
            of_others = ('"usage": {"requests": "x"}', '"stages": {"01": {"kept": "x"}}', '"done": "x"')
            for damage in ('"stages": [1]', '"stages": {"01": 1}', '"usage": null', *of_others):
                file.write('{"event": "progress", "at": "2026-11-29T02:11:53", ' + damage + "}\n")
            file.write('[1]\n{"event": "shard", "a')
        found = read_last(run)
        assert found.holder == Holder.here()
        assert found.counts and found.counts["usage"] == {"requests": 3}
        assert read_status(run).state == "running"


def test_a_long_file_of_events_that_lost_its_begin_is_read(run, monkeypatch):
    monkeypatch.setattr(events, "_TAIL_BYTES", 200)
    with RunFolder(run) as folder:
        for index in range(50):
            Events(folder).add("shard", step="queries", index=index)
    assert read_last(run).holder is None and read_last(run).seen


def test_a_run_in_slices_sums_what_they_have_done(run):
    (run / "slices").mkdir()
    plan = {"slices": 3, "spent": {"requests": 5}, "inherited": {"requests": 1}}  # of what each slice counts
    (run / "slices" / "plan.json").write_text(json.dumps(plan))
    for number in (1, 2):
        folder = run / "slices" / f"{number:03d}-of-003"
        write_manifest(folder, "complete", slice={"number": number, "total": 3, "until": "queries"})
        counts = {"stages": {"02_verification": {"entered": 2, "kept": 1, "dropped": 1}}, "usage": {"requests": 4}}
        with recording_here(folder, counts):
            pass
    found = read_status(run)
    assert found.slices == {"complete": 2, "not begun": 1}
    assert found.stages["02_verification"] == {"entered": 4, "kept": 2, "dropped": 2}
    assert found.usage["requests"] == 5 + 2 * (4 - 1)
    assert found.done == pytest.approx(2 / 3)


@pytest.mark.parametrize("usage", [[1], None, {"scoring": [1]}, {"scoring": {"requests": "many"}}])
def test_a_damaged_manifest_is_named_in_one_line(run, usage):
    write_manifest(run, "complete", usage=usage)
    assert "run.json is damaged" in fails_here("status", run)


def test_what_is_no_run_is_refused(tmp_path):
    assert "is no run folder" in fails_here("status", tmp_path)
