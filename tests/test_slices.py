"""Runs in slices, as tasks of a batch system: processes that share a folder and nothing else."""

import asyncio
import json
import os
import random
import shutil
import signal
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from autoif.config import Config
from autoif.errors import ConfigError, StoreError
from autoif.models.cache import CompletionCache, CompletionRow
from autoif.models.journal import Journal, import_journals, open_answers, read_journal
from autoif.report.status import read_status
from autoif.runs import claims
from autoif.runs.claims import Claim, FolderPlace, Holder
from autoif.runs.run_folder import RunFolder
from autoif.runs.sliced_run import share_budget
from autoif.runs.slices import Slice, is_complete, write_plan
from support.claims import held
from support.command import fails_here, run_here
from support.processes import data_of, fork_autoif, make_plain_run, model_server, quickstart, stages_of

IN_FLIGHT = 4
FEW = (
    *("--set", "self_instruct.max_instructions=6", "--set", "augmentation.queries_per_instruction=4"),
    *("--set", "execution.shard_size=2", "--set", "sandbox.workers=1"),
    *("--set", f"models.all.concurrency={IN_FLIGHT}", "--quiet"),
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run without slices."""
    run, _ = make_plain_run(tmp_path_factory.mktemp("plain"), *FEW)
    assert len(list(run.glob("02_*/kept-*"))) == 3
    return run


def arguments(server, run, *more):
    return quickstart(server, run, *FEW, *more)


def asked_twice(server) -> int:
    asked = server.asked()
    return len(asked) - len(set(asked))


def test_slices_at_the_same_time_of_which_one_is_killed_make_the_same_bytes_and_pay_for_nothing_twice(plain, tmp_path):
    run = tmp_path / "run"
    with model_server(tmp_path) as server:
        began = time.time()
        tasks = [fork_autoif(*arguments(server, run, "--shards", f"{number}/3"), cwd=tmp_path) for number in (1, 2, 3)]
        answers, deadline = run / "slices" / "002-of-003" / "answers-0001.jsonl", time.monotonic() + 120
        while not (answers.exists() and answers.read_bytes().count(b"\n") > 8):
            assert time.monotonic() < deadline and tasks[1].poll() is None
            time.sleep(0.01)
        os.killpg(tasks[1].pid, signal.SIGKILL)
        killed = time.time()
        outputs = [task.communicate(timeout=120)[0] for task in tasks]
        assert [task.returncode for task in tasks] == [0, -signal.SIGKILL, 0], outputs
        assert not (run / "sft.jsonl").exists()
        again = run_here(*arguments(server, run, "--shards", "2/3"), cwd=tmp_path)
        assert again.returncode == 0, again.stderr
        assert "sft.jsonl" in again.stdout
        assert '"shard"' not in (run / "events.jsonl").read_text()  # the merge copies
        assert asked_twice(server) <= IN_FLIGHT
        assert len(server.asked_again(began, killed)) <= IN_FLIGHT
        late = fails_here(*arguments(server, run, "--shards", "1/3", "--set", "scoring.temperature=0.9"))
        assert "scoring.temperature (0.0 there, 0.9 now)" in late
    assert read_status(run).stages == read_status(plain).stages
    assert data_of(run) == data_of(plain)
    assert stages_of(run) == stages_of(plain)
    assert usage_of(run) == usage_of(plain)


def test_slices_of_a_run_that_began_without_them_in_any_order_and_twice_end_in_the_same_bytes(plain, tmp_path):
    run = tmp_path / "run"
    with model_server(tmp_path) as server:
        assert run_here(*arguments(server, run, "--until", "instructions"), cwd=tmp_path).returncode == 0
        spent = fails_here(*arguments(server, run, "--shards", "3/3", "--budget-tokens", "1000"))
        assert "raise --budget-tokens" in spent  # the instructions have taken it all
        for number in (3, 1, 1):
            done = run_here(*arguments(server, run, "--shards", f"{number}/3"), cwd=tmp_path)
            assert done.returncode == 0, done.stderr
        wrong = fails_here(*arguments(server, run, "--shards", "2/4"))
        assert "is in 3 slices: use --shards 2/3" in wrong
        other = fails_here(*arguments(server, run, "--shards", "2/3", "--set", "scoring.temperature=0.9"))
        assert "scoring.temperature" in other
        rest = run_here(*arguments(server, run), cwd=tmp_path)  # without the option: what is left, and the merge
        assert rest.returncode == 0, rest.stderr
        events = len(server.events())
        late = run_here(
            *[each for each in arguments(server, run, "--shards", "2/3") if each != "--quiet"], cwd=tmp_path
        )
        assert "is complete: nothing is left for slice 2/3" in late.stderr
        assert asked_twice(server) == 0
        assert len(server.events()) == events
    assert data_of(run) == data_of(plain)
    assert stages_of(run) == stages_of(plain)


def test_a_slice_that_comes_late_is_refused_while_the_whole_run_is_at_work(plain, tmp_path):
    run = tmp_path / "run"
    with model_server(tmp_path) as server:
        assert run_here(*arguments(server, run, "--shards", "1/3"), cwd=tmp_path).returncode == 0
        asked = len(server.events())
        whole = fork_autoif(*arguments(server, run), cwd=tmp_path)
        deadline = time.monotonic() + 120
        while len(server.events()) < asked + 8:
            assert time.monotonic() < deadline and whole.poll() is None
            time.sleep(0.01)
        os.kill(whole.pid, signal.SIGSTOP)  # so that it lasts
        late = fails_here(*arguments(server, run, "--shards", "2/3"))
        os.kill(whole.pid, signal.SIGCONT)
        assert f"is in use by pid {whole.pid} on " in late
        assert "which runs all that slices have left, slice 2/3 too: wait for it" in late
        output, _ = whole.communicate(timeout=120)
        assert whole.returncode == 0, output
        assert asked_twice(server) == 0
    assert data_of(run) == data_of(plain)


def test_a_run_that_is_complete_leaves_a_slice_nothing_and_stays_complete(plain, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(plain, run)
    (tmp_path / "queries.txt").write_text("What is a noun, and what is it good for?\n")
    with model_server(tmp_path) as server:
        done = run_here(*arguments(server, run, "--shards", "1/3"), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        other = fails_here(*arguments(server, run, "--shards", "1/3", "--queries", str(tmp_path / "queries.txt")))
        assert "inputs.queries" in other
        assert not server.events()
    assert (run / "run.json").read_bytes() == (plain / "run.json").read_bytes()
    assert (run / "events.jsonl").read_bytes() == (plain / "events.jsonl").read_bytes()


def test_a_slice_has_its_share_of_what_the_run_had_left_before_it_beside_the_answers_that_it_begins_with(tmp_path):
    usage = {"self_instruct": {"prompt_tokens": 100, "usd": 1.0}, "verification": {"prompt_tokens": 300, "usd": 3.0}}
    (tmp_path / "run.json").write_text(json.dumps({"identity": {}, "usage": usage}))
    write_plan(tmp_path, 4, leave_out=("self_instruct",))
    config = Config.model_validate({"budget": {"tokens": 1000}})
    assert share_budget(config, tmp_path, Slice(1, 4)).budget.tokens == 300 + (1000 - 400) // 4
    (tmp_path / "run.json").write_text(json.dumps({"identity": {}, "usage": {}}))
    assert share_budget(config, tmp_path, Slice(1, 4)).budget.tokens == 450


@pytest.mark.parametrize("text", ["", "3", "0/3", "4/3", "1/0", "1/10000", "-1/3", "1/3/5", "x/y", "1.5/3"])
def test_a_slice_that_cannot_be_is_refused(text):
    with pytest.raises(ConfigError, match="as in 3/100"):
        Slice.parse(text)


def test_every_shard_is_in_one_slice():
    for total in (1, 3, 7):
        slices = Slice(1, total).whole
        assert all(sum(each.has(shard) for each in slices) == 1 for shard in range(20))
        assert not any(Slice(0, total).has(shard) for shard in range(20))


def find_holder(folder):
    seen = claims._look(FolderPlace(folder))
    return None if seen.released else seen.holder


def test_a_claim_is_held_by_one_and_free_after_it(tmp_path):
    with held(tmp_path) as first:
        assert str(find_holder(tmp_path)) == f"pid {os.getpid()} on {Holder.here().host}"
        with pytest.raises(StoreError, match=f"it is in use by pid {os.getpid()}"):
            asyncio.run(Claim(tmp_path, "it").take())
    assert find_holder(tmp_path) is None
    with held(tmp_path) as second:
        assert (first.number, second.number) == (1, 2)


def test_the_claim_of_a_process_that_died_here_is_free_at_once(tmp_path):
    dead = Holder("elsewhere", 4_194_304, Holder.here().kernel, "1")
    write_claim(tmp_path, dead)
    assert Claim(tmp_path, "it").try_to_take()


def test_the_claim_of_another_machine_is_taken_over_when_it_shows_no_life(tmp_path, monkeypatch):
    write_claim(tmp_path, Holder("elsewhere", 1))
    waiting = Claim(tmp_path, "it")
    assert not waiting.try_to_take()
    monkeypatch.setattr(claims, "STALE_S", 0.2)
    monkeypatch.setattr(claims, "BEAT_S", 0.1)
    with (tmp_path / "claim-0001").open("a") as file:
        file.write("\n")
    assert not waiting.try_to_take()
    asyncio.run(waiting.take())
    assert waiting.number == 2
    waiting.release()


def test_a_holder_learns_that_another_has_taken_over(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "BEAT_S", 0.02)
    lost = []
    mine = Claim(tmp_path, "it")
    mine.on_lost = lambda: lost.append(True)
    assert mine.try_to_take()
    write_claim(tmp_path, Holder("elsewhere", 1), number=2)
    deadline = time.monotonic() + 10
    while not lost and time.monotonic() < deadline:
        time.sleep(0.01)
    mine.release()
    assert lost == [True]
    assert str(find_holder(tmp_path)) == "pid 1 on elsewhere"


def test_a_journal_gives_back_what_it_was_given_and_leaves_out_a_line_that_a_kill_has_cut(tmp_path):
    rows = [CompletionRow(f"{number:032x}", 0, "ü\n", "stop", 1, 2, "", "scoring", 1, 0) for number in range(3)]
    journal = Journal(tmp_path / "answers-0001.jsonl")
    journal.append(rows[:1])
    journal.append(rows[1:])
    journal.close()
    path = tmp_path / "answers-0001.jsonl"
    assert list(read_journal(path)) == rows
    path.write_bytes(path.read_bytes()[:-5])
    with closing(Journal(path)) as journal:  # goes on behind the last whole line
        journal.append(rows[2:])
    assert list(read_journal(path)) == rows
    path.write_bytes(path.read_bytes()[:-5])
    with CompletionCache(tmp_path / "completions.sqlite") as cache:
        import_journals([path], cache)
        assert [row.key for row in cache.rows()] == [row.key for row in rows[:2]]
    path.write_bytes(b"[\n" + path.read_bytes())
    with pytest.raises(StoreError, match="line 1 is damaged"):
        list(read_journal(path))


def usage_of(run):
    return json.loads((run / "run.json").read_text())["usage"]


def write_claim(folder, holder, number=1):
    line = json.dumps({"host": holder.host, "pid": holder.pid, "kernel": holder.kernel, "started": holder.started})
    (folder / f"claim-{number:04d}").write_text(line + "\n")


def test_a_slice_of_other_settings_counts_as_not_begun(tmp_path):
    first = Slice(1, 1)
    manifest = {"status": "complete", "slice": {"until": "queries"}, "identity": {"seed": 1, "inputs.queries": "q"}}
    first.folder(tmp_path).mkdir(parents=True)
    (first.folder(tmp_path) / "run.json").write_text(json.dumps(manifest))
    for whole, complete in (({"seed": 1}, True), ({"seed": 1, "inputs.queries": "r"}, False), ({"seed": 2}, False)):
        (tmp_path / "run.json").write_text(json.dumps({"identity": whole}))
        assert is_complete(tmp_path, first, "queries") == complete


def test_the_answers_of_a_whole_run_are_in_its_file_at_the_end_and_in_a_journal_until_then(tmp_path):
    rows = [CompletionRow(f"{number:032x}", 0, "so", "stop", 1, 2, "", "scoring", 1, 0) for number in range(3)]
    with RunFolder(tmp_path) as folder:
        with CompletionCache(folder.completions) as cache:  # of a run before it was in slices
            cache.insert(rows[:1])
        with closing(Journal(tmp_path / "slices" / "whole-0001.jsonl")) as journal:  # of a process that was killed
            journal.append(rows[1:2])
        with open_answers(folder, 2, tmp_path) as (database, journal_path):
            with closing(Journal(journal_path)) as journal, CompletionCache(database, journal.append) as cache:
                cache.insert(rows[2:])
            assert list(read_journal(tmp_path / "slices" / "whole-0002.jsonl")) == rows[2:]
            assert tmp_path not in database.parents
        with CompletionCache(folder.completions) as cache:
            assert list(cache.rows()) == rows
        assert not list((tmp_path / "slices").iterdir())


class Stopped(BaseException):
    """A kill, as far as a process can do it to itself."""


def write_and_die(path, rows):
    """Write a database whose last row is in the log alone, as a kill leaves it."""
    with CompletionCache(path) as cache:
        cache.insert(rows[:-1])
        cache.empty_log()
        cache.insert(rows[-1:])
        left = {name: path.with_name(name).read_bytes() for name in (path.name, f"{path.name}-wal")}
    for name, content in left.items():
        path.with_name(name).write_bytes(content)


def test_wherever_a_merge_is_stopped_as_it_writes_the_answers_all_are_there(tmp_path, monkeypatch):
    def pass_on(whole, left):
        def call(*given, **options):
            left[0] -= 1
            if left[0] == 0:
                raise Stopped
            return whole(*given, **options)

        return call

    drawn = random.Random(0)
    rows = [
        CompletionRow(f"{drawn.getrandbits(128):032x}", 0, str(drawn.random()), "stop", 1, 2, "", "scoring", 1, 0)
        for _ in range(900)
    ]
    count, came = 0, True
    while came:
        count, left = count + 1, [count + 1]
        run = tmp_path / f"{count}"
        (run / "slices").mkdir(parents=True)
        write_and_die(run / "completions.sqlite", rows[:300])
        with closing(Journal(run / "slices" / "whole-0001.jsonl")) as journal:
            journal.append(rows[300:])
        with RunFolder(run) as folder, monkeypatch.context() as patch, suppress(Stopped):
            for name in ("replace", "unlink"):
                patch.setattr(Path, name, pass_on(getattr(Path, name), left))
            with open_answers(folder, 2, run):
                pass
        came = left[0] <= 0
        with (
            RunFolder(run) as folder,
            open_answers(folder, 3, run) as (database, _),
            CompletionCache(database) as cache,
        ):
            assert [*cache.rows()] == sorted(rows), count
        shutil.rmtree(run)
    assert count > 5


def test_an_answer_to_what_was_refused_before_is_found_after_a_kill_and_both_count_as_spent(tmp_path):
    refused = CompletionRow("1" * 32, 0, "", "refused", 1, 0, "", "scoring", 1, 0)
    answered = refused._replace(text="so", finish_reason="stop", completion_tokens=2)
    still = refused._replace(key="2" * 32)
    with RunFolder(tmp_path) as folder:
        with CompletionCache(folder.completions) as cache:
            cache.insert([still, refused])
        with closing(Journal(tmp_path / "slices" / "whole-0001.jsonl")) as journal:  # of --retry-refused, killed
            journal.append([answered, refused])
        with open_answers(folder, 2, tmp_path) as (database, _), CompletionCache(database) as cache:
            assert list(cache.rows()) == [answered, still]
            assert (cache.total().requests, cache.total().completion_tokens) == (3, 2)


def test_a_refusal_that_is_asked_again_stays_forgotten_after_a_kill_at_any_point_of_the_merge(tmp_path, monkeypatch):
    refused = CompletionRow("1" * 32, 0, "", "refused", 1, 0, "", "scoring", 1, 0)

    def stop(path, **options):
        raise Stopped

    for number, name in enumerate(("unlink", "replace")):
        run = tmp_path / str(number)
        with RunFolder(run) as folder:
            with closing(Journal(run / "slices" / "whole-0001.jsonl")) as journal:
                journal.append([refused])
            with suppress(Stopped), monkeypatch.context() as patch, open_answers(folder, 2, run) as (database, _):
                with CompletionCache(database) as cache:
                    assert cache.forget_refused() == 1
                whole = getattr(Path, name)
                patch.setattr(
                    Path,
                    name,
                    lambda path, *given, whole=whole, **options: (
                        stop(path) if path.name == "whole-0001.jsonl" else whole(path, *given, **options)
                    ),
                )
            with open_answers(folder, 3, run) as (database, _), CompletionCache(database) as cache:
                assert not [*cache.rows()]
                assert cache.total().requests == 1


def test_a_slice_keeps_the_note_of_batches_whose_answers_are_stored(tmp_path):
    with RunFolder(tmp_path / "slices" / "001-of-002") as folder:
        with open_answers(folder, 1, tmp_path) as (database, _), CompletionCache(database) as cache:
            cache.note_collected("batch_1")
        with open_answers(folder, 2, tmp_path) as (database, _), CompletionCache(database) as cache:
            assert cache.collected() == {"batch_1"}


def test_answers_that_a_writer_still_has_open_are_in_the_file_of_the_run(tmp_path):
    row = CompletionRow("1" * 32, 0, "so", "stop", 1, 2, "", "scoring", 1, 0)
    with RunFolder(tmp_path) as folder:
        with open_answers(folder, 1, tmp_path) as (database, _):
            writer = CompletionCache(database)  # of a worker that is about to end
            writer.insert([row])
        writer.close()
        with CompletionCache(folder.completions) as cache:
            assert list(cache.rows()) == [row]


def test_a_run_in_a_folder_whose_name_is_that_of_slices_has_its_answers_in_its_file(tmp_path):
    run = tmp_path / "slices" / "first"
    with RunFolder(run) as folder:
        with open_answers(folder, 1, run) as (_, journal):
            assert journal == run / "slices" / "whole-0001.jsonl"
        assert folder.completions.exists()


def test_a_task_killed_while_it_writes_the_instructions_loses_no_answer(tmp_path):
    run = tmp_path / "run"
    with model_server(tmp_path) as server:
        server.hold(1)  # else it may be done before it is killed
        began = time.time()
        task = fork_autoif(*arguments(server, run, "--shards", "1/2"), cwd=tmp_path)
        answers, deadline = run / "slices" / "whole-0001.jsonl", time.monotonic() + 120
        while not (answers.exists() and answers.read_bytes().count(b"\n") > 0):
            assert time.monotonic() < deadline and task.poll() is None
            time.sleep(0.005)
        os.killpg(task.pid, signal.SIGKILL)
        killed = time.time()
        task.communicate()
        server.release()
        assert not (run / "slices" / "plan.json").exists()
        assert run_here(*arguments(server, run, "--shards", "2/2"), cwd=tmp_path).returncode == 0
        assert len(server.asked_again(began, killed)) <= IN_FLIGHT


@pytest.mark.parametrize("name", ["slices/001-of-002", "slices/claim-0001"])
def test_a_slice_that_leads_elsewhere_is_refused_before_it_is_claimed(tmp_path, name):
    (tmp_path / "mine").mkdir()
    link = tmp_path / "run" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "mine")
    said = fails_here("run", "quickstart", "--recorded", "--shards", "1/2", "-o", tmp_path / "run")
    assert "is a symbolic link" in said
    assert [*(tmp_path / "mine").iterdir()] == []
    assert [each.name for each in link.parent.iterdir()] == [link.name]
