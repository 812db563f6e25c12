"""Whole runs, as processes, to which something happens: what was lost is counted, and is nothing (docs/scale.md).

More of the kind is where the thing is tested that fails: kills in test_run, slices in test_slices, nodes in test_ray,
files in test_store, test_streaming and test_cache, servers in test_fleet.
"""

import ast
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

import autoif
from autoif.cli.interruption import Interrupted, interruptible
from autoif.config import load_config
from autoif.errors import StoreError
from autoif.models.cache import CompletionCache
from autoif.report.progress import Progress
from autoif.report.status import read_status
from autoif.runs import shards
from autoif.runs.orchestration import RunOptions, make_data
from support.command import fails_here, run_here
from support.faulty_endpoint import FaultyEndpoint, busy, cut, no_fault, slow
from support.habit_runs import Runner
from support.habit_server import HabitServer, honest, refusing
from support.processes import data_of, fork_autoif, make_plain_run, model_server, stages_of

IN_FLIGHT = 4
MANY = (
    *("--set", "self_instruct.max_instructions=6", "--set", "execution.shard_size=2"),
    *("--set", f"models.all.concurrency={IN_FLIGHT}", "--quiet"),
)
"""Of whose answers some are left in a database that was cut."""
FEW = (*MANY, "--set", "augmentation.queries_per_instruction=4")
TENTH = ("--set", "models.all.retry_wait_s=0.05")
"""Waits of a tenth, so that a tenth of a minute is as a minute is by default."""


def arguments(url, run, *more, size=FEW):
    return ["run", "quickstart", "--base-url", url, "--model", "test", "-o", str(run), *size, *more]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run to which nothing happened."""
    return make_plain_run(tmp_path_factory.mktemp("plain"), *FEW)[0]


@pytest.fixture
def copied(plain, tmp_path):
    """A run to which nothing happened yet."""
    shutil.copytree(plain, tmp_path / "run")
    return tmp_path / "run"


def assert_same(run, plain):
    assert data_of(run) == data_of(plain)
    assert stages_of(run) == stages_of(plain)


def wait_for(reached, process):
    deadline = time.monotonic() + 200
    while not reached():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def count_asked(server) -> int:
    return sum(event == "asked" for event, *_ in server.events())


def asked_twice(server) -> int:
    asked = [key for event, key, _ in server.events() if event == "asked"]
    return len(asked) - len(set(asked))


# The endpoint


@pytest.mark.parametrize(
    ("fault", "seconds"), [(None, 6.0), (slow(1.0), 4.0), (cut, 2.0), (busy, 2.0)], ids=["gone", "slow", "cut", "busy"]
)
def test_a_run_outlasts_an_endpoint_that_fails_for_a_while_and_no_answer_is_paid_for_twice(
    plain, tmp_path, fault, seconds
):
    with model_server(tmp_path) as server, FaultyEndpoint(server.url) as endpoint:
        more = () if fault else TENTH
        process = fork_autoif(*arguments(endpoint.url, tmp_path / "run", *more), cwd=tmp_path)
        wait_for(lambda: len(endpoint.delivered) > 30, process)
        if fault:
            endpoint.fault = fault
        else:
            endpoint.go()
        time.sleep(seconds)
        assert process.poll() is None, process.communicate()[0]
        endpoint.fault = no_fault
        if not fault:
            endpoint.come_back()
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0, output
        assert endpoint.failed or fault not in {cut, busy}
        assert endpoint.repeated == set()
    assert_same(tmp_path / "run", plain)


# The disk


@pytest.mark.parametrize("share", [0.02, 0.4, 0.8])
def test_a_full_disk_stops_a_run_in_one_line_that_names_it_and_the_same_command_goes_on_when_there_is_space(
    plain, tmp_path, share
):
    taken, free_mb = sum(path.stat().st_blocks * 512 for path in plain.rglob("*")), 64
    (disk := tmp_path / "disk").mkdir()
    with model_server(tmp_path) as server:
        command = [sys.executable, "-m", "autoif", *arguments(server.url, disk / "run")]
        script = (
            f"mount -t tmpfs -o size={int(taken * share) + free_mb * 1_000_000} tmpfs {disk} || exit 9; "
            f'fallocate -l {free_mb}MB {disk}/others || exit 9; "$@"; echo "exit $?"; '
            f'rm {disk}/others; "$@"; echo "exit $?"; cp -r {disk}/run {tmp_path}/run'
        )
        done = subprocess.run(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *command],
            capture_output=True,
            text=True,
        )
        assert [line for line in done.stdout.splitlines() if line.startswith("exit")] == ["exit 2", "exit 0"], done
        [said] = done.stderr.splitlines()
        assert said.startswith("autoif: no space left for ")
        assert f"on the file system {disk} (" in said
        assert said.endswith("it is full: free some, then run the same command again")
        assert asked_twice(server) <= IN_FLIGHT  # no answer that came when it was full could be stored
    assert_same(tmp_path / "run", plain)


def test_answers_that_are_under_way_when_a_result_cannot_be_written_are_stored(tmp_path, monkeypatch):
    def fill_disk(job, result):
        raise StoreError("no space left")

    few = ["self_instruct.max_instructions=6", "execution.shard_size=1", f"models.all.concurrency={IN_FLIGHT}"]
    monkeypatch.setattr(shards, "_write_result", fill_disk)
    with model_server(tmp_path) as server:
        config = load_config("quickstart", [f"models.all.base_url={server.url}", "models.all.model=test", *few])
        with pytest.raises(StoreError, match="no space left"):
            asyncio.run(make_data(config, RunOptions(tmp_path / "run"), Progress(Console(), quiet=True)))
        asked = sum(event == "asked" for event, _, _ in server.events())
    with CompletionCache(tmp_path / "run" / "completions.sqlite") as cache:
        assert cache.total().requests == asked


def test_a_cut_shard_is_named_and_made_again_from_the_stored_answers(copied, plain):
    shard = copied / "06_rejection_sampling" / "kept-0001.jsonl"
    os.truncate(shard, shard.stat().st_size // 2)
    with model_server(copied.parent) as server:
        said = fails_here(*arguments(server.url, copied))
        assert f"{shard} was changed after it was written: delete it and run the same command again" in said
        shard.unlink()
        done = run_here(*arguments(server.url, copied), cwd=copied.parent)
        assert done.returncode == 0, done.stderr
        assert server.events() == []
    assert_same(copied, plain)


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A longer run to which nothing happened."""
    return make_plain_run(tmp_path_factory.mktemp("long"), *MANY)[0]


@pytest.mark.parametrize("left", [0.8, 0.9])
def test_of_a_cut_database_only_the_answers_that_were_cut_off_are_paid_for_again(long, tmp_path, left):
    copied = Path(shutil.copytree(long, tmp_path / "run"))
    database = copied / "completions.sqlite"
    os.truncate(database, int(database.stat().st_size * left))
    for name in ("05_augmentation", "06_rejection_sampling", "07_scoring"):
        for path in copied.glob(f"{name}/*-0001.jsonl"):
            path.unlink()
    with model_server(tmp_path) as server:
        said = fails_here(*arguments(server.url, copied, size=MANY))
        assert "completions.sqlite is damaged (" in said
        assert "move it elsewhere and name it in --answers" in said
        cut_off = database.rename(tmp_path / "cut.sqlite")
        done = run_here(*arguments(server.url, copied, "--answers", cut_off, size=MANY), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        [note] = [each for each in json.loads((copied / "run.json").read_text())["notes"] if "were read from" in each]
        assert int(note.partition(" ")[0]) > 0
        asked = count_asked(server)
        assert run_here(*arguments(server.url, copied, size=MANY), cwd=tmp_path).returncode == 0
        assert (count_asked(server), asked_twice(server)) == (asked, 0)
    assert_same(copied, long)
    with model_server(tmp_path) as server:
        shutil.rmtree(copied)
        assert run_here(*arguments(server.url, copied, "--answers", cut_off, size=MANY), cwd=tmp_path).returncode == 0
        whole = count_asked(server)
    assert asked < whole  # the shards that were whole were kept


def test_finished_shards_stay_when_the_answers_are_deleted(copied, plain):
    (copied / "completions.sqlite").unlink()
    with model_server(copied.parent) as server:
        assert run_here(*arguments(server.url, copied), cwd=copied.parent).returncode == 0
        assert server.events() == []
        assert "scoring.temperature" in fails_here(*arguments(server.url, copied, "--set", "scoring.temperature=0.9"))
    assert_same(copied, plain)


# Processes


SLICE = ("--shards", "1/1")


@pytest.mark.parametrize(
    ("engine", "again"),
    [
        ((), ()),
        (SLICE, SLICE),
        (("--engine", "ray", "--workers", "2"), ()),
    ],  # any engine goes on with any other's folder
    ids=["local", "slice", "ray"],
)
def test_sigterm_ends_a_run_within_ten_seconds_with_requests_in_flight_and_its_exit_code_says_so(
    plain, tmp_path, engine, again
):
    with model_server(tmp_path) as server, FaultyEndpoint(server.url) as endpoint:
        process = fork_autoif(*arguments(endpoint.url, tmp_path / "run", *engine), cwd=tmp_path)
        wait_for(lambda: len(endpoint.delivered) > 30, process)
        endpoint.fault = slow(600.0)
        time.sleep(0.5)
        began = time.monotonic()
        process.terminate()
        output, _ = process.communicate(timeout=60)
        assert time.monotonic() - began < 10, output
        assert process.returncode == 143, output
        assert "nothing is lost: run the same command to go on" in output
        assert "Traceback" not in output
        endpoint.fault = no_fault
        done = run_here(*arguments(endpoint.url, tmp_path / "run", *again), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert len(endpoint.repeated) <= IN_FLIGHT
    assert_same(tmp_path / "run", plain)


STUCK = """
import time
from autoif.cli.interruption import interruptible

with interruptible("begin again", grace_s=0.2):
    while True:
        try:
            print("begun", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            pass
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_does_not_stop_in_time_is_ended_and_the_exit_code_is_the_same(number):
    with subprocess.Popen(
        [sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdout.readline() == "begun\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (128 + number, "interrupted; begin again\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_ends_after_a_signal_by_itself_is_not_ended_by_its_deadline(number):
    with pytest.raises(Interrupted) as stop, interruptible("begin again", grace_s=0.2):
        os.kill(os.getpid(), number)
        time.sleep(5)
    time.sleep(0.4)
    assert stop.value.code == 128 + number


def test_under_nohup_nothing_is_stopped_by_a_terminal_that_is_closed():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible("begin again", grace_s=0.2):
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.4)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_sandbox_processes_that_are_killed_again_and_again_cost_a_run_nothing(long, tmp_path):
    with model_server(tmp_path) as server:
        process = fork_autoif(*arguments(server.url, tmp_path / "run", size=MANY), cwd=tmp_path)
        for count in (10, 40, 70, 100):
            server.hold(count + 10)  # so that what ran is run again before the next kill: twice would be its own fault
            wait_for(lambda count=count: count_asked(server) >= count, process)
            for child in children_of(process.pid):
                os.kill(child, signal.SIGKILL)
            time.sleep(1)
            wait_for(lambda: is_at_rest(process.pid), process)
        server.release()
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0, output
        assert asked_twice(server) == 0
    assert_same(tmp_path / "run", long)


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started: of a run its zygotes."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_at_rest(pid: int) -> bool:
    """Tell whether a process and those that it has started do next to nothing for a second."""

    def count_ticks() -> int:
        processes, ticks = [pid], 0
        for each in processes:
            try:
                processes += children_of(each)
                ticks += sum(map(int, Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[11:15]))
            except (FileNotFoundError, ProcessLookupError):
                return -1
        return ticks

    before = count_ticks()
    time.sleep(1)
    return 0 <= before <= count_ticks() <= before + 10


def test_a_second_driver_of_a_folder_is_refused_and_the_first_goes_on(plain, tmp_path):
    with model_server(tmp_path) as server:
        process = fork_autoif(*arguments(server.url, tmp_path / "run"), cwd=tmp_path)
        wait_for(lambda: len(server.events()) > 10, process)
        said = fails_here(*arguments(server.url, tmp_path / "run"))
        assert f"is in use by another process (pid {process.pid})" in said
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0, output
        assert asked_twice(server) == 0
    assert_same(tmp_path / "run", plain)


# The clock

WALL_CLOCK = {"time": {"time", "time_ns", "localtime", "gmtime", "ctime"}, "datetime": {"now", "utcnow", "today"}}
MAY_READ_IT = {
    "models/batch_provider.py": "of batches so old that their files are deleted none is asked for",
    "models/waits.py": "a server names a moment; its own clock is taken where it tells it",
    "report/status.py": "says how long ago something was",
    "runs/events.py": "notes when something was",
    "telemetry.py": "notes when something began and ended",
    "view/server.py": "notes when a decision was taken",
}


@pytest.mark.parametrize("days", [-10, 10])
def test_a_run_whose_clock_jumps_again_and_again_loses_nothing_and_asks_nothing_twice(tmp_path, monkeypatch, days):
    with HabitServer() as server:
        (tmp_path / "plain").mkdir()
        steady, count = Runner(server, tmp_path / "plain")(honest), len(server.asked)
        clock, busy_at = time.time, {3, 10, 20}
        monkeypatch.setattr(time, "time", lambda: clock() + days * 86_400 * int(5 * time.monotonic()))
        habit = refusing(lambda asked: asked.number in busy_at, 429, "Too many requests", Retry_After="0.3")
        jumped = Runner(server, tmp_path)(habit, "--shards", "1/1")
        assert (steady.code, jumped.code, len(server.asked)) == (0, 0, count + len(busy_at))
    assert data_of(jumped.folder) == data_of(steady.folder)
    assert read_status(jumped.folder).state == "complete"


def test_nothing_that_waits_reads_a_clock_that_may_jump():
    root, reads = Path(autoif.__file__).parent, set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = node.value.id if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) else ""
            if named and node.attr in WALL_CLOCK.get(named, ()):
                reads.add(str(path.relative_to(root)))
            if isinstance(node, ast.ImportFrom) and node.module == "time":
                assert not {name.name for name in node.names} & WALL_CLOCK["time"], path
    assert reads == set(MAY_READ_IT)
