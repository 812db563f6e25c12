"""Runs at an address that are stopped, read or taken over at the wrong moment: nothing is lost, and nothing is old."""

import asyncio
import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from fsspec.implementations.local import LocalFileSystem

from autoif.errors import ConfigError, StoreError
from autoif.models.cache import CompletionCache, CompletionRow
from autoif.runs import claims, resuming
from autoif.runs.claims import RemotePlace
from autoif.runs.counts import FileCount
from autoif.runs.mirror import Mirror, mirroring
from autoif.runs.remote import Remote
from autoif.runs.resuming import fetch_run, prepare
from autoif.runs.segments import Segments, pack, sum_up
from autoif.runs.store import FORMAT
from support.claims import held
from support.command import fails_here, run_here
from support.processes import SHORT_REPLAY

ROWS = [CompletionRow(f"{number:032x}", 0, f"so {number}", "stop", 1, 2, "", "scoring", 1, 0) for number in range(6)]
LAST = FileCount("07_scoring/kept-0000.jsonl", "0" * 64)


class Stopped(BaseException):
    """A kill, as far as a process can do it to itself."""


@pytest.fixture
def remote(tmp_path):
    return Remote(f"file://{tmp_path}/store/one")


@pytest.fixture
def driver(remote, tmp_path):
    """Make the mirror of a work folder, with a run.json and a claim."""
    work = tmp_path / "work"
    with held(RemotePlace(remote)) as claim:

        def start() -> Mirror:
            started = prepare(remote, work, claim.number, anew=False, refused=True)
            write_manifest(work / "run.json", "running")
            return Mirror(remote, work, claim, started, lambda line: None)

        yield start, work, claim


def write_manifest(path: Path, status: str) -> None:
    path.write_text(json.dumps({"identity": {"a": 1}, "format": FORMAT, "status": status, "usage": {}}))


def to_lines(rows) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def seal(remote: Remote, shard: str, rows) -> None:
    remote.put(f"segments/{shard}.zst", pack({shard: to_lines(rows)}))
    remote.put(f"segments/{shard}.json", sum_up(to_lines(rows)).model_dump_json().encode())


def rows_of(folder: Path) -> list[CompletionRow]:
    with CompletionCache(folder / "completions.sqlite") as cache:
        return list(cache.rows())


def journals_of(folder: Path) -> set[bytes]:
    return {line for path in (folder / "segments").glob("*.jsonl") for line in path.read_bytes().splitlines()}


def test_an_error_that_nobody_foresaw_ends_the_run_with_a_line_and_not_as_if_all_were_copied(driver, monkeypatch):
    start, work, _ = driver
    monkeypatch.setattr(Mirror, "_put_answers", lambda self: (work / "run.json" / "x").read_bytes())
    with pytest.raises(StoreError, match=r"work can't be copied to .*store/one \(NotADirectoryError: .* all is in "):
        start().close(None)


def test_a_damaged_line_of_a_journal_is_named_and_its_shard_is_not_called_finished(driver, remote):
    start, work, _ = driver
    mirror = start()
    (work / LAST.file).parent.mkdir()
    (work / LAST.file).write_text("")
    (work / "segments" / "queries-0000.jsonl").write_bytes(to_lines(ROWS[:1]) + b'["cut\n' + to_lines(ROWS[1:]))
    mirror.note(LAST)
    with pytest.raises(StoreError, match=r"queries-0000\.jsonl has a damaged line: delete it"):
        mirror.close(None)
    assert "queries-0000" not in Segments(remote).notes


def test_a_part_of_an_answer_that_comes_while_its_shard_is_copied_waits_for_the_rest(driver, remote):
    start, work, _ = driver
    mirror = start()
    (work / LAST.file).parent.mkdir()
    (work / LAST.file).write_text("")
    (journal := work / "segments" / "queries-0000.jsonl").write_bytes(to_lines(ROWS[:1]) + b'["half')
    mirror.note(LAST)
    mirror.close(None)
    assert "queries-0000" in Segments(remote).notes and journal.exists()


def test_a_driver_that_is_overtaken_in_the_middle_of_a_copy_writes_nothing_more(driver, remote, monkeypatch):
    start, work, claim = driver
    put, written = Remote.put, []

    def put_slowly(self: Remote, name: str, *given: object) -> None:
        if not name.startswith("claims/"):
            written.append(name)
            claim._confirmed -= claims.STALE_S  # as if it had been frozen here
        put(self, name, *given)

    mirror = start()
    (work / "segments" / "queries-0000.jsonl").write_bytes(to_lines(ROWS))
    monkeypatch.setattr(Remote, "put", put_slowly)
    with pytest.raises(StoreError, match="may be in use by another process by now"):
        mirror.close(None)
    assert written == ["segments/open-0001-000000.zst"]


def test_a_copy_that_failed_is_not_made_again_by_a_driver_that_may_have_been_overtaken(driver, monkeypatch):
    start, work, claim = driver
    tried, write = [], LocalFileSystem.pipe_file

    def fail(self: LocalFileSystem, path: str, *given: object, **options: object) -> None:
        if "/segments/" not in path:
            write(self, path, *given, **options)
            return
        tried.append(path)
        claim._confirmed -= claims.STALE_S
        raise OSError("the network is down")

    mirror = start()
    (work / "segments" / "queries-0000.jsonl").write_bytes(to_lines(ROWS))
    monkeypatch.setattr(LocalFileSystem, "pipe_file", fail)
    with pytest.raises(StoreError, match="may be in use by another process by now"):
        mirror.close(None)
    assert len(tried) == 1


def stop_at(monkeypatch, count: int) -> Callable[[], bool]:
    """Stop what calls the store or notes the state of a folder at so many calls; return what tells whether it came."""
    left, attempt, write_state = [count], Remote._try, resuming._write_state

    def pass_on(whole):
        def call(*given: object):
            left[0] -= 1
            if left[0] == 0:
                raise Stopped
            return whole(*given)

        return call

    monkeypatch.setattr(Remote, "_try", pass_on(attempt))
    monkeypatch.setattr(resuming, "_write_state", pass_on(write_state))
    return lambda: left[0] <= 0


@pytest.mark.parametrize("anew", [True, False])
@pytest.mark.parametrize("elsewhere", [True, False])
def test_wherever_a_folder_is_stopped_as_it_is_made_ready_no_answer_is_lost_and_no_old_result_counts(
    tmp_path, monkeypatch, anew, elsewhere
):
    count, came = 0, True
    while came:
        count += 1
        remote, work = Remote(f"file://{tmp_path}/{count}/store"), tmp_path / f"{count}" / "work"
        prepare(remote, work, 1, anew=False, refused=True)
        write_manifest(work / "run.json", "complete")
        remote.put_file("run.json", work / "run.json")
        seal(remote, "queries-0000", ROWS[:2])
        remote.put("segments/open-0001-000000.zst", pack({"queries-0001": to_lines(ROWS[2:4])}))
        (work / "segments" / "queries-0001.jsonl").write_bytes(to_lines(ROWS[2:]))
        with CompletionCache(work / "completions.sqlite") as cache:
            cache.insert(ROWS)
        turn = 3 if elsewhere else 2  # another driver was there in between
        with monkeypatch.context() as patch:
            came_at = stop_at(patch, count)
            with suppress(Stopped):
                prepare(remote, work, turn, anew=anew, refused=True)
            came = came_at()
        notes = Segments(remote).notes
        assert notes in ({"queries-0000"}, set())
        if not notes:
            assert json.loads(remote.get("run.json"))["status"] == "interrupted"
        start = prepare(remote, work, turn + 1, anew=False, refused=True)
        assert start.sealed == notes
        missing = {*to_lines(ROWS[2:] if notes else ROWS).splitlines()} - journals_of(work)
        assert not missing, (count, missing)
        assert {*ROWS[2:]} <= {*rows_of(work)}
        assert not (work / ".segments").exists()
        shutil.rmtree(tmp_path / f"{count}")
    assert count > 3


REFUSED = [
    CompletionRow(f"{number:032x}", 0, "", "refused", 1, 0, "", "scoring", 1, 5, detail="no") for number in (8, 9)
]


def retry(remote: Remote, work: Path, turn: int) -> None:
    """Begin as `--retry-refused` does, up to the first request."""
    start = prepare(remote, work, turn, anew=True, refused=False)
    mirror = Mirror(remote, work, SimpleNamespace(number=turn, is_sure=True), start, lambda line: None)
    mirror._copy(last=False)
    asyncio.run(mirror.replace())
    with CompletionCache(work / "completions.sqlite") as cache:
        cache.forget_refused()


@pytest.mark.parametrize("elsewhere", [True, False])
def test_wherever_a_retry_of_refusals_is_stopped_and_begun_again_they_are_paid_once(tmp_path, monkeypatch, elsewhere):
    monkeypatch.setattr(Mirror, "_follow", lambda self: None)
    count, came = 0, True
    while came:
        count += 1
        remote, work = Remote(f"file://{tmp_path}/{count}/store"), tmp_path / f"{count}" / "work"
        prepare(remote, work, 1, anew=False, refused=True)
        write_manifest(work / "run.json", "complete")
        remote.put_file("run.json", work / "run.json")
        finished, others = [ROWS[0], REFUSED[0]], [*ROWS[1:], REFUSED[1]]
        seal(remote, "queries-0000", finished)
        remote.put("segments/open-0001-000000.zst", pack({"queries-0001": to_lines(others)}))
        (work / "segments" / "queries-0001.jsonl").write_bytes(to_lines(others))
        with CompletionCache(work / "completions.sqlite") as cache:
            cache.insert([*finished, *others])
        with monkeypatch.context() as patch:
            came_at = stop_at(patch, count)
            with suppress(Stopped):
                retry(remote, work, 2)
            came = came_at()
        retry(remote, second := tmp_path / f"{count}" / "other" if elsewhere else work, 3)
        third = tmp_path / f"{count}" / "third"
        prepare(remote, third, 4, anew=False, refused=True)
        for folder in (second, third):
            with CompletionCache(folder / "completions.sqlite") as cache:
                assert sorted(cache.rows()) == sorted(ROWS), count
                assert cache.total().requests == len(ROWS) + len(REFUSED), (count, folder)
        shutil.rmtree(tmp_path / f"{count}")
    assert count > 8


def test_what_is_refused_again_counts_beside_the_refusal_before(tmp_path, remote, monkeypatch):
    monkeypatch.setattr(Mirror, "_follow", lambda self: None)
    work = tmp_path / "work"
    remote.put("segments/open-0001-000000.zst", pack({"queries-0000": to_lines(REFUSED[:1])}))
    retry(remote, work, 2)
    remote.put("segments/open-0002-000009.zst", pack({"queries-0000": to_lines(REFUSED[:1])}))
    prepare(remote, other := tmp_path / "other", 3, anew=False, refused=True)
    with CompletionCache(other / "completions.sqlite") as cache:
        assert (cache.total().requests, [*cache.rows()]) == (2, REFUSED[:1])


def test_refusals_of_a_folder_left_behind_do_not_come_back_when_they_were_asked_again_elsewhere(
    tmp_path, remote, monkeypatch
):
    monkeypatch.setattr(Mirror, "_follow", lambda self: None)
    work, kept = tmp_path / "work", [ROWS[0], REFUSED[0]]
    prepare(remote, work, 1, anew=False, refused=True)
    remote.put("segments/open-0001-000000.zst", pack({"queries-0000": to_lines(kept)}))
    (work / "segments" / "queries-0000.jsonl").write_bytes(to_lines([*kept, ROWS[1]]))
    retry(remote, tmp_path / "other", 2)
    prepare(remote, work, 3, anew=False, refused=True)
    with CompletionCache(work / "completions.sqlite") as cache:
        assert ([*cache.rows()], cache.total().requests) == (ROWS[:2], 3)


def test_nothing_is_asked_again_while_the_store_has_refusals_as_answers(tmp_path, remote, monkeypatch):
    remote.put("segments/open-0001-000000.zst", pack({"queries-0000": to_lines(REFUSED)}))
    put = Remote.put

    def be_away(self: Remote, name: str, *given: object) -> None:
        if "retried-" in name:
            raise StoreError("the store is away")
        put(self, name, *given)

    async def begin() -> None:
        async with mirroring(remote, tmp_path / "work", lambda line: None, anew=True, refused=False):
            assert [*Segments(remote).notes] == ["retried-0001"]

    with monkeypatch.context() as patch, pytest.raises(StoreError, match="the store is away"):
        patch.setattr(Remote, "put", be_away)
        asyncio.run(begin())
    shutil.rmtree(tmp_path / "work")
    remote = Remote(f"file://{tmp_path}/store/other")
    remote.put("segments/open-0001-000000.zst", pack({"queries-0000": to_lines(REFUSED)}))
    asyncio.run(begin())


def test_a_folder_in_which_a_kill_has_left_a_part_of_the_first_file_is_a_new_one(tmp_path, remote):
    (tmp_path / "work" / "segments").mkdir(parents=True)
    (tmp_path / "work" / "segments" / ".remote.json.77.tmp").write_text("{")
    prepare(remote, tmp_path / "work", 1, anew=False, refused=True)
    assert prepare(remote, tmp_path / "work", 2, anew=False, refused=True).said == f"works in {tmp_path / 'work'}"


def test_what_a_killed_process_left_beside_the_completions_is_not_read_into_new_ones(tmp_path, remote):
    work = tmp_path / "work"
    prepare(remote, work, 1, anew=False, refused=True)
    (work / "segments" / "queries-0000.jsonl").write_bytes(to_lines(ROWS))
    with CompletionCache(work / "completions.sqlite") as cache:
        cache.insert([row._replace(text="x" * 20_000) for row in ROWS])
        log = (work / "completions.sqlite-wal").read_bytes()
    (work / "completions.sqlite-wal").write_bytes(log)
    prepare(remote, work, 2, anew=True, refused=True)
    assert rows_of(work) == ROWS


def test_who_wants_out_while_a_run_is_fetched_does_not_wait_until_all_is_there(tmp_path, remote, monkeypatch):
    for number in range(40):
        remote.put(f"segments/open-0001-{number:06d}.zst", pack({"queries-0000": to_lines(ROWS)}))
    get, got = Remote.get, []

    def get_slowly(self: Remote, name: str) -> bytes | None:
        got.append(name)
        time.sleep(0.1)
        return get(self, name)

    async def begin() -> None:
        async with asyncio.timeout(1), mirroring(remote, tmp_path / "work", lambda line: None):
            raise AssertionError

    monkeypatch.setattr(Remote, "get", get_slowly)
    with pytest.raises(TimeoutError):
        asyncio.run(begin())
    assert "segments/open-0001-000001.zst" in got and "segments/open-0001-000039.zst" not in got
    assert (remote.get("claims/claim-0001") or b"").endswith(b".")


def test_a_run_that_was_copied_to_an_address_by_other_means_is_not_replaced(tmp_path):
    run = (*SHORT_REPLAY, "-o")
    assert run_here(*run, "run", cwd=tmp_path).returncode == 0
    shutil.copytree(tmp_path / "run", tmp_path / "store" / "one")
    before = (tmp_path / "store" / "one" / "run.json").read_bytes()
    for _ in range(2):
        said = fails_here(*run, f"file://{tmp_path}/store/one", "--work", "w", cwd=tmp_path)
        assert "has a run that was copied there by other means" in said
    assert (tmp_path / "store" / "one" / "run.json").read_bytes() == before


def test_a_command_with_the_wrong_work_folder_is_no_driver_for_the_right_one(tmp_path):
    address = f"file://{tmp_path}/store/one"
    run = (*SHORT_REPLAY, "-o", address, "--work")
    assert run_here(*run, "right", cwd=tmp_path).returncode == 0
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "mine.txt").write_text("mine")
    assert "holds something else" in fails_here(*run, "wrong", cwd=tmp_path)
    assert "mine.txt can't be written or read: Not a dir" in fails_here(*run, "wrong/mine.txt", cwd=tmp_path)
    again = run_here(*run, "right", cwd=tmp_path)
    assert again.returncode == 0 and "kept as" not in again.stderr
    assert not (tmp_path / "right.left1").exists()


def test_a_copy_that_was_interrupted_leaves_nothing_of_another_run_in_the_next_one(tmp_path):
    one, other = (f"file://{tmp_path}/store/{name}" for name in ("one", "other"))
    run = (*SHORT_REPLAY, "-o")
    assert run_here(*run, one, "--set", "execution.shard_size=1", "--work", "w1", cwd=tmp_path).returncode == 0
    assert run_here(*run, other, "--work", "w2", cwd=tmp_path).returncode == 0
    (tmp_path / "store" / "one" / "decisions.jsonl").write_text("")
    (tmp_path / "store" / "one" / "sft.jsonl").unlink()
    assert "lacks sft.jsonl" in fails_here("fetch", one, "f", cwd=tmp_path)
    assert run_here("fetch", other, "f", cwd=tmp_path).returncode == 0
    wanted, found = (
        {str(path.relative_to(folder)) for path in folder.rglob("*.jsonl")}
        for folder in (tmp_path / "store" / "other", tmp_path / "f")
    )
    assert found == {name for name in wanted if not name.startswith("segments/")}


def test_a_folder_that_is_no_interrupted_copy_is_left_alone(tmp_path, remote):
    (tmp_path / "f.partial").mkdir()
    (tmp_path / "f.partial" / "mine.jsonl").write_text("{}\n")
    with pytest.raises(StoreError, match=r"f\.partial is in the way"):
        fetch_run(remote, tmp_path / "f")
    assert (tmp_path / "f.partial" / "mine.jsonl").exists()


def test_answers_of_a_shard_that_is_finished_while_a_run_is_copied_are_in_the_copy(tmp_path, remote):
    remote.put("segments/open-0001-000000.zst", pack({"queries-0000": to_lines(ROWS)}))
    found = Segments(remote)
    seal(remote, "queries-0000", ROWS)
    remote.delete("segments/open-0001-000000.zst")
    (tmp_path / "copy").mkdir()
    found.restore_answers(tmp_path / "copy", whole=True)
    assert rows_of(tmp_path / "copy") == ROWS


def test_a_copy_says_complete_only_if_all_was_there_when_it_began(tmp_path, remote, monkeypatch):
    write_manifest(tmp_path / "run.json", "running")
    remote.put_file("run.json", tmp_path / "run.json")
    read_notes = Segments.read_notes

    def finish(self: Segments) -> None:
        read_notes(self)
        write_manifest(tmp_path / "run.json", "complete")
        remote.put_file("run.json", tmp_path / "run.json")

    monkeypatch.setattr(Segments, "read_notes", finish)
    fetch_run(remote, tmp_path / "copy")
    assert json.loads((tmp_path / "copy" / "run.json").read_text())["status"] == "running"


def test_an_address_as_a_path_is_refused_and_makes_no_folder_of_its_name(tmp_path, monkeypatch):
    import autoif

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="give output as text, as in s3://BUCKET/runs/NAME"):
        autoif.run("quickstart", recorded=True, output=Path("s3://bucket/runs/one"))
    assert not [*tmp_path.iterdir()]
