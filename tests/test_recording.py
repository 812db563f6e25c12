"""Recordings: same completions, same bytes; and a run can be replayed from them."""

import lzma
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import zstandard

from autoif.errors import StoreError
from autoif.models.answer_rows import list_rows
from autoif.models.bodies import MAX_BODY_BYTES
from autoif.models.cache import CompletionCache, CompletionRow
from autoif.models.recording import Recorded, export_recording, import_recording
from autoif.models.requests import Completion, Request

REQUEST = Request("writer", "verification")
ANSWERS = [
    (f"{number:032x}", index, Completion(f"text {number} ü\n", "stop", 3, 7, (("A", -0.25),)))
    for number in range(20)
    for index in range(2)
]


def fill(path: Path, answers: list[tuple[str, int, Completion]]) -> None:
    with CompletionCache(path) as cache:
        for key, index, completion in answers:
            cache.insert(list_rows(key, {index: completion}, stage=REQUEST.stage, usd=0.001))


def test_the_same_completions_make_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    shuffled = ANSWERS.copy()
    random.Random(1).shuffle(shuffled)
    fill(tmp_path / "a.sqlite", ANSWERS)
    fill(tmp_path / "b.sqlite", shuffled)
    assert export_recording([tmp_path / "a.sqlite"], tmp_path / "a.jsonl.xz") == Recorded(40, 0)
    export_recording([tmp_path / "b.sqlite"], tmp_path / "b.jsonl.xz")
    assert (tmp_path / "a.jsonl.xz").read_bytes() == (tmp_path / "b.jsonl.xz").read_bytes()


def test_an_imported_recording_answers_and_accounts_like_the_run_it_was_made_from(tmp_path: Path) -> None:
    fill(tmp_path / "a.sqlite", ANSWERS)
    export_recording([tmp_path / "a.sqlite"], tmp_path / "r.jsonl.xz")
    assert import_recording(tmp_path / "r.jsonl.xz", tmp_path / "b.sqlite") == 40
    with CompletionCache(tmp_path / "a.sqlite") as made, CompletionCache(tmp_path / "b.sqlite") as replayed:
        assert list(replayed.rows()) == list(made.rows())
        assert replayed.usage() == made.usage()


def test_importing_twice_changes_nothing(tmp_path: Path) -> None:
    fill(tmp_path / "a.sqlite", ANSWERS)
    export_recording([tmp_path / "a.sqlite"], tmp_path / "r.jsonl.xz")
    import_recording(tmp_path / "r.jsonl.xz", tmp_path / "b.sqlite")
    with CompletionCache(tmp_path / "b.sqlite") as cache:
        before = cache.usage()
    import_recording(tmp_path / "r.jsonl.xz", tmp_path / "b.sqlite")
    with CompletionCache(tmp_path / "b.sqlite") as cache:
        assert cache.usage() == before


def test_several_runs_make_one_recording_in_which_the_first_of_two_answers_stays(tmp_path: Path) -> None:
    other = [(key, index, Completion("another text", "stop", 3, 7)) for key, index, _ in ANSWERS[30:34]]
    fill(tmp_path / "a.sqlite", ANSWERS[:32])
    fill(tmp_path / "b.sqlite", [*other, *ANSWERS[34:]])
    both = [tmp_path / "a.sqlite", tmp_path / "b.sqlite"]
    assert export_recording(both, tmp_path / "both.jsonl.xz") == Recorded(40, 2)
    import_recording(tmp_path / "both.jsonl.xz", tmp_path / "c.sqlite")
    with CompletionCache(tmp_path / "c.sqlite") as cache:
        texts = [row[2] for row in cache.rows()]
    assert texts == [each.text for _, _, each in ANSWERS[:32]] + ["another text"] * 2 + [
        each.text for _, _, each in ANSWERS[34:]
    ]


def test_a_recording_is_written_whole_and_over_another_only_if_told_so(tmp_path: Path) -> None:
    fill(tmp_path / "a.sqlite", ANSWERS)
    out = tmp_path / "made" / "r.jsonl.xz"
    export_recording([tmp_path / "a.sqlite"], out)
    whole = out.read_bytes()
    (tmp_path / "b.sqlite").write_bytes(b"no database, but long enough to be taken for one" * 100)
    with pytest.raises(StoreError, match="is there already"):
        export_recording([tmp_path / "a.sqlite"], out)
    with pytest.raises(StoreError, match="damaged"):
        export_recording([tmp_path / "a.sqlite", tmp_path / "b.sqlite"], out, overwrite=True)
    assert out.read_bytes() == whole
    assert list(out.parent.iterdir()) == [out]
    assert export_recording([tmp_path / "a.sqlite"], out, overwrite=True) == Recorded(40, 0)


@pytest.mark.parametrize(
    "content",
    [
        b"no recording",
        lzma.compress(b""),
        lzma.compress(b'{"format": "something else"}\n'),
        lzma.compress(b'{"format": "autoif-recording", "version": 1}\n["key", "0"]\n'),
        lzma.compress(b'{"format": "autoif-recording", "version": 1}\n')[:-20],
    ],
)
def test_a_damaged_recording_is_refused_and_leaves_the_cache_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.jsonl.xz").write_bytes(content)
    with pytest.raises(StoreError, match=r"r\.jsonl\.xz is damaged or no recording"):
        import_recording(tmp_path / "r.jsonl.xz", tmp_path / "b.sqlite")
    assert not (tmp_path / "b.sqlite").exists()


def test_a_missing_recording_or_cache_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not there"):
        import_recording(tmp_path / "r.jsonl.xz", tmp_path / "b.sqlite")
    with pytest.raises(StoreError, match="is not there"):
        export_recording([tmp_path / "b.sqlite"], tmp_path / "r.jsonl.xz")
    assert list(tmp_path.iterdir()) == []


def test_a_recording_that_unpacks_to_a_thousand_times_its_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl.xz").write_bytes(lzma.compress(b"[" * 30_000_000))
    with pytest.raises(StoreError, match=r"longer than|unpacks to more"):
        import_recording(tmp_path / "r.jsonl.xz", tmp_path / "a.sqlite")
    assert not (tmp_path / "a.sqlite").exists()


def test_an_answer_of_a_completions_file_that_unpacks_to_more_than_an_answer_may_have_is_refused(
    tmp_path: Path,
) -> None:
    fill(tmp_path / "a.sqlite", ANSWERS[:2])
    bomb = zstandard.compress(bytes(MAX_BODY_BYTES + 1))[4:]  # a frame is stored without its mark
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as db:
        db.execute("UPDATE completions SET text = ?, dictionary = 0 WHERE sample = 1", (bomb,))
        db.commit()
    assert import_recording(tmp_path / "a.sqlite", tmp_path / "b.sqlite") == 1
    with CompletionCache(tmp_path / "a.sqlite") as cache, pytest.raises(StoreError, match="unpacks to more"):
        list(cache.rows())


def test_a_recording_that_is_damaged_at_its_end_leaves_the_cache_as_it_is(tmp_path: Path) -> None:
    fill(tmp_path / "a.sqlite", ANSWERS)
    export_recording([tmp_path / "a.sqlite"], tmp_path / "r.jsonl.xz")
    lines = lzma.decompress((tmp_path / "r.jsonl.xz").read_bytes())
    (tmp_path / "r.jsonl.xz").write_bytes(lzma.compress(lines + b"[[[\n"))
    with pytest.raises(StoreError, match="damaged"):
        import_recording(tmp_path / "r.jsonl.xz", tmp_path / "b.sqlite")
    assert not (tmp_path / "b.sqlite").exists()


def test_of_a_cut_completions_file_all_rows_are_read_whose_pages_are_whole(tmp_path: Path) -> None:
    rows = [
        CompletionRow(f"{chance.getrandbits(128):032x}", 0, chance.randbytes(700).hex(), "stop", 1, 2, "", "x", 1, 0)
        for chance in map(random.Random, range(400))
    ]
    rows[7] = rows[7]._replace(text="long " * 9000 + random.Random(7).randbytes(20_000).hex())  # on several pages
    whole = tmp_path / "completions.sqlite"
    with CompletionCache(whole) as cache:
        for row in rows:
            cache.insert([row])
    size = whole.stat().st_size
    for left in (1.0, 0.9, 0.5):
        cut = tmp_path / f"{left}.sqlite"
        cut.write_bytes(whole.read_bytes()[: int(size * left)])
        before = cut.read_bytes()
        count = import_recording(cut, tmp_path / f"{left}.new")
        assert count > len(rows) * left * 0.6
        with CompletionCache(tmp_path / f"{left}.new") as cache:
            assert sorted(cache.rows()) == sorted(rows[:count])
            assert cache.total().completions == count
        assert cut.read_bytes() == before
    cut.write_bytes(before[:5000])
    with pytest.raises(StoreError, match="holds no answer that can be read"):
        import_recording(cut, tmp_path / "none")


def test_what_a_kill_left_in_the_log_beside_a_completions_file_is_read_too(tmp_path: Path) -> None:
    row = CompletionRow("a" * 32, 0, "so", "stop", 1, 2, "", "x", 1, 0)
    with CompletionCache(tmp_path / "completions.sqlite") as cache:
        cache.insert([row])
        for name in ("completions.sqlite", "completions.sqlite-wal"):
            shutil.copyfile(tmp_path / name, tmp_path / name.replace("completions", "killed"))
    assert import_recording(tmp_path / "killed.sqlite", tmp_path / "new") == 1
