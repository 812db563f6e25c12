"""The completion cache: what is stored, for whom, at what price, and what happens to a file that isn't right."""

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from autoif.errors import StoreError
from autoif.models.cache import CompletionCache, Usage, request_key
from autoif.models.requests import Completion, Request

REQUEST = Request("writer", "verification", messages=(("user", "Write a function."),), samples=8, seed=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "completions.sqlite"


def answer(text: str = "yes", **fields: object) -> Completion:
    return Completion(text=text, finish_reason="stop", **fields)  # type: ignore[arg-type]


def test_an_answer_comes_back_as_it_was_put(path: Path) -> None:
    stored = Completion("naïve\x00 – 日本語 🙂\n", "length", 12, 34, (("A", -0.1), (" B", -2.302585092994046)))
    with CompletionCache(path) as cache:
        cache.put("k", {0: stored}, request=REQUEST, usd=0.0)
        assert cache.get("k", 1) == {0: stored}
    with CompletionCache(path) as reopened:
        assert reopened.get("k", 1) == {0: stored}


def test_only_samples_below_the_asked_number_come_back(path: Path) -> None:
    with CompletionCache(path) as cache:
        cache.put("k", {index: answer(str(index)) for index in (0, 1, 5)}, request=REQUEST, usd=0.0)
        assert sorted(cache.get("k", 2)) == [0, 1]
        assert sorted(cache.get("k", 8)) == [0, 1, 5]
        assert cache.get("other", 8) == {}


def test_the_first_answer_stays_and_is_paid_once(path: Path) -> None:
    with CompletionCache(path) as cache:
        cache.put("k", {0: answer("first", prompt_tokens=1)}, request=REQUEST, usd=0.5)
        cache.put("k", {0: answer("second", prompt_tokens=1)}, request=REQUEST, usd=0.5)
        assert cache.get("k", 1)[0].text == "first"
        assert cache.total() == Usage(requests=1, completions=1, prompt_tokens=1, usd=0.5)


def test_usage_is_kept_by_stage_and_adds_up(path: Path) -> None:
    scoring = replace(REQUEST, stage="scoring")
    with CompletionCache(path) as cache:
        two = {0: answer(prompt_tokens=10, completion_tokens=3), 1: answer(completion_tokens=4)}
        cache.put("a", two, request=REQUEST, usd=0.1)
        cache.put("b", {0: answer(prompt_tokens=5, completion_tokens=1)}, request=REQUEST, usd=0.2)
        cache.put("c", {7: answer(prompt_tokens=1, completion_tokens=1)}, request=scoring, usd=0.4)
    with CompletionCache(path) as cache:
        assert cache.usage() == {
            "scoring": Usage(requests=1, completions=1, prompt_tokens=1, completion_tokens=1, usd=0.4),
            "verification": Usage(requests=2, completions=3, prompt_tokens=15, completion_tokens=8, usd=0.3),
        }
        assert cache.total().tokens == 25
        assert cache.total().usd == pytest.approx(0.7)


def test_everything_that_shapes_the_answer_is_in_the_key() -> None:
    changes: list[dict[str, object]] = [
        {"messages": (("system", "Write a function."),)},
        {"messages": (), "prompt": "Write a function."},
        {"temperature": 0.1},
        {"top_p": 0.9},
        {"max_tokens": 513},
        {"seed": 4},
        {"stop": ("\n",)},
        {"json_schema": {"type": "object"}},
        {"top_logprobs": 1},
    ]
    keys = [request_key(replace(REQUEST, **change), "m") for change in changes]  # type: ignore[arg-type]
    keys += [request_key(REQUEST, "m"), request_key(REQUEST, "m@2")]
    assert len(set(keys)) == len(keys)


def test_role_stage_and_number_of_samples_are_not_in_the_key() -> None:
    other = replace(REQUEST, role="judge", stage="scoring", samples=1)
    assert request_key(other, "m") == request_key(REQUEST, "m")


def test_the_order_of_a_schemas_properties_is_in_the_key() -> None:
    one, other = {"a": {}, "b": {}}, {"b": {}, "a": {}}
    keys = {request_key(replace(REQUEST, json_schema={"properties": each}), "m") for each in (one, other)}
    assert len(keys) == 2


def test_the_key_does_not_change_between_versions() -> None:
    assert request_key(REQUEST, "m") == "4ee0dae6229f8bb2a33347af8f6e975e"


def test_an_answer_survives_a_kill_right_after_it_was_put(path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from autoif.models.cache import CompletionCache; from autoif.models.requests import Completion, Request\n"
        "cache = CompletionCache(Path(sys.argv[1]))\n"
        "cache.put('k', {0: Completion('kept', 'stop')}, request=Request('writer', 's'), usd=0.0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == -signal.SIGKILL
    with CompletionCache(path) as cache:
        assert cache.get("k", 1)[0].text == "kept"


def _put_many(path: Path, worker: int) -> None:
    with CompletionCache(path) as cache:
        for number in range(100):
            cache.put(f"{worker}-{number}", {0: answer(prompt_tokens=1)}, request=REQUEST, usd=0.0)
            cache.put(f"shared-{number}", {0: answer(str(worker))}, request=REQUEST, usd=0.0)


def test_several_processes_create_and_fill_one_cache(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_put_many, args=(path, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    with CompletionCache(path) as cache:
        assert cache.total() == Usage(requests=400, completions=400, prompt_tokens=300)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, " * 1000)
    with pytest.raises(StoreError, match=r"completions\.sqlite is damaged .* bring it back from a copy, or delete it"):
        CompletionCache(path)


@pytest.mark.parametrize("kept", [0.9, 0.5, 0.1])
def test_a_truncated_file_is_refused(path: Path, kept: float) -> None:
    with CompletionCache(path) as cache:
        cache.put("k", {index: answer("x" * 3000) for index in range(100)}, request=REQUEST, usd=0.0)
    os.truncate(path, int(path.stat().st_size * kept))
    with pytest.raises(StoreError, match="is damaged"):
        CompletionCache(path)


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_a_file_with_damage_in_the_middle_is_refused(path: Path, place: float) -> None:
    with CompletionCache(path) as cache:
        cache.put("k", {index: answer("x" * 3000) for index in range(100)}, request=REQUEST, usd=0.0)
    content = bytearray(path.read_bytes())
    page = int(len(content) * place) // 4096 * 4096
    content[page : page + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged"):
        CompletionCache(path)


def test_refused_completions_can_be_forgotten_and_odd_endings_are_counted(path: Path) -> None:
    with CompletionCache(path) as cache:
        said = "Your input was flagged."
        for key, completion in {
            "a": Completion("x", "stop"),
            "b": Completion("", "refused", detail=said),
            "c": Completion("", "refused", detail=said),
            "d": Completion("y", "unknown", detail="finish_reason null"),
        }.items():
            cache.put(key, {0: completion}, request=REQUEST, usd=0.0)
        stage = REQUEST.stage
        assert list(cache.endings()) == [(stage, "refused", said, 2), (stage, "unknown", "finish_reason null", 1)]
        assert cache.forget_refused() == 2
        assert cache.get("b", 1) == {}
        assert cache.get("d", 1)[0].detail == "finish_reason null"


def test_a_note_is_kept_once(path: Path) -> None:
    with CompletionCache(path) as cache:
        for sentence in ("seed is left out", "top_p is left out", "seed is left out"):
            cache.note(sentence)
    with CompletionCache(path) as cache:
        assert cache.notes() == ["seed is left out", "top_p is left out"]


def test_a_file_of_another_format_is_refused(path: Path) -> None:
    CompletionCache(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="is of format 99, this version of autoif writes 2: use another run folder"):
        CompletionCache(path)


def test_a_full_disk_says_so_and_keeps_what_was_stored(path: Path) -> None:
    with CompletionCache(path) as cache:
        cache.put("k", {0: answer("kept")}, request=REQUEST, usd=0.0)
        # SQLite's own limit fails with the very code of a full disk.
        cache._db.execute("PRAGMA max_page_count = 8")
        with pytest.raises(StoreError, match=r"no space left for .*; free some and run the same command again"):
            cache.put("l", {0: answer("x" * 100_000), 1: answer("y")}, request=REQUEST, usd=0.0)
        assert cache.get("l", 2) == {}
        cache._db.execute("PRAGMA max_page_count = 1000000")
        cache.put("m", {0: answer("again")}, request=REQUEST, usd=0.0)
    with CompletionCache(path) as cache:
        assert [row[2] for row in cache.rows()] == ["kept", "again"]


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(StoreError, match=r"can't be used .* check that the folder is there"):
        CompletionCache(tmp_path / "run" / "completions.sqlite")


def test_a_locked_cache_is_named(path: Path) -> None:
    with CompletionCache(path) as cache:
        cache._db.execute("PRAGMA busy_timeout = 50")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="not locked"):
            cache.put("k", {0: answer()}, request=REQUEST, usd=0.0)
        other.execute("ROLLBACK")
        other.close()
