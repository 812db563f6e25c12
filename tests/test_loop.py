"""The event loop of a run never stands still for long: what is large is parsed, packed, stored and synced elsewhere.

Time is that of the loop's own thread where it is measured, so that a busy machine changes nothing.
"""

import asyncio
import gc
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from asyncio import base_events
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from autoif.errors import StoreError
from autoif.models.answer_rows import list_rows
from autoif.models.cache import CompletionCache, request_key
from autoif.models.endpoint import Endpoint
from autoif.models.fleet import Call, Fleet
from autoif.models.requests import Completion, Request
from autoif.models.stored_answers import StoredAnswers
from autoif.models.transport import Transport
from autoif.runs import whole_files
from support.habit_runs import Runner
from support.habit_server import Asked, HabitServer, honest
from support.stub_server import StubServer, says

LONGEST_S = 0.020
REQUEST = Request("responder", "responses", messages=(("user", "Say something."),))
KEY = request_key(REQUEST, "m")
SENTENCE = "The keeper trims the lamp, counts the ships that pass in the fog, and writes all of it down.\n"
CHANCE = random.Random(3)
TEXT = "\n".join(" ".join(CHANCE.choices(SENTENCE.split(), k=12)) + f" {number}." for number in range(120))
"""Some eight thousand letters in which nothing is repeated."""


class Watch:
    """What the event loop did while requests were in flight."""

    def __init__(self) -> None:
        self.turns = list[float]()
        """CPU time that each turn of the loop took its thread."""
        self.synced = Counter[bool]()
        """How often something waited for the disk, by whether that held up the loop."""


@contextmanager
def watching() -> Iterator[Watch]:
    """Note what the loop of this thread does; put everything back at the end."""
    watch, in_flight, loop_thread = Watch(), 0, threading.get_ident()
    run_once, attempt, fsync, fdatasync = (
        base_events.BaseEventLoop._run_once, Transport.attempt, os.fsync, os.fdatasync,
    )  # fmt: skip

    def timed(loop: Any) -> None:
        began = time.thread_time()
        run_once(loop)
        if in_flight and threading.get_ident() == loop_thread:
            watch.turns.append(time.thread_time() - began)

    async def counted(*arguments: Any) -> Any:
        nonlocal in_flight
        in_flight += 1
        try:
            return await attempt(*arguments)
        finally:
            in_flight -= 1

    def noting(sync: Any) -> Any:
        def note(file: int) -> None:
            watch.synced[bool(in_flight) and threading.get_ident() == loop_thread] += 1
            sync(file)

        return note

    gc.collect()
    gc.freeze()  # what the tests before this one left in memory is no part of a run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base_events.BaseEventLoop, "_run_once", timed)
        patch.setattr(Transport, "attempt", counted)
        patch.setattr(os, "fsync", noting(fsync))
        patch.setattr(os, "fdatasync", noting(fdatasync))
        yield watch


def long_answers(asked: Asked) -> Any:
    """Answer as a good model would, and at length where that changes no verdict."""
    answer = honest(asked)
    if asked.stage == "responses":
        for choice in answer["choices"]:
            choice["message"]["content"] += TEXT
    return answer


def test_the_loop_of_a_run_with_many_long_answers_never_works_on_one_thing_for_20_ms_nor_waits_for_the_disk(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(whole_files, "PACKED_FROM", 100_000)
    longest = []
    with HabitServer() as server:
        for number in range(4):
            (folder := tmp_path / str(number)).mkdir()
            with watching() as watch:
                ended = Runner(server, folder)(
                    long_answers,
                    *("--set", "rejection_sampling.responses_per_prompt=8", "--set", "execution.shard_size=1"),
                )
            assert ended.code == 0, ended.output
            assert list(ended.folder.glob("06_*/kept-*.jsonl.zst"))
            assert watch.synced[False] > 20
            assert watch.synced[True] == 0
            longest.append(max(watch.turns))
    # Work on one thing that is too long comes back in each run; what a busy machine or the first imports add does not.
    assert min(longest) < LONGEST_S, longest


async def test_the_loop_turns_while_a_very_large_answer_is_read() -> None:
    said = [{"message": {"content": SENTENCE * 1000}, "finish_reason": "stop"} for _ in range(100)]
    turns, waited = 0, asyncio.Event()

    async def turn() -> None:
        nonlocal turns
        while not waited.is_set():
            turns += 1
            await asyncio.sleep(0)

    async with StubServer(default=says({"choices": said})) as server:
        fleet = Fleet(Endpoint(base_url=server.url, model="m", api_key_env=""))
        await fleet.open()
        read = list[int]()

        def note(answer: dict[str, Any]) -> int:
            read.append(turns)
            return len(answer["choices"])

        loads, before = json.loads, list[int]()

        def noted(*arguments: Any, **more: Any) -> Any:
            before.append(turns)
            return loads(*arguments, **more)

        turning = asyncio.create_task(turn())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(json, "loads", noted)
            assert await fleet.post(Call("/chat/completions", {}, lambda: None, note)) == 100
        waited.set()
        await turning
        await fleet.close()
    assert read[0] - before[-1] > 10


async def test_the_loop_turns_while_an_answer_waits_for_the_file_and_what_is_acknowledged_is_in_it(tmp_path) -> None:
    path, turns = tmp_path / "completions.sqlite", 0
    async with StoredAnswers(path) as answers:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        stores = [
            asyncio.create_task(
                answers.store(KEY, {index: Completion(f"{index}", "stop", 1, 1)}, request=REQUEST, usd=1)
            )
            for index in range(3)
        ]
        for _ in range(50):
            await asyncio.sleep(0.001)
            turns += 1
        assert answers.get(KEY, 3) == {}
        assert not any(each.done() for each in stores)
        other.execute("ROLLBACK")
        await asyncio.gather(*stores)
        assert {index: each.text for index, each in answers.get(KEY, 3).items()} == {0: "0", 1: "1", 2: "2"}
        assert (answers.total().requests, answers.total().usd) == (3, 3.0)
        other.close()


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from autoif.models.requests import Completion, Request
from autoif.models.stored_answers import StoredAnswers

async def work():
    answers = StoredAnswers(Path(sys.argv[1]))
    request = Request("responder", "responses", messages=(("user", "x"),))
    for index in range(40):
        await answers.store("a" * 32, {index: Completion(f"{index}", "stop", 1, 1)}, request=request, usd=0)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(work())
"""


def test_a_kill_right_after_an_answer_was_acknowledged_takes_nothing(tmp_path) -> None:
    path = tmp_path / "completions.sqlite"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    with CompletionCache(path) as cache:
        assert len(cache.get("a" * 32, 100)) == 40


async def test_what_comes_while_others_are_stored_is_one_transaction_and_each_gets_what_is_stored(tmp_path) -> None:
    path = tmp_path / "completions.sqlite"
    asked = {name * 32: {index: Completion(f"{name} {index}", "stop", 1, 1) for index in range(2)} for name in "abc"}
    quicker, begun = {1: Completion("quicker", "stop", 1, 1)}, []
    async with StoredAnswers(path) as answers:
        with CompletionCache(path) as other:
            other.insert(list_rows("b" * 32, quicker, stage=REQUEST.stage, usd=0.0))
        answers._writer._db.set_trace_callback(lambda each: begun.append(each) if "BEGIN" in each else None)
        tasks = [asyncio.create_task(answers.store(key, each, request=REQUEST, usd=0.5)) for key, each in asked.items()]
        await asyncio.sleep(0)
        tasks[2].cancel()
        a, b, c = await asyncio.gather(*tasks, return_exceptions=True)
        assert a == asked["a" * 32]
        assert b == {0: asked["b" * 32][0], **quicker}
        assert isinstance(c, asyncio.CancelledError)
        assert answers.get("c" * 32, 2) == asked["c" * 32]
        assert len(begun) == 1


async def test_all_that_wait_are_told_when_nothing_can_be_stored(tmp_path) -> None:
    async with StoredAnswers(tmp_path / "completions.sqlite") as answers:
        answers._writer._db.execute("DROP TABLE completions")
        stores = [
            answers.store(name * 32, {0: Completion("so", "stop", 1, 1)}, request=REQUEST, usd=0.0) for name in "ab"
        ]
        for failure in await asyncio.gather(*stores, return_exceptions=True):
            assert isinstance(failure, StoreError)


async def test_a_fault_that_nobody_foresaw_leaves_nobody_waiting(tmp_path) -> None:
    def fail(rows: object) -> None:
        raise ValueError("unforeseen")

    async with StoredAnswers(tmp_path / "completions.sqlite", fail) as answers:
        for index in range(2):
            storing = answers.store(KEY, {index: Completion("so", "stop", 1, 1)}, request=REQUEST, usd=0.0)
            with pytest.raises(ValueError, match="unforeseen"):
                await asyncio.wait_for(storing, 10)


async def test_what_waits_when_a_run_is_cancelled_is_stored_all_the_same(tmp_path) -> None:
    async with StoredAnswers(tmp_path / "completions.sqlite") as answers:
        storing = asyncio.create_task(answers.store(KEY, {0: Completion("so", "stop", 1, 1)}, request=REQUEST, usd=0))
        await asyncio.sleep(0)
        storing.cancel()
    async with StoredAnswers(tmp_path / "completions.sqlite") as answers:
        assert answers.get(KEY, 1)[0].text == "so"
