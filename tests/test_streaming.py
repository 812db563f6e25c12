"""What a run holds and reads does not grow with it: shards come and go, finished ones are compared and not read."""

import asyncio
import gc
import hashlib
import signal
import subprocess
import sys
import threading
from contextlib import asynccontextmanager

import datasets
import pytest

from autoif import pipeline
from autoif.engines.local import LocalEngine
from autoif.errors import StoreError
from autoif.pipeline import Shard, ShardResult, Stage
from autoif.records import Dropped, Instruction, Reason
from autoif.runs import run_folder, store, whole_files
from autoif.runs.counts import count_stage, read_counts
from autoif.runs.run_folder import RunFolder
from autoif.runs.store import COUNTS, DIGESTS, list_shards, read_stage
from autoif.runs.whole_files import NewFile
from support.command import fails_here, run_here
from support.processes import data_of, model_server, stages_of

STAGE = "06_rejection_sampling"
ROWS = [Instruction.of(f"Use {count} words.", "seed") for count in range(300)]
DROPPED = [Dropped(stage="x", reason=Reason.REFUSED_BY_MODEL, record_id=str(place), detail="no") for place in range(3)]


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """A run folder with a shard large enough to be packed."""
    monkeypatch.setattr(whole_files, "PACKED_FROM", 4_000)
    with RunFolder(tmp_path / "run") as folder:
        folder.write_shard(STAGE, 0, ROWS, DROPPED)
        folder.write_manifest({"identity": {}, "status": "complete", "format": store.FORMAT})
        yield folder


def test_a_large_file_of_a_stage_is_packed_and_a_small_one_is_not(packed):
    assert [path.name for path in sorted((packed.path / STAGE).iterdir())] == [
        "dropped-0000.jsonl",
        "kept-0000.jsonl.zst",
    ]
    assert packed.read_kept(STAGE, 0, Instruction) == ROWS
    assert [row["id"] for row in read_stage(packed.path, STAGE, "kept", places=range(0, 300, 150))] == [
        ROWS[0].id,
        ROWS[150].id,
    ]
    assert packed.shards(STAGE) == [0]


def test_packed_files_are_read_by_datasets_and_checked_by_sha256sum(packed, tmp_path):
    [file] = list_shards(packed.path, STAGE, "kept")
    loaded = datasets.load_dataset("json", data_files=str(file), cache_dir=str(tmp_path / "cache"))["train"]
    assert loaded["text"] == [row.text for row in ROWS]
    done = subprocess.run(["sha256sum", "--check", DIGESTS], cwd=packed.path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_packed_file_that_was_cut_is_refused_by_name(packed):
    [file] = list_shards(packed.path, STAGE, "kept")
    file.write_bytes(file.read_bytes()[:-7])
    for read in (lambda: packed.count_shard(STAGE, 0), lambda: count_stage(packed.path, STAGE, "kept")):
        with pytest.raises(StoreError, match=r"kept-0000\.jsonl\.zst was changed after it was written"):
            read()


def test_a_shard_that_is_written_again_is_there_once_whatever_its_size(packed):
    packed.write_shard(STAGE, 0, ROWS[:2], [])
    assert [path.name for path in list_shards(packed.path, STAGE, "kept")] == ["kept-0000.jsonl"]
    packed.write_shard(STAGE, 0, ROWS, [])
    assert [path.name for path in list_shards(packed.path, STAGE, "kept")] == ["kept-0000.jsonl.zst"]
    assert packed.count_shard(STAGE, 0) == (300, 0)


def test_cat_prints_what_a_stage_kept_or_dropped_and_any_file(packed, tmp_path):
    lines = run_here("cat", packed.path / STAGE, cwd=tmp_path).stdout.splitlines()
    assert len(lines) == 300
    assert run_here("cat", list_shards(packed.path, STAGE, "kept")[0], cwd=tmp_path).stdout.splitlines() == lines
    assert run_here("cat", "--dropped", packed.path / STAGE, cwd=tmp_path).stdout.count('"no"') == 3
    assert "no such file" in fails_here("cat", tmp_path / "nothing.jsonl")
    assert "is no folder of a stage" in fails_here("cat", tmp_path)


def test_what_is_noted_of_files_is_what_is_in_them_and_is_found_without_the_note(packed):
    noted = count_stage(packed.path, STAGE, "dropped")
    assert (noted.rows, noted.reasons, noted.refusals) == (3, {"refused_by_model": 3}, {"no": 3})
    (packed.path / COUNTS).write_text("cut {")
    assert read_counts(packed.path) == {}
    assert count_stage(packed.path, STAGE, "dropped").reasons == noted.reasons
    assert packed.count_shard(STAGE, 0) == (300, 3)


def test_an_engine_takes_shards_as_it_has_room_for_them_and_keeps_no_finished_one(monkeypatch, make_tools):
    async def keep(record, _tools):
        return [record]

    monkeypatch.setitem(pipeline.STAGES, "instructions", (Stage("00_test", keep, Instruction),))
    taken, ahead, held = [], [], []

    class Settings:
        @asynccontextmanager
        async def open(self):
            yield make_tools()

    async def deal():
        for index in range(12):
            taken.append(index)
            yield Shard("instructions", index, tuple(ROWS[:2]))

    async def work():
        results = LocalEngine(workers=2).run(deal(), Settings(), lambda *event: None, lambda result: [])
        async for result in results:
            del result
            finished.append(1)
            ahead.append(len(taken) - len(finished))
            if len(finished) == 10:
                gc.collect()
                held.append(sum(type(each) is ShardResult for each in gc.get_objects()))

    finished: list[int] = []
    asyncio.run(work())
    assert len(finished) == 12
    assert max(ahead) <= 4
    assert max(held) <= 2


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of a few shards, where its files were finished, and how often Python looked for garbage meanwhile."""
    folder, threads, looks, before_it = tmp_path_factory.mktemp("made"), [], [], gc.get_threshold()
    finish = NewFile.finish
    with model_server(folder) as server, pytest.MonkeyPatch.context() as patch:

        def note_thread(file, before):
            threads.append((file.path.parent.name, threading.current_thread() is threading.main_thread()))
            gc.callbacks.append(note_look)
            objects = [[] for _ in range(100_000)]
            gc.callbacks.remove(note_look)
            objects.clear()
            finish(file, before)

        def note_look(phase, info):
            looks.append(phase)

        patch.setattr(NewFile, "finish", note_thread)
        arguments = ["run", "quickstart", "--base-url", server.url, "--model", "test", "-o", folder / "run", "--quiet"]
        arguments += ["--set", "self_instruct.max_instructions=6"]
        done = run_here(*arguments, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert gc.get_threshold() == before_it
        yield folder / "run", server, arguments, threads, looks


def test_no_file_of_a_shard_is_written_where_requests_are_made(made):
    _, _, _, threads, _ = made
    assert {"02_verification", "07_scoring"} <= {folder for folder, _ in threads}
    assert [folder for folder, loop in threads if loop and folder > "02" and folder[:1] == "0"] == []


def test_garbage_is_not_looked_for_until_the_last_data_set_is_written(made):
    *_, threads, looks = made
    assert len(threads) > 20
    assert not looks  # each would stop the event loop


def test_a_finished_run_started_again_reads_no_shard_and_writes_no_data_set(made, monkeypatch):
    run, server, arguments, *_ = made
    before, asked = {**data_of(run), **stages_of(run)}, len(server.events())
    read, times = [], {path: path.stat().st_mtime_ns for path in run.glob("*.jsonl") if path.name in data_of(run)}

    def note(path):
        read.append(path.parent.name)
        return store.read_own_lines(path)

    monkeypatch.setattr(run_folder, "read_own_lines", note)
    done = run_here(*arguments, cwd=run.parent)
    assert done.returncode == 0, done.stderr
    assert set(read) <= {"01_self_instruct"}
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert ({**data_of(run), **stages_of(run)}, len(server.events())) == (before, asked)


def test_a_data_set_that_was_deleted_or_edited_is_made_again(made):
    run, _, arguments, *_ = made
    before = data_of(run)
    (run / "sft.jsonl").unlink()
    (run / "rewards.jsonl").write_text("mine\n")
    done = run_here(*arguments, cwd=run.parent)
    assert done.returncode == 0, done.stderr
    assert data_of(run) == before
    assert (run / "rewards.jsonl.edited1").read_text() == "mine\n"


def test_one_instruction_more_with_one_query_is_one_call_more(made, tmp_path):
    run, server, *_ = made
    lines = (run / "instructions.jsonl").read_text().splitlines(keepends=True)
    given = tmp_path / "given.jsonl"
    arguments = ["run", "quickstart", "--base-url", server.url, "--model", "test", "-o", tmp_path / "run", "--quiet"]
    arguments += ["--instructions", given, "--set", "augmentation.queries_per_instruction=1"]
    arguments += ["--set", "scoring.enabled=false", "--set", "rejection_sampling.responses_per_prompt=1"]
    asked = []
    for count in (len(lines) - 1, len(lines)):
        given.write_text("".join(lines[:count]))
        before = sum(event == "asked" for event, *_ in server.events())
        run_here(*arguments, *(["--resume-with-changes"] if asked else []), cwd=tmp_path)
        asked.append(sum(event == "asked" for event, *_ in server.events()) - before)
    assert asked == [len(lines) - 1, 1]


KILLED = """
import os, signal, sys
from pathlib import Path
from autoif.runs import run_folder, whole_files
from autoif.records import Instruction
from autoif.runs.run_folder import RunFolder

whole_files.PACKED_FROM = 4_000
step, steps = int(sys.argv[2]), 0


def stop(*_):
    global steps
    steps += 1
    if steps > step:
        os.kill(os.getpid(), signal.SIGKILL)


sys.setprofile(lambda frame, event, _: stop() if event == "call" and frame.f_code.co_name in WATCHED else None)
WATCHED = {"add", "finish", "_sync_folder", "_note", "to_line"}
with RunFolder(Path(sys.argv[1])) as folder:
    for index in range(3):
        rows = [Instruction.of(f"Use {index} and {count}.", "seed") for count in range(60)]
        folder.write_shard("06_rejection_sampling", index, rows, [])
"""


@pytest.mark.parametrize("step", [0, 30, 63, 64, 66, 130, 200, 258])
def test_a_writer_that_is_killed_leaves_whole_shards_and_those_are_counted_once(tmp_path, step):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "run"), str(step)], check=False)
    assert done.returncode == -signal.SIGKILL
    with RunFolder(tmp_path / "run") as folder:
        for index in range(3):
            rows = [Instruction.of(f"Use {index} and {count}.", "seed") for count in range(60)]
            if folder.has_shard(STAGE, index):
                assert folder.read_kept(STAGE, index, Instruction) == rows
            else:
                folder.write_shard(STAGE, index, rows, [])
            assert folder.count_shard(STAGE, index) == (60, 0)
        assert folder.shards(STAGE) == [0, 1, 2]
    assert {path.name[:4] for path in (tmp_path / "run" / STAGE).iterdir()} == {"kept", "drop"}
    digests = dict(reversed(line.split("  ")) for line in (tmp_path / "run" / DIGESTS).read_text().splitlines())
    assert len(digests) == 6
    for name, digest in digests.items():
        assert hashlib.sha256((tmp_path / "run" / name).read_bytes()).hexdigest() == digest
