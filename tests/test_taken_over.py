"""Claims that another process takes over, holders that are gone, and what their files are worth then."""

import asyncio
import errno
import json
import shutil
import time
from contextlib import closing
from dataclasses import asdict

import pytest
from rich.console import Console

from autoif.config import load_config
from autoif.errors import StoreError
from autoif.models.cache import CompletionCache, CompletionRow
from autoif.models.journal import Journal, ShardJournals, open_answers, read_journal
from autoif.models.requests import ASKED_FOR, Completion, Request
from autoif.models.stored_answers import StoredAnswers
from autoif.report.progress import Progress
from autoif.runs import claims, sliced_run
from autoif.runs.claims import Claim, Holder, holding
from autoif.runs.events import Events, recording_events
from autoif.runs.orchestration import RunOptions, _accounting
from autoif.runs.run_folder import RunFolder
from support.command import run_here
from support.processes import SHORT_REPLAY

ROWS = [CompletionRow(f"{number:032x}", 0, "so", "stop", 1, 2, "", "scoring", 1, 0) for number in range(3)]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(claims, "BEAT_S", 0.05)
    monkeypatch.setattr(claims, "STALE_S", 0.4)


def write_claim(folder, number):
    """Write the claim of a process on another machine, which shows no sign of life."""
    (folder / f"claim-{number:04d}").write_text(json.dumps(asdict(Holder("elsewhere", 1))) + "\n")


def test_a_block_stops_when_its_claim_is_taken_over_whether_it_was_taken_before_or_not(tmp_path):
    async def hold(claim):
        async with holding(claim):
            write_claim(tmp_path, claim.number + 1)
            await asyncio.sleep(60)

    (taken := Claim(tmp_path, "it")).try_to_take()
    for claim in (taken, Claim(tmp_path, "it")):
        with pytest.raises(StoreError, match="it was taken over, as this process showed no sign of life"):
            asyncio.run(asyncio.wait_for(hold(claim), 30))


def test_a_whole_run_stops_when_another_process_has_taken_it_over(tmp_path, monkeypatch):
    async def make_for_long(config, options, progress):
        write_claim(tmp_path / "slices", options.turn + 1)
        await asyncio.sleep(60)

    monkeypatch.setattr(sliced_run, "make_data", make_for_long)
    (tmp_path / "slices").mkdir()
    made = sliced_run.make_run(load_config("quickstart", []), RunOptions(tmp_path), Progress(Console(), quiet=True))
    with pytest.raises(StoreError, match="was taken over"):
        asyncio.run(asyncio.wait_for(made, 30))


def test_who_was_overtaken_leaves_its_answers_in_its_journal_and_the_file_to_the_other(tmp_path):
    with RunFolder(tmp_path) as folder:
        with CompletionCache(folder.completions) as cache:
            cache.insert(ROWS[:2])  # of the other, which was quicker
        with open_answers(folder, 1, tmp_path) as (database, journal_path):
            with closing(Journal(journal_path)) as journal, CompletionCache(database, journal.append) as cache:
                cache.insert(ROWS[2:])
            with CompletionCache(folder.completions) as cache:
                before = list(cache.rows())
            write_claim(tmp_path / "slices", 2)
        with CompletionCache(folder.completions) as cache:
            assert list(cache.rows()) == before
        assert list(read_journal(journal_path)) == ROWS[2:]


def test_who_was_overtaken_leaves_the_manifest_and_the_events_of_the_other_as_they_are(tmp_path):
    (tmp_path / "slices").mkdir()
    record = {"identity": {}, "seconds": 0.0}
    options = RunOptions(tmp_path, turn=1)
    with RunFolder(tmp_path) as folder:
        events = Events(folder, lambda: options.is_overtaken)
        for status in ("interrupted", "complete"):
            counted = _accounting(folder, folder.completions, record, {}, options)
            with pytest.raises(StoreError), recording_events(events, dict), counted:
                raise StoreError("the disk is full, or another process has taken over")
            assert folder.read_manifest()["status"] == status
            assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 2
            write_claim(tmp_path / "slices", 2)
            folder.write_manifest({**record, "status": "complete"})  # by the other


def test_the_last_slice_merges_where_whoever_began_to_merge_is_gone(tmp_path, monkeypatch):
    make_data = sliced_run.make_data

    async def make_and_meet_a_claim(config, options, progress):
        await make_data(config, options, progress)
        if options.slice and options.slice.number:
            write_claim(options.run / "slices", 2)

    monkeypatch.setattr(sliced_run, "make_data", make_and_meet_a_claim)
    done = run_here(*SHORT_REPLAY, "-o", "run", "--shards", "1/1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "sft.jsonl").exists(), done.stderr
    assert (tmp_path / "run" / "slices" / "claim-0003").exists()


def test_who_waits_for_a_sign_of_life_may_be_stopped_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "STALE_S", 60.0)
    write_claim(tmp_path, 1)

    async def wait():
        async with asyncio.timeout(1):
            await Claim(tmp_path, "it").take()

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(wait())
    assert time.monotonic() - began < 30


def test_a_journal_of_a_shard_goes_on_behind_a_line_that_a_kill_has_cut(tmp_path):
    path = tmp_path / f"{ASKED_FOR.get()}.jsonl"
    ShardJournals(tmp_path).append(ROWS[:2])
    path.write_bytes(path.read_bytes()[:-5])
    again = ShardJournals(tmp_path)
    again.append(ROWS[1:2])
    again.append(ROWS[2:])
    assert list(read_journal(path)) == ROWS


def test_an_answer_that_cannot_be_stored_for_whatever_reason_is_told_to_who_waits(tmp_path):
    huge = Completion("so", "stop", 1 << 70, 1)  # as a server may count

    async def store():
        async with StoredAnswers(tmp_path / "completions.sqlite") as answers:
            request = Request("writer", "scoring", prompt="x")
            with pytest.raises(OverflowError):
                await asyncio.wait_for(answers.store("0" * 32, {0: huge}, request=request, usd=0.0), 10)

    asyncio.run(store())


def test_a_disk_for_temporary_files_that_is_full_is_named(tmp_path, monkeypatch):
    def fill(source, place):
        raise OSError(errno.EIO, "Input/output error", str(place))

    with RunFolder(tmp_path) as folder:
        with CompletionCache(folder.completions) as cache:
            cache.insert(ROWS)
        monkeypatch.setattr(shutil, "copyfile", fill)
        named = pytest.raises(StoreError, match=r"autoif-.*/completions\.sqlite can't be written or read")
        with named, open_answers(folder, 1, tmp_path):
            pass
