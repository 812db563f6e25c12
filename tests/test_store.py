"""The run folder: whole files or none, damage noticed, one process at a time, no disk space."""

import errno
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from autoif.api import Rows, load_run
from autoif.errors import StoreError
from autoif.models.answer_rows import CompletionRow
from autoif.models.cache import CompletionCache
from autoif.reading.jsonl import read_jsonl
from autoif.records import Dropped, Instruction, Query, Reason
from autoif.report.funnel import read_funnel
from autoif.runs.orchestration import RunOptions, _gather_answers
from autoif.runs.run_folder import RunFolder
from autoif.runs.store import DIGESTS, FORMAT, read_manifest, read_run, read_stage
from autoif.runs.whole_files import storage_errors, write_jsonl

STAGE = "01_self_instruct"
SHARD = (f"{STAGE}/kept-0000.jsonl", f"{STAGE}/dropped-0000.jsonl")
ROWS = [Instruction.of(f"Use {count} words.", "seed") for count in range(3)]
DROPPED = [Dropped(stage="self_instruct", reason=Reason.EMPTY, record_id="x", detail="")]


@pytest.fixture
def folder(tmp_path):
    with RunFolder(tmp_path / "run") as opened:
        yield opened


def test_a_shard_comes_back_as_it_was_written(folder):
    folder.write_shard(STAGE, 0, ROWS, DROPPED)
    assert folder.has_shard(STAGE, 0)
    assert folder.read_kept(STAGE, 0, Instruction) == ROWS
    assert folder.read_dropped(STAGE, 0) == DROPPED


def test_an_empty_shard_is_a_complete_shard(folder):
    folder.write_shard(STAGE, 3, [], [])
    assert folder.has_shard(STAGE, 3)
    assert folder.read_kept(STAGE, 3, Instruction) == []


def test_a_shard_with_one_of_its_files_is_no_shard(folder):
    folder.write_shard(STAGE, 0, ROWS, DROPPED)
    (folder.path / STAGE / "dropped-0000.jsonl").unlink()
    assert not folder.has_shard(STAGE, 0)


def test_a_file_that_was_not_noted_as_complete_does_not_count(folder):
    (folder.path / STAGE).mkdir()
    (folder.path / STAGE / "kept-0000.jsonl").write_text("")
    assert not folder.has(f"{STAGE}/kept-0000.jsonl")


def test_text_that_is_no_unicode_survives(folder):
    odd = Query.of("half a pair: \ud83d, NUL: \0, line: \u2028")
    folder.write_rows("queries.jsonl", [odd])
    assert folder.read_rows("queries.jsonl", Query) == [odd]


@pytest.mark.parametrize("damage", ["cut", "edited", "emptied"])
def test_a_file_that_was_changed_later_is_refused_by_name(folder, damage):
    folder.write_shard(STAGE, 0, ROWS, DROPPED)
    path = folder.path / STAGE / "kept-0000.jsonl"
    content = path.read_bytes()
    path.write_bytes({"cut": content[:-20], "edited": content.replace(b"words", b"lines"), "emptied": b""}[damage])
    with pytest.raises(StoreError, match=r"kept-0000\.jsonl was changed after it was written: delete it") as caught:
        folder.read_kept(STAGE, 0, Instruction)
    assert "\n" not in str(caught.value)


def test_what_shows_a_run_refuses_a_file_that_was_changed_later_by_name_too(folder):
    folder.write_shard(STAGE, 0, ROWS, DROPPED)
    (folder.path / STAGE / "dropped-0000.jsonl").write_text("[1]\n")
    with pytest.raises(StoreError, match=r"dropped-0000\.jsonl was changed after it was written"):
        read_funnel_of(folder)
    with pytest.raises(StoreError, match=r"dropped-0000\.jsonl was changed after it was written"):
        list(read_stage(folder.path, STAGE, "dropped"))


def read_funnel_of(folder):
    folder.write_manifest({"identity": {}, "status": "complete", "format": FORMAT})
    return read_funnel(folder.path)


@pytest.mark.parametrize("read", ["manifest", "rows", "stage", "data set"])
def test_a_file_that_may_not_be_read_is_named(folder, monkeypatch, read):
    folder.write_shard(STAGE, 0, ROWS, DROPPED)

    def refuse(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr(Path, "read_text", refuse)
    reads = {
        "manifest": lambda: read_manifest(folder.path),
        "rows": lambda: folder.read_kept(STAGE, 0, Instruction),
        "stage": lambda: list(read_stage(folder.path, STAGE, "kept")),
        "data set": lambda: len(Rows(folder.path / STAGE / "kept-0000.jsonl")),
    }
    with pytest.raises(StoreError, match="can't be read: Permission denied"):
        reads[read]()


def test_a_missing_file_says_how_to_make_it_anew(folder):
    with pytest.raises(StoreError, match=r"kept-0000\.jsonl is missing: .*--resume-with-changes"):
        folder.read_kept(STAGE, 0, Instruction)


def test_refusals_are_forgotten_after_the_results_that_were_made_of_them(folder, monkeypatch):
    class Stopped(BaseException):
        """A kill, as far as a process can do it to itself."""

    def stop(self: RunFolder) -> None:
        raise Stopped

    refused = CompletionRow("0" * 32, 0, "", "refused", 1, 0, "", "scoring", 1, 0, detail="no")
    options = RunOptions(folder.path, retry_refused=True)
    folder.write_shard(STAGE, 0, ROWS, DROPPED)
    with CompletionCache(folder.completions) as cache:
        cache.insert([refused])
        with monkeypatch.context() as patch, pytest.raises(Stopped):
            patch.setattr(RunFolder, "discard_results", stop)
            _gather_answers(folder, cache, folder.completions, options, {})
        assert [*cache.rows()] == [refused]  # else nobody would ask again, and the results would stay
        _gather_answers(folder, cache, folder.completions, options, {})
        assert not folder.has_shard(STAGE, 0) and not [*cache.rows()]


def test_rows_of_another_version_are_refused(folder):
    folder.write_rows("instructions.jsonl", [{"text": "an older form"}])
    with pytest.raises(StoreError, match="written by another version"):
        folder.read_rows("instructions.jsonl", Instruction)


def test_what_was_noted_is_known_to_the_next_process(tmp_path):
    with RunFolder(tmp_path / "run") as first:
        first.write_shard(STAGE, 0, ROWS, DROPPED)
    with RunFolder(tmp_path / "run") as second:
        assert second.has_shard(STAGE, 0)


def test_the_digests_are_what_sha256sum_writes_each_file_once(tmp_path):
    with RunFolder(tmp_path) as folder:
        folder.write_rows("sft.jsonl", ROWS)
        folder.write_rows("sft.jsonl", ROWS[:1])
        folder.write_shard(STAGE, 0, ROWS, DROPPED)
    lines = (tmp_path / DIGESTS).read_text().splitlines()
    digest = {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("sft.jsonl", *SHARD)}
    assert sorted(lines) == sorted(f"{digest[name]}  {name}" for name in digest)


def test_a_digest_that_a_kill_has_cut_is_none(tmp_path):
    with RunFolder(tmp_path) as folder:
        folder.write_rows("queries.jsonl", ROWS)
        folder.write_rows("sft.jsonl", ROWS)
    for cut in (1, 20, 75):
        (tmp_path / DIGESTS).write_text((tmp_path / DIGESTS).read_text()[:-cut])
        with RunFolder(tmp_path) as folder:
            assert (folder.has("queries.jsonl"), folder.has("sft.jsonl")) == (True, False)
            folder.write_rows("sft.jsonl", ROWS)
            assert (folder.has("sft.jsonl"), folder.moved) == (True, {})


def test_a_folder_of_another_version_is_refused_with_what_to_do(tmp_path):
    with RunFolder(tmp_path) as folder:
        folder.write_manifest({"identity": {}, "status": "complete"})
    for read in (read_run, read_funnel, load_run):
        with pytest.raises(StoreError, match="run it again with the same command"):
            read(tmp_path)


def test_nothing_is_left_of_a_write_that_fails(folder):
    def rows():
        yield ROWS[0]
        raise RuntimeError("the stage broke")

    with pytest.raises(RuntimeError):
        folder.write_rows("sft.jsonl", rows())
    assert not [path for path in folder.path.iterdir() if "sft" in path.name]


def test_a_file_is_on_the_disk_whole_before_it_takes_its_name_and_its_name_after(tmp_path, monkeypatch):
    steps = []
    sync, rename = os.fsync, Path.replace

    def note_sync(descriptor):
        steps.append(("sync", os.fstat(descriptor)))
        sync(descriptor)

    def note_rename(path, target):
        steps.append(("rename", path.stat()))
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_rename)
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, ROWS)
    file, folder = path.stat().st_ino, tmp_path.stat().st_ino
    assert [(step, of.st_ino) for step, of in steps] == [("sync", file), ("rename", file), ("sync", folder)]
    assert steps[0][1].st_size == path.stat().st_size > 0


def test_a_file_that_was_edited_by_hand_is_kept_under_another_name(folder):
    folder.write_rows("sft.jsonl", ROWS)
    (folder.path / "sft.jsonl").write_text("mine\n")
    folder.write_rows("sft.jsonl", ROWS[:1])
    assert folder.read_rows("sft.jsonl", Instruction) == ROWS[:1]
    assert folder.moved == {"sft.jsonl": "sft.jsonl.edited1"}
    assert (folder.path / "sft.jsonl.edited1").read_text() == "mine\n"


def test_a_file_that_was_written_and_not_noted_yet_is_no_edit(folder):
    with RunFolder(folder.path.parent / "other") as other:
        other.write_rows("sft.jsonl", ROWS)
        (folder.path / "sft.jsonl").write_bytes((other.path / "sft.jsonl").read_bytes())
    folder.write_rows("sft.jsonl", ROWS)
    assert folder.moved == {}


def test_discarding_deletes_nothing_that_somebody_else_wrote(folder):
    folder.write_shard(STAGE, 0, ROWS, DROPPED)
    folder.write_rows("sft.jsonl", ROWS)
    (folder.path / "sft.jsonl").write_text("mine\n")
    (folder.path / "notes.jsonl").write_text("mine, too\n")
    folder.discard_results()
    assert not folder.has_shard(STAGE, 0)
    assert not (folder.path / STAGE / "kept-0000.jsonl").exists()
    assert (folder.path / "sft.jsonl.edited1").read_text() == "mine\n"
    assert (folder.path / "notes.jsonl").read_text() == "mine, too\n"


def test_discarding_leaves_the_completions_and_nothing_that_can_be_made_from_them(folder):
    folder.write_shard(STAGE, 0, ROWS, DROPPED)
    folder.write_rows("sft.jsonl", [])
    (folder.path / STAGE / "kept-12345.jsonl").write_text("of which a kill has prevented the note\n")
    folder.discard_results()
    assert not folder.has_shard(STAGE, 0)
    assert sorted(path.name for path in folder.path.iterdir()) == [".lock"]


def test_a_second_process_is_refused_and_told_who_holds_the_folder(tmp_path):
    with RunFolder(tmp_path / "run"):
        code = f"""if True:
            from pathlib import Path
            from autoif.runs.run_folder import RunFolder
            RunFolder(Path({str(tmp_path / "run")!r})).__enter__()
        """
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"is in use by another process (pid {os.getpid()})" in done.stderr


def test_a_second_opening_in_the_same_process_is_refused_too(folder):
    with pytest.raises(StoreError, match=rf"in use by another process \(pid {os.getpid()}\)"), RunFolder(folder.path):
        pass


def test_the_manifest_comes_back_as_it_was_written(folder):
    folder.write_manifest({"identity": {"seed": 1}, "status": "running"})
    folder.write_manifest({"identity": {"seed": 1}, "status": "complete"})
    assert folder.read_manifest() == {"identity": {"seed": 1}, "status": "complete"}


FULL_DATABASE = sqlite3.OperationalError("database or disk is full")
FULL_DATABASE.sqlite_errorcode = sqlite3.SQLITE_FULL


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        FULL_DATABASE,
    ],
    ids=["disk", "quota", "database"],
)
def test_what_a_full_disk_says_becomes_what_the_user_can_do(folder, error):
    def rows():
        raise error
        yield

    with pytest.raises(StoreError, match=r"no space left for .*: free some, then run the same command again"):
        folder.write_rows("sft.jsonl", rows())


def test_the_folder_is_free_again_when_its_holder_has_left(tmp_path):
    for _ in range(2):
        with RunFolder(tmp_path / "run"):
            pass


def test_a_damaged_manifest_is_refused(folder):
    (folder.path / "run.json").write_text('{"identity": {"a"')
    with pytest.raises(StoreError, match=r"run\.json is damaged"):
        folder.read_manifest()


def test_a_manifest_that_is_something_else_is_refused(folder):
    (folder.path / "run.json").write_text("[]")
    with pytest.raises(StoreError, match=r"run\.json is damaged"):
        folder.read_manifest()


def test_a_new_folder_has_no_manifest(folder):
    assert folder.read_manifest() == {}


def test_a_file_in_a_folder_that_cannot_be_used_is_named(tmp_path):
    taken = tmp_path / "run" / "sft.jsonl"
    taken.mkdir(parents=True)
    refused = pytest.raises(StoreError, match=r"run/sft.jsonl can't be written or read: Is a directory")
    with refused, storage_errors(tmp_path / "run"):
        taken.write_text("")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't be written"), RunFolder(tmp_path / "file" / "run"):
        pass


@pytest.mark.parametrize("place", ["file", "file/run"])
def test_a_file_in_the_place_of_a_folder_is_told_as_such(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="a file is where a folder should be: choose"), RunFolder(tmp_path / place):
        pass


FULL_DISK = """
import sys
from pathlib import Path
from autoif.api import Rows, load_run
from autoif.errors import StoreError
from autoif.records import Instruction
from autoif.runs.run_folder import RunFolder

with RunFolder(Path(sys.argv[1])) as folder:
    folder.write_shard("01_self_instruct", 0, [], [])
    try:
        folder.write_shard("02_verification", 0, [Instruction.of("x" * 3000000, "seed")], [])
    except StoreError as error:
        print(error)
    left = sorted(path.name for path in (folder.path / "02_verification").iterdir())
    print(left, folder.has_shard("01_self_instruct", 0))
"""


def test_a_full_disk_is_named_and_leaves_what_was_complete(tmp_path):
    script = f"mount -t tmpfs -o size=1m tmpfs {tmp_path} && exec {sys.executable} -c '{FULL_DISK}' {tmp_path}/run"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    error, left = done.stdout.splitlines()
    assert "no space left for" in error
    assert "free some, then run the same command again" in error
    assert left == "['dropped-0000.jsonl'] True"


ENTER_FULL_DISK = """
import sys
from pathlib import Path
from autoif.errors import StoreError
from autoif.runs.run_folder import RunFolder

run = Path(sys.argv[1])
run.mkdir()
(run / ".lock").touch()
try:
    with (run / "fill").open("wb") as fill:
        fill.write(bytes(2000000))
except OSError:
    pass
try:
    RunFolder(run).__enter__()
except StoreError as error:
    print(error)
"""


def test_a_disk_that_was_full_before_is_named_too(tmp_path):
    script = (
        f"mount -t tmpfs -o size=1m tmpfs {tmp_path} && exec {sys.executable} -c '{ENTER_FULL_DISK}' {tmp_path}/run"
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "no space left for" in done.stdout


def test_a_users_file_is_read_row_by_row(tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", ROWS)
    assert read_jsonl(tmp_path / "rows.jsonl", Instruction) == ROWS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"id": "a"}\n', r"rows\.jsonl, line 1: no Instruction row \(text: Field required\)"),
        (json.dumps(ROWS[0].model_dump()).encode() + b"\n{\n", r"rows\.jsonl, line 2: broken JSON"),
        (b"\xff\xfa", r"rows\.jsonl, line 1: not UTF-8"),
        (None, r"rows\.jsonl can't be read: No such file"),
    ],
    ids=["another form", "broken", "not UTF-8", "missing"],
)
def test_a_users_file_that_cannot_be_read_is_refused_by_line(tmp_path: Path, content, message):
    if content is not None:
        (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(StoreError, match=message):
        read_jsonl(tmp_path / "rows.jsonl", Instruction)


@pytest.mark.parametrize(
    "name",
    [".lock", "completions.sqlite", "sft.jsonl", "run.json", "01_self_instruct", "01_self_instruct/kept-0000.jsonl",
     "slices/whole-0001.jsonl", "segments/shard-0000.jsonl"],
)  # fmt: skip
def test_a_run_folder_with_a_link_to_another_place_is_refused_and_that_place_stays_as_it_is(tmp_path, name):
    (tmp_path / "mine").write_text("precious")
    link = tmp_path / "run" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "mine")
    with (
        pytest.raises(StoreError, match=rf"{name} is a symbolic link.*choose another --output"),
        RunFolder(tmp_path / "run"),
    ):
        pass
    assert (tmp_path / "mine").read_text() == "precious"
