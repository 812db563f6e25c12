"""The completion cache: what is stored, for whom, at what price, and what happens to a file that isn't right."""

import json
import multiprocessing
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from autoif.errors import StoreError
from autoif.models import answer_rows, answer_tables
from autoif.models.cache import CompletionCache, CompletionRow, Usage, request_key
from autoif.models.disks import find_network_disk
from autoif.models.requests import Completion, Request

DATA = Path(__file__).parent / "data"
REQUEST = Request("writer", "verification", messages=(("user", "Write a function."),), samples=8, seed=3)


def key_of(name: str) -> str:
    """Return a key that belongs to a short name."""
    return "6b" * 16 if name == "k" else name.encode().hex().rjust(32, "0")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "completions.sqlite"


def answer(text: str = "yes", **fields: object) -> Completion:
    return Completion(text=text, finish_reason="stop", **fields)  # type: ignore[arg-type]


def store(cache: CompletionCache, key: str, completions: dict[int, Completion], usd: float = 0.0) -> int:
    return cache.insert(answer_rows.list_rows(key, completions, stage=REQUEST.stage, usd=usd))


def test_an_answer_comes_back_as_it_was_stored(path: Path) -> None:
    stored = Completion("naïve\x00 – 日本語 🙂\n", "length", 12, 34, (("A", -0.1), (" B", -2.302585092994046)))
    with CompletionCache(path) as cache:
        store(cache, key_of("k"), {0: stored})
        assert cache.get(key_of("k"), 1) == {0: stored}
    with CompletionCache(path) as reopened:
        assert reopened.get(key_of("k"), 1) == {0: stored}


@pytest.mark.parametrize("module", [answer_rows, answer_tables])
def test_statements_number_no_parameters(module: ModuleType) -> None:
    """Python 3.12.0 to 3.12.3 warns of each numbered parameter, at each answer that is read or stored."""
    statements = [value for value in vars(module).values() if isinstance(value, str)]
    assert any("?" in statement for statement in statements)
    assert not [statement for statement in statements if re.search(r"\?\d", statement)]


def test_only_samples_below_the_asked_number_come_back(path: Path) -> None:
    with CompletionCache(path) as cache:
        store(cache, key_of("k"), {index: answer(str(index)) for index in (0, 1, 5)})
        assert sorted(cache.get(key_of("k"), 2)) == [0, 1]
        assert sorted(cache.get(key_of("k"), 8)) == [0, 1, 5]
        assert cache.get(key_of("other"), 8) == {}


def test_the_first_answer_stays_and_is_paid_once(path: Path) -> None:
    with CompletionCache(path) as cache:
        store(cache, key_of("k"), {0: answer("first", prompt_tokens=1)}, usd=0.5)
        again = {0: answer("second", prompt_tokens=1)}
        assert store(cache, key_of("k"), again, usd=0.5) == 0
        assert cache.pick(key_of("k"), again)[0].text == "first"
        assert cache.get(key_of("k"), 1)[0].text == "first"
        assert cache.total() == Usage(requests=1, completions=1, prompt_tokens=1, usd=0.5)


def test_usage_is_kept_by_stage_and_adds_up(path: Path) -> None:
    with CompletionCache(path) as cache:
        two = {0: answer(prompt_tokens=10, completion_tokens=3), 1: answer(completion_tokens=4)}
        store(cache, key_of("a"), two, usd=0.1)
        store(cache, key_of("b"), {0: answer(prompt_tokens=5, completion_tokens=1)}, usd=0.2)
        scored = {7: answer(prompt_tokens=1, completion_tokens=1)}
        cache.insert(answer_rows.list_rows(key_of("c"), scored, stage="scoring", usd=0.4))
    with CompletionCache(path) as cache:
        assert cache.usage() == {
            "scoring": Usage(requests=1, completions=1, prompt_tokens=1, completion_tokens=1, usd=0.4),
            "verification": Usage(requests=2, completions=3, prompt_tokens=15, completion_tokens=8, usd=0.3),
        }
        assert cache.total().tokens == 25
        assert cache.total().usd == pytest.approx(0.7)


def test_usage_adds_up_over_many_answers_deletions_and_processes(path: Path) -> None:
    one = {0: answer(prompt_tokens=2)}
    refused = {0: Completion("", "refused", prompt_tokens=3)}
    with CompletionCache(path) as cache, CompletionCache(path) as other:
        for number in range(700):
            store(cache if number % 3 else other, f"{number:032x}", one, usd=1e-9)
        store(other, f"{700:032x}", refused)
        assert other.forget_refused() == 1
        for number in range(701, 1400):
            store(cache, f"{number:032x}", one, usd=1e-9)
        expected = Usage(requests=1400, completions=1400, prompt_tokens=2 * 1399 + 3, usd=1399 / 1e9)
        assert cache.total() == other.total() == expected
    with CompletionCache(path) as cache:
        assert cache.total() == expected


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


def test_an_answer_survives_a_kill_right_after_it_was_stored(path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from autoif.models.answer_rows import list_rows; from autoif.models.cache import CompletionCache\n"
        "from autoif.models.requests import Completion\n"
        "cache = CompletionCache(Path(sys.argv[1]))\n"
        "cache.insert(list_rows('6b' * 16, {0: Completion('kept', 'stop')}, stage='s', usd=0.0))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == -signal.SIGKILL
    with CompletionCache(path) as cache:
        assert cache.get(key_of("k"), 1)[0].text == "kept"


def _store_many(path: Path, worker: int) -> None:
    with CompletionCache(path) as cache:
        for number in range(100):
            store(cache, key_of(f"{worker}-{number}"), {0: answer(prompt_tokens=1)})
            store(cache, key_of(f"shared-{number}"), {0: answer(str(worker))})


def test_several_processes_create_and_fill_one_cache(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_store_many, args=(path, number)) for number in range(3)]
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
    with pytest.raises(StoreError, match=r"completions\.sqlite is damaged .* bring it back from a copy, or move it"):
        CompletionCache(path)


def test_a_file_that_another_process_lengthens_as_it_is_opened_is_not_taken_for_a_cut_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    CompletionCache(path).close()
    exists, writers = Path.exists, list[CompletionCache]()

    def lengthen(self: Path) -> bool:
        found = exists(self)
        if self.name.endswith("-wal") and not found:  # by its log, of which nothing has been seen then
            monkeypatch.undo()
            writers.append(CompletionCache(path))
            long = {sample: answer(random.randbytes(2_000).hex()) for sample in range(99)}
            store(writers[0], key_of("k"), long)
        return found

    monkeypatch.setattr(Path, "exists", lengthen)
    with CompletionCache(path) as cache:
        assert cache.total().completions == 99
    writers[0].close()


@pytest.mark.parametrize("kept", [0.9, 0.5, 0.1])
def test_a_truncated_file_is_refused(path: Path, kept: float) -> None:
    with CompletionCache(path) as cache:
        store(cache, key_of("k"), {index: answer("x" * 3000) for index in range(100)})
    os.truncate(path, int(path.stat().st_size * kept))
    with pytest.raises(StoreError, match="is damaged"):
        CompletionCache(path)


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_damage_in_the_middle_is_found_when_it_is_read(path: Path, place: float) -> None:
    with CompletionCache(path) as cache:
        many = {index: answer(random.Random(index).randbytes(2000).hex()) for index in range(100)}
        store(cache, key_of("k"), many)
    content = bytearray(path.read_bytes())
    page = int(len(content) * place) // 4096 * 4096
    content[page : page + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged"), CompletionCache(path) as cache:
        cache.get(key_of("k"), 100)
    with pytest.raises(StoreError, match="is damaged"), CompletionCache(path) as cache:
        list(cache.rows())


def test_opening_reads_a_few_pages_of_a_large_file(path: Path) -> None:
    text = random.Random(0).randbytes(2000).hex()
    rows = [CompletionRow(f"{number:08x}" * 4, 0, text, "stop", 1, 1, "", "scoring", 1, 0) for number in range(2000)]
    with CompletionCache(path) as cache:
        cache.insert(rows)
    assert path.stat().st_size > 2_000_000

    def read() -> int:
        return int(Path("/proc/self/io").read_text().split()[1])

    before = read()
    with CompletionCache(path) as cache:
        assert cache.total().completions == 2000
    assert read() - before < 200_000


def test_texts_of_a_stage_are_packed_with_what_they_have_in_common(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_rows, "_SAMPLE_BYTES", 100_000)
    monkeypatch.setattr(answer_rows, "_DICTIONARY_BYTES", 10_000)
    words = [f"{number:b}".replace("1", "lorem ").replace("0", "ipsum, ") for number in range(300)]

    def text(number: int) -> str:
        return json.dumps({"analysis": " ".join(random.Random(number).sample(words, 6)), "score": number % 10})

    def put(cache: CompletionCache, first: int) -> None:
        many = {index: answer(text(first + index), reasoning=f"{index}?") for index in range(100)}
        store(cache, f"{first:032x}", many)

    with CompletionCache(path) as cache:
        for first in range(0, 1000, 100):
            put(cache, first)
        for training in cache._rows.texts._training.values():
            training.join()
        put(cache, 1000)
        query = "SELECT dictionary, sum(length(text)) / count(*) FROM completions GROUP BY 1"
        (none, alone), (first, together) = cache._db.execute(query)
        assert (none, first) == (0, 1)
        assert together < alone * 0.7
        for first in (0, 1000):
            found = cache.get(f"{first:032x}", 100)
            assert [found[index].text for index in range(100)] == [text(first + index) for index in range(100)]
            assert found[7].reasoning == "7?"
    with CompletionCache(path) as cache:  # another process has the dictionary from the file
        put(cache, 2000)
        assert {row[0] for row in cache._db.execute("SELECT dictionary FROM completions WHERE number > 1100")} == {1}
        assert cache.get(f"{1000:032x}", 1)[0].text == text(1000)


MOUNTS = r"""22 1 8:1 / / rw - ext4 /dev/sda1 rw
31 22 0:30 / /net rw - nfs4 server:/x rw
32 22 0:31 / /net/scratch rw - xfs /dev/sdb rw
33 22 0:32 / /my\040disk rw - fuse.sshfs host:/ rw
34 22 0:33 / /containers rw - fuse.fuse-overlayfs overlay rw
35 22 0:34 / /hidden rw - ext4 /dev/sdc rw
36 35 0:35 / /hidden rw - lustre o2ib:/l rw
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/run", ""),
        ("/net/run", "nfs4"),
        ("/net/scratch/run", ""),
        ("/network/run", ""),
        ("/my disk/run", "fuse.sshfs"),
        ("/containers/run", ""),
        ("/hidden/run", "lustre"),
    ],
)
def test_a_network_disk_is_told_from_the_mounts(tmp_path: Path, place: str, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert find_network_disk(Path(place) / "completions.sqlite", mounts) == kind


def test_no_database_is_opened_on_a_network_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = path.parent.parent / "mountinfo"
    mounts.write_text(f"{MOUNTS}37 22 0:36 / {path.parent} rw - cifs //server/share rw\n")
    monkeypatch.setattr("autoif.models.disks._MOUNTS", mounts)
    with pytest.raises(StoreError, match=r"on a network's disk \(cifs\).*choose an --output on a disk of this machine"):
        CompletionCache(path)
    assert not path.exists()


def test_refused_completions_can_be_forgotten_and_odd_endings_are_counted(path: Path) -> None:
    with CompletionCache(path) as cache:
        said = "Your input was flagged."
        for key, completion in {
            "a": Completion("x", "stop"),
            "b": Completion("", "refused", detail=said),
            "c": Completion("", "refused", detail=said),
            "d": Completion("y", "unknown", detail="finish_reason null"),
        }.items():
            store(cache, key_of(key), {0: completion})
        stage = REQUEST.stage
        assert list(cache.endings()) == [(stage, "refused", said, 2), (stage, "unknown", "finish_reason null", 1)]
        assert cache.forget_refused() == 2
        assert cache.get(key_of("b"), 1) == {}
        assert cache.get(key_of("d"), 1)[0].detail == "finish_reason null"


def test_refusals_are_found_without_reading_the_other_completions(path: Path) -> None:
    statements: list[str] = []
    with CompletionCache(path) as cache:
        cache._db.set_trace_callback(statements.append)
        cache.answer_refused([])
        cache.forget_refused()
        cache._db.set_trace_callback(None)
        finding = [each for each in statements if "ending = " in each]
        plans = [cache._db.execute(f"EXPLAIN QUERY PLAN {each}").fetchall() for each in finding]
    assert len(plans) == 2
    assert all("USING INDEX by_ending" in steps[0][3] for steps in plans)


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
    with pytest.raises(StoreError, match="is of format 99, this version of autoif writes 3: use another run folder"):
        CompletionCache(path)


def test_a_full_disk_says_so_and_keeps_what_was_stored(path: Path) -> None:
    with CompletionCache(path) as cache:
        store(cache, key_of("k"), {0: answer("kept")})
        # SQLite's own limit fails with the very code of a full disk.
        cache._db.execute("PRAGMA max_page_count = 8")
        with pytest.raises(StoreError, match=r"no space left for .*: free some, then run the same command again"):
            store(cache, key_of("l"), {0: answer(random.Random(0).randbytes(100_000).hex()), 1: answer("y")})
        assert cache.get(key_of("l"), 2) == {}
        cache._db.execute("PRAGMA max_page_count = 1000000")
        store(cache, key_of("m"), {0: answer("again")})
    with CompletionCache(path) as cache:
        assert {row[2] for row in cache.rows()} == {"kept", "again"}


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
            store(cache, key_of("k"), {0: answer()})
        other.execute("ROLLBACK")
        other.close()
