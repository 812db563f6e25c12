"""Runs whose output is at an address: an S3 server on loopback, drivers that are killed, folders that are lost."""

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from s3fs import S3FileSystem

import autoif
from autoif.errors import StoreError
from autoif.models.answer_rows import CompletionRow, read_row
from autoif.models.cache import CompletionCache
from autoif.runs import claims
from autoif.runs import remote as stores
from autoif.runs.claims import RemotePlace
from autoif.runs.mirror import Mirror
from autoif.runs.remote import Remote
from autoif.runs.resuming import prepare
from autoif.runs.segments import Segments, open_segments, pack, sum_up, sum_up_retried, unpack
from support.claims import held
from support.command import fails_here, run_here
from support.processes import SHORT_REPLAY, data_of, fork_autoif, make_plain_run, model_server, quickstart, stages_of
from support.s3_server import BUCKET, SECRET, s3_server

IN_FLIGHT = 4
LAST = 20
"""So many requests are not answered until a driver was killed, lest it ends before."""
FEW = (
    *("--set", "self_instruct.max_instructions=6", "--set", "augmentation.queries_per_instruction=4"),
    *("--set", "execution.shard_size=2", "--set", "sandbox.workers=1"),
    *("--set", f"models.all.concurrency={IN_FLIGHT}", "--quiet"),
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The run in a folder, and how often its model was asked, never the same twice."""
    return make_plain_run(tmp_path_factory.mktemp("plain"), *FEW)


@pytest.fixture(scope="module")
def store():
    with s3_server() as server:
        yield server


@pytest.fixture
def address(store, request):
    """Where a test has a run of its own."""
    store.fails_each = 0
    return f"s3://{BUCKET}/runs/{request.node.name[:60]}"


def arguments(server, output, *more):
    return quickstart(server, output, *FEW, *more)


def asked(server) -> int:
    return len(server.asked())


def usage_of(run):
    return json.loads((run / "run.json").read_text())["usage"]


def count_answers(remote) -> int:
    """Return how many answers of the server are at an address."""
    found = Segments(remote)
    parts = [part for name in (*found.sealed, *found.open) for _, part in unpack(remote, name)]
    rows = {row[:2]: row for part in parts for row in map(read_row, part.splitlines())}
    return sum(row.requests for row in rows.values())


def kill_when(remote, enough, process) -> None:
    """Kill a driver when so many shards are finished at the address, and answers of others are there as well."""
    deadline = time.monotonic() + 150
    while len((found := Segments(remote)).notes) < enough or not found.open:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.2)  # each look is a request
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def check_same(run, other):
    assert data_of(run) == data_of(other)
    assert stages_of(run) == stages_of(other)
    assert usage_of(run) == usage_of(other)


@pytest.mark.timeout(400)
def test_a_machine_that_is_lost_costs_no_answer_that_was_copied_and_another_fetches_what_is_not_finished(
    plain, store, address, tmp_path
):
    run, wanted = plain
    remote = Remote(address)
    with model_server(tmp_path) as server:
        server.hold(wanted - LAST)
        first = fork_autoif(*arguments(server, address, "--work", "a"), cwd=tmp_path)
        kill_when(remote, 3, first)
        server.release()
        shutil.rmtree(tmp_path / "a")
        found, before, held = Segments(remote), asked(server), count_answers(remote)
        finished = {name for name in found.sealed if name.removesuffix(".zst") in found.notes}
        assert finished and not remote.get("sft.jsonl")
        store.got.clear()
        again = run_here(*arguments(server, address, "--work", "b"), cwd=tmp_path)
        assert again.returncode == 0, again.stderr
        assert wanted - held <= asked(server) - before <= wanted - held + IN_FLIGHT  # these may be logged late
    name = address.removeprefix(f"s3://{BUCKET}/")
    got = {each.removeprefix(f"{name}/") for each in store.got}
    assert not {f"segments/{each}" for each in finished if each.startswith("queries")} & got
    assert {f"segments/{each}" for each in found.open} <= got
    check_same(tmp_path / "b", run)
    check_same_objects(remote, tmp_path / "b")
    assert not Segments(remote).open
    assert count_answers(remote) == wanted


def check_same_objects(remote, folder):
    """Compare all that is at the address with a folder."""
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_file() and not name.startswith((".", "segments/", "completions.sqlite")):
            assert remote.get(name) == path.read_bytes(), name


@pytest.mark.timeout(400)
def test_a_driver_that_is_killed_goes_on_in_its_folder_and_asks_again_only_what_was_in_flight(
    plain, store, address, tmp_path
):
    run, wanted = plain
    with model_server(tmp_path) as server:
        server.hold(wanted - LAST)
        began = time.time()
        first = fork_autoif(*arguments(server, address, "--work", "a"), cwd=tmp_path)
        kill_when(Remote(address), 3, first)
        killed = time.time()
        server.release()
        store.got.clear()
        again = run_here(*arguments(server, address, "--work", "a"), cwd=tmp_path)
        assert again.returncode == 0, again.stderr
        assert len(server.asked_again(began, killed)) <= IN_FLIGHT
    assert not [name for name in store.got if name.endswith(".zst") or "/0" in name]
    check_same(tmp_path / "a", run)
    check_same_objects(Remote(address), tmp_path / "a")
    assert count_answers(Remote(address)) == wanted


@pytest.mark.timeout(400)
def test_a_folder_that_was_left_behind_is_put_aside_and_its_answers_count(plain, tmp_path):
    (run, wanted), address = plain, f"file://{tmp_path}/store/run"
    with model_server(tmp_path) as server:
        server.hold(wanted // 2)  # so that the second has a shard to finish, however late the first is killed
        first = fork_autoif(*arguments(server, address, "--work", "a"), cwd=tmp_path)
        kill_when(Remote(address), 2, first)
        server.hold(wanted - LAST)
        second = fork_autoif(*arguments(server, address, "--work", "b"), cwd=tmp_path)
        kill_when(Remote(address), len(Segments(Remote(address)).notes) + 1, second)
        server.release()
        third = run_here(
            *[each for each in arguments(server, address, "--work", "a") if each != "--quiet"], cwd=tmp_path
        )
        assert third.returncode == 0, third.stderr
        assert "kept as a.left1, as another machine has gone on since" in " ".join(third.stderr.split())
        assert sum(each["requests"] for each in usage_of(tmp_path / "a").values()) <= asked(server)
    assert data_of(tmp_path / "a") == data_of(run)
    assert stages_of(tmp_path / "a") == stages_of(run)


@pytest.mark.timeout(400)
def test_a_store_that_fails_one_call_in_ten_loses_nothing(plain, store, address, tmp_path):
    run, wanted = plain
    store.fails_each = 10
    before = store.failed
    with model_server(tmp_path) as server:
        done = run_here(*arguments(server, address, "--work", "a"), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert asked(server) == wanted
    assert store.failed > before + 5
    autoif.fetch_run(address, tmp_path / "fetched")
    store.fails_each = 0
    check_same(tmp_path / "fetched", run)
    assert count_answers(Remote(address)) == wanted


class Flaky(LocalFileSystem):
    """A disk of which one call in ten fails: before it is done, after it, or in the middle."""

    protocol = "flaky"
    calls = failed = 0

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.removeprefix("flaky://"))

    def _fail(self, call, *given, **options):
        Flaky.calls += 1
        if Flaky.calls % 10:
            return call(*given, **options)
        Flaky.failed += 1
        if Flaky.failed % 2:
            call(*given, **options)
        raise OSError("the network is down, said somebody with " + SECRET)

    def pipe_file(self, *given, **options):
        return self._fail(super().pipe_file, *given, **options)

    def put_file(self, *given, **options):
        return self._fail(super().put_file, *given, **options)

    def cat_file(self, *given, **options):
        return self._fail(super().cat_file, *given, **options)

    def get_file(self, *given, **options):
        return self._fail(super().get_file, *given, **options)

    def ls(self, *given, **options):
        return self._fail(super().ls, *given, **options)

    def mv(self, *given, **options):
        return self._fail(super().mv, *given, **options)

    def rm_file(self, *given, **options):
        return self._fail(super().rm_file, *given, **options)


@pytest.fixture
def flaky(tmp_path):
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    Flaky.calls = Flaky.failed = 0
    return f"flaky://{tmp_path}/store/run"


@pytest.mark.timeout(400)
def test_a_disk_elsewhere_that_fails_one_call_in_ten_loses_nothing_either(plain, flaky, tmp_path):
    run, wanted = plain
    with model_server(tmp_path) as server:
        done = run_here(*arguments(server, flaky, "--work", "a"), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert asked(server) == wanted
    assert Flaky.failed > 10
    check_same(tmp_path / "store" / "run", run)


def test_a_run_that_is_finished_is_shown_fetched_and_started_again_elsewhere_without_a_call(
    plain, store, address, tmp_path
):
    run, wanted = plain
    with model_server(tmp_path) as server:
        assert run_here(*arguments(server, address, "--work", "a"), cwd=tmp_path).returncode == 0
        store.got.clear()
        again = run_here(*arguments(server, address, "--work", "b"), cwd=tmp_path)
        assert again.returncode == 0, again.stderr
        assert asked(server) == wanted
        assert not [name for name in store.got if name.endswith(".zst")]
        check_same(tmp_path / "b", run)
        store.got.clear()
        status = json.loads(run_here("status", address, "--json", cwd=tmp_path).stdout)
        assert status["state"] == "complete" and status["rows"]["sft.jsonl"] == len(autoif.load_run(run).sft)
        assert not [name for name in store.got if "/0" in name or name.endswith(("sft.jsonl", ".zst"))]
        assert run_here("fetch", address, "c", cwd=tmp_path).returncode == 0
        check_same(tmp_path / "c", run)
        assert not (tmp_path / "c" / "segments").exists()
        assert "is there already" in fails_here("fetch", address, "c", cwd=tmp_path)
        with (
            CompletionCache(run / "completions.sqlite") as one,
            CompletionCache(tmp_path / "c" / "completions.sqlite") as other,
        ):
            assert list(one.rows()) == list(other.rows())
        kept = run_here(*arguments(server, tmp_path / "c"), cwd=tmp_path)  # it is a run folder like any other
        assert kept.returncode == 0, kept.stderr
        assert asked(server) == wanted


def test_results_made_anew_on_another_machine_take_all_answers_and_ask_for_what_is_new(tmp_path):
    address = f"file://{tmp_path}/store/run"
    changed = ("--set", "scoring.mean=>= 9", "--resume-with-changes")
    with model_server(tmp_path) as server:
        assert run_here(*arguments(server, tmp_path / "run"), cwd=tmp_path).returncode == 0
        assert run_here(*arguments(server, tmp_path / "run", *changed), cwd=tmp_path).returncode == 0
        before = asked(server)
        assert run_here(*arguments(server, address, "--work", "a"), cwd=tmp_path).returncode == 0
        second = asked(server)
        shutil.rmtree(tmp_path / "a")
        done = run_here(*arguments(server, address, "--work", "b", *changed), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert asked(server) == second == 2 * before
        check_same(tmp_path / "b", tmp_path / "run")
        shutil.rmtree(tmp_path / "b")
        third = run_here(*arguments(server, address, "--work", "c", *changed[:2]), cwd=tmp_path)
        assert third.returncode == 0, third.stderr
        assert asked(server) == second
    check_same(tmp_path / "c", tmp_path / "run")


def test_two_drivers_of_one_address_are_refused_whatever_folders_they_work_in(store, address, tmp_path):
    with held(RemotePlace(Remote(address))):
        said = fails_here("run", "quickstart", "--recorded", "-o", address, "--work", str(tmp_path / "b"))
    assert f"{address} is in use by pid {os.getpid()}" in said
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("output", "more", "said"),
    [
        ("xyz://b/run", (), "xyz://b/run can't be used: Protocol not known: xyz"),
        ("gs://b/run", (), "gs://b/run needs a package that is not installed: pip install gcsfs"),
        (f"s3://{BUCKET}-none/run", (), "is not there: The specified bucket does not exist"),
        ("s3://", (), "s3:// names no folder: as in s3://BUCKET/runs/NAME"),
        ("sftp://me:tops3cret@nowhere.invalid/run", (), "sftp://me:***@nowhere.invalid/run"),
        (
            f"s3://{BUCKET}/run",
            ("--shards", "1/3"),
            "or let one command make the run at s3://trials/run, with --engine ray if it needs",
        ),
        ("run", ("--work", "w"), "--work goes with an --output at an address"),
    ],
)
def test_an_address_that_cannot_be_used_ends_in_one_line(store, tmp_path, output, more, said):
    told = fails_here("run", "quickstart", "--recorded", "-o", output, *more, cwd=tmp_path)
    assert said in told and "tops3cret" not in told and SECRET not in told


def test_no_credentials_end_in_one_line(store, tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    S3FileSystem.clear_instance_cache()
    said = fails_here("run", "quickstart", "--recorded", "-o", f"s3://{BUCKET}/other/run", cwd=tmp_path)
    S3FileSystem.clear_instance_cache()  # it would serve the next test without credentials
    assert "give credentials" in said


def test_what_a_store_says_is_told_without_keys(flaky, monkeypatch, tmp_path):
    monkeypatch.setenv("MY_SECRET_KEY", SECRET)
    remote = Remote(flaky)
    remote.hurry(0.0)
    Flaky.calls, Flaky.failed = 9, 1
    with pytest.raises(StoreError, match=r"network is down, said \*\*\* with \*\*\*") as told:
        remote.list_names("segments")
    assert SECRET not in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(
    "command", [("report",), ("export", "--to", "trl", "-o", "x"), ("cat",), ("show",), ("audit",)]
)
def test_commands_that_need_a_folder_say_how_to_fetch_it(command, tmp_path):
    said = fails_here(command[0], "s3://b/runs/first", *command[1:], cwd=tmp_path)
    assert "s3://b/runs/first is not on this machine: copy the run first, with `autoif fetch s3://b/runs/first`" in said


def test_a_work_folder_is_refused_to_other_runs(tmp_path):
    work = tmp_path / "w"
    one, other = (f"file://{tmp_path}/store/{name}" for name in ("one", "other"))
    assert run_here(*SHORT_REPLAY, "-o", one, "--work", work, cwd=tmp_path).returncode == 0
    assert f"is the work folder of {one}" in fails_here(*SHORT_REPLAY, "-o", work)
    assert "holds something else" in fails_here(*SHORT_REPLAY, "-o", other, "--work", work)
    shutil.rmtree(tmp_path / "store")
    assert "is empty, and" in fails_here(*SHORT_REPLAY, "-o", one, "--work", work)


def test_a_file_that_was_changed_at_the_address_is_named(tmp_path):
    one = f"file://{tmp_path}/store/one"
    assert run_here(*SHORT_REPLAY, "-o", one, "--work", "w", cwd=tmp_path).returncode == 0
    Path(tmp_path / "store/one/sft.jsonl").write_text("{}\n")
    said = fails_here("fetch", one, str(tmp_path / "f"))
    assert f"{one}/sft.jsonl was changed after it was written: bring it back, or run the same command with" in said


def test_answers_that_only_a_folder_left_behind_has_are_added_but_not_those_of_finished_shards(tmp_path):
    remote, work = Remote(f"file://{tmp_path}/store"), tmp_path / "work"
    prepare(remote, work, 1, anew=False, refused=True)
    rows = [CompletionRow(f"{number:032x}", 0, "so", "stop", 1, 2, "", "scoring", 1, 0) for number in range(2)]
    for shard, row in zip(("queries-0000", "queries-0001"), rows, strict=True):
        (work / "segments" / f"{shard}.jsonl").write_text(json.dumps(row) + "\n")
    spent = sum_up(json.dumps(rows[0]).encode())
    remote.put("segments/queries-0000.json", spent.model_dump_json().encode())
    start = prepare(remote, work, 3, anew=False, refused=True)  # a second driver was elsewhere
    assert "kept as " in start.said and start.sealed == {"queries-0000"}
    assert (tmp_path / "work.left1" / "segments" / "queries-0001.jsonl").exists()
    assert [path.name for path in (work / "segments").glob("*.jsonl")] == ["queries-0001.jsonl"]
    with CompletionCache(work / "completions.sqlite") as cache:
        assert list(cache.rows()) == rows[1:]
        assert cache.total().requests == 2
    prepare(remote, work, 4, anew=False, refused=True)  # the folder is the last one now
    assert not (tmp_path / "work.left2").exists()


def test_an_answer_that_only_a_finished_shard_has_is_fetched_when_another_shard_asks_the_same(tmp_path):
    remote, work = Remote(f"file://{tmp_path}/store"), tmp_path / "work"
    rows = [
        CompletionRow(f"{number:032x}", 0, f"so {number}", "stop", 1, 2, "", "scoring", 1, 0) for number in range(3)
    ]
    rows = [row._replace(key=row.key[::-1]) for row in rows]
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    remote.put("segments/queries-0000.zst", pack({"queries-0000": lines}))
    remote.put("segments/queries-0000.json", sum_up(lines).model_dump_json().encode())
    prepare(remote, work, 2, anew=False, refused=True)
    fetched = []
    fetch = open_segments(remote.address)
    with CompletionCache(work / "completions.sqlite", fetch=lambda name: fetched.append(name) or fetch(name)) as cache:
        assert not cache.is_elsewhere("f" * 32) and not fetched
        assert not cache.get(rows[1].key, 1)
        assert cache.is_elsewhere(rows[1].key) and cache.recall(rows[1].key)
        assert [cache.get(row.key, 1)[0].text for row in rows] == ["so 0", "so 1", "so 2"]
        assert not cache.is_elsewhere(rows[1].key)
        assert fetched == ["queries-0000"]
        assert cache.total().requests == cache.total().completions == 3  # what was spent is counted once


def test_answers_to_one_request_are_fetched_from_all_finished_shards_that_have_some(tmp_path):
    remote, work = Remote(f"file://{tmp_path}/store"), tmp_path / "work"
    for sample in range(2):  # the second shard wanted one more than the first
        line = json.dumps(CompletionRow("1" * 32, sample, "so", "stop", 1, 2, "", "scoring", 1, 0)).encode() + b"\n"
        remote.put(f"segments/queries-000{sample}.zst", pack({f"queries-000{sample}": line}))
        remote.put(f"segments/queries-000{sample}.json", sum_up(line).model_dump_json().encode())
    prepare(remote, work, 2, anew=False, refused=True)
    with CompletionCache(work / "completions.sqlite", fetch=open_segments(remote.address)) as cache:
        assert cache.recall("1" * 32)
        assert sorted(cache.get("1" * 32, 3)) == [0, 1]
        assert cache.total().requests == 2


def test_a_damaged_segment_is_named_when_its_answers_are_fetched(tmp_path):
    remote = Remote(f"file://{tmp_path}/store")
    for content in (b"", pack({"queries-0000": b"[half\n"}), pack({"queries-0000": b'["0", 1]\n'})):
        remote.put("segments/queries-0000.zst", content)
        with pytest.raises(StoreError, match=r"queries-0000\.zst is damaged"):
            open_segments(remote.address)("queries-0000")


def test_a_small_segment_that_would_fill_the_memory_is_refused_unread(tmp_path):
    remote = Remote(f"file://{tmp_path}/store")
    remote.put("segments/queries-0000.zst", pack({"queries-0000": b" " * 30_000_000}))
    with pytest.raises(StoreError, match=r"queries-0000\.zst unpacks to more than answers do: .* or delete it"):
        open_segments(remote.address)("queries-0000")


def test_of_a_cut_segment_only_the_answers_in_it_are_lost_once_it_is_deleted(tmp_path):
    remote, work = Remote(f"file://{tmp_path}/store"), tmp_path / "work"
    rows = [CompletionRow(f"{number}" * 32, 0, "so", "stop", 1, 2, "", "scoring", 1, 0) for number in range(3)]
    finished, cut_off, whole = [json.dumps(row).encode() + b"\n" for row in rows]
    remote.put("segments/queries-0000.json", sum_up(finished).model_dump_json().encode())
    remote.put("segments/queries-0000.zst", pack({"queries-0000": finished})[:-5])
    remote.put("segments/open-0001-000000.zst", pack({"queries-0001": cut_off})[:-5])
    remote.put("segments/open-0001-000001.zst", pack({"queries-0001": whole}))
    with pytest.raises(StoreError, match=r"open-0001-000000\.zst is damaged .*: bring it back, or delete it"):
        prepare(remote, work, 2, anew=False, refused=True)
    remote.delete("segments/open-0001-000000.zst")
    start = prepare(remote, work, 3, anew=False, refused=True)
    assert start.sealed == {"queries-0000"}  # for which no answer is needed
    with CompletionCache(work / "completions.sqlite", fetch=open_segments(remote.address)) as cache:
        assert list(cache.rows()) == rows[2:]
        with pytest.raises(StoreError, match=r"queries-0000\.zst is damaged"):  # another shard asks the same
            cache.recall(rows[0].key)
        remote.delete("segments/queries-0000.zst")
        cache.recall(rows[0].key)
        assert list(cache.rows()) == rows[2:]
        assert cache.total().requests == 2  # what the finished shard has spent stays counted


def test_what_servers_refused_is_forgotten_but_stays_spent_when_it_is_asked_again_elsewhere(tmp_path):
    remote, work = Remote(f"file://{tmp_path}/store"), tmp_path / "work"
    good = CompletionRow("0" * 32, 0, "so", "stop", 1, 2, "", "scoring", 1, 0)
    bad = CompletionRow("1" * 32, 0, "", "refused", 1, 0, "", "scoring", 1, 0, detail="too long")
    lines = [json.dumps(row).encode() + b"\n" for row in (good, bad)]
    remote.put("segments/queries-0000.zst", pack({"queries-0000": b"".join(lines)}))
    remote.put("segments/queries-0000.json", sum_up(b"".join(lines)).model_dump_json().encode())
    start = prepare(remote, work, 2, anew=True, refused=False)
    assert "segments/queries-0000.zst" in start.old and not start.sealed and not Segments(remote).notes
    assert (work / "segments" / "earlier-0002.jsonl").read_bytes() == lines[0]
    assert (work / "segments" / f"{start.retried}.jsonl").read_bytes() == lines[1]
    with CompletionCache(work / "completions.sqlite") as cache:
        assert cache.forget_refused() == 1
        assert cache.total().requests == 2
    for name in start.old:
        remote.delete(name)
    remote.put("segments/open-0002-000000.zst", pack({"earlier-0002": lines[0], "retried-0002": lines[1]}))
    remote.put("segments/retried-0002.json", sum_up_retried(lines[1]).model_dump_json().encode())
    prepare(remote, tmp_path / "other", 3, anew=False, refused=True)
    with CompletionCache(tmp_path / "other" / "completions.sqlite") as cache:
        assert list(cache.rows()) == [good]
        assert cache.total().requests == 2


def test_a_driver_that_may_have_been_overtaken_copies_nothing(tmp_path, monkeypatch):
    remote, work = Remote(f"file://{tmp_path}/store"), tmp_path / "work"
    monkeypatch.setattr(claims, "STALE_S", 0.0)
    with held(RemotePlace(remote)) as claim:
        start = prepare(remote, work, claim.number, anew=False, refused=True)
        mirror = Mirror(remote, work, claim, start, lambda line: None)
        (work / "segments" / "queries-0000.jsonl").write_text("[]\n")
        with pytest.raises(StoreError, match="may be in use by another process by now: all is in "):
            mirror.close(None)
    assert remote.list_names("segments") == []


@pytest.mark.timeout(400)
def test_sigterm_ends_a_driver_in_time_and_leaves_what_it_had_at_the_address(plain, store, address, tmp_path):
    run, wanted = plain
    remote = Remote(address)
    with model_server(tmp_path) as server:
        server.hold(wanted - LAST)
        first = fork_autoif(
            *[each for each in arguments(server, address, "--work", "a") if each != "--quiet"], cwd=tmp_path
        )
        deadline = time.monotonic() + 150
        while len(Segments(remote).notes) < 2:
            assert first.poll() is None and time.monotonic() < deadline, first.communicate()
            time.sleep(0.2)
        began = time.time()
        first.terminate()
        said, _ = first.communicate(timeout=60)
        assert first.returncode == 143, said
        server.release()
        assert remote.get("run.json") == (tmp_path / "a" / "run.json").read_bytes(), said
        with CompletionCache(tmp_path / "a" / "completions.sqlite") as cache:
            assert count_answers(remote) == cache.total().requests
        shutil.rmtree(tmp_path / "a")
        again = run_here(*arguments(server, address, "--work", "b"), cwd=tmp_path)
        assert again.returncode == 0, again.stderr
        assert len(server.asked_again(0.0, began)) <= IN_FLIGHT
    check_same(tmp_path / "b", run)


@pytest.mark.timeout(400)
def test_a_run_goes_on_while_the_store_is_away_and_is_copied_when_it_is_back(
    plain, store, address, tmp_path, monkeypatch
):
    run, wanted = plain
    monkeypatch.setattr(stores, "PATIENCE_S", 0.5)
    found = Remote(address)

    def leave() -> None:
        while not Segments(found).notes:
            time.sleep(0.05)
        store.away = True

    with model_server(tmp_path) as server:
        threading.Thread(target=leave, daemon=True).start()
        done = run_here(*arguments(server, address, "--work", "a"), cwd=tmp_path)
        store.away = False
        assert done.returncode == 2
        assert "all is in a, run the same command there again to copy it" in done.stderr
        assert asked(server) == wanted
        assert data_of(tmp_path / "a") == data_of(run)
        assert json.loads(run_here("status", address, "--json", cwd=tmp_path).stdout)["state"] != "complete"
        again = run_here(*arguments(server, address, "--work", "a"), cwd=tmp_path)
        assert again.returncode == 0, again.stderr
        assert asked(server) == wanted
    check_same_objects(found, tmp_path / "a")
    assert count_answers(found) == wanted
