"""The query pool: every kind of source, every reason for dropping, and what is refused in one line."""

import json
import re
import subprocess
import sys
from collections import Counter
from importlib import resources
from pathlib import Path

import pytest
from rapidfuzz import fuzz

from autoif.errors import ConfigError
from autoif.queries.pool import is_written_in, load_queries
from autoif.queries.sources import read_queries
from autoif.reading import json_lists
from autoif.reading.row_files import MAX_JSON_LINE_BYTES
from autoif.records import Reason
from support.proportion import assert_proportional

DATA = Path(__file__).parent / "data/queries"

COOK = "How do I cook rice without burning it?"
MOON = "Why does the moon look larger near the horizon?"
BIRDS = "Which birds stay in the north over the winter?"


def write(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def texts(source: str | None, **settings: object) -> list[str]:
    return [query.text for query in load_queries(source, **settings).kept]  # type: ignore[arg-type]


def refusal(source: str, **settings: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load_queries(source, **settings)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    return message


# ---- the packaged pool


def test_the_package_brings_about_two_hundred_english_queries_and_drops_none() -> None:
    with resources.as_file(resources.files("autoif.queries") / "queries.txt") as packaged:
        pool = load_queries(str(packaged), language="en")
    assert 190 <= len(pool.kept) <= 210
    assert pool.dropped == []
    assert load_queries(None, language="en") == pool


def test_no_two_packaged_queries_are_alike() -> None:
    queries = [text.lower() for text in texts(None)]
    for index, query in enumerate(queries):
        assert all(fuzz.token_sort_ratio(query, other) < 85 for other in queries[:index]), query


# ---- filters


def test_lengths_at_both_limits_are_dropped_and_one_inside_is_kept(tmp_path: Path) -> None:
    lines = ["a" * 20, "b" * 21, "c" * 299, "d" * 300]
    pool = load_queries(write(tmp_path, "q.txt", "\n".join(lines)), language="")
    assert [len(query.text) for query in pool.kept] == [21, 299]
    assert [(each.stage, each.reason) for each in pool.dropped] == [
        ("queries", Reason.TOO_SHORT),
        ("queries", Reason.TOO_LONG),
    ]


def test_limits_can_be_set(tmp_path: Path) -> None:
    source = write(tmp_path, "q.txt", "tiny\nsmall\nlarger one")
    assert texts(source, min_chars=4, max_chars=10, language="") == ["small"]


def test_a_repeated_query_is_kept_at_its_first_place_and_the_others_are_dropped(tmp_path: Path) -> None:
    pool = load_queries(write(tmp_path, "q.txt", f"{MOON}\n{COOK}\n  {MOON}  \n"))
    assert [query.text for query in pool.kept] == [MOON, COOK]
    [dropped] = pool.dropped
    assert dropped.reason == Reason.DUPLICATE_EXACT
    assert dropped.record_id == pool.kept[0].id


def test_other_languages_are_dropped_unless_every_language_is_wanted(tmp_path: Path) -> None:
    french = "Pourquoi la lune semble-t-elle plus grande près de l'horizon ?"
    source = write(tmp_path, "q.txt", f"{french}\n{MOON}\n为什么月亮在地平线附近看起来更大，请简单解释一下原因\n")
    pool = load_queries(source)
    assert [query.text for query in pool.kept] == [MOON]
    assert [each.reason for each in pool.dropped] == [Reason.WRONG_LANGUAGE] * 2
    assert texts(source, language="fr") == [french]
    assert len(texts(source, language="")) == 3


def test_an_unknown_language_is_refused_by_its_code() -> None:
    with pytest.raises(ConfigError, match="unknown language 'klingon'"):
        load_queries(None, language="klingon")


@pytest.mark.parametrize(
    "query",
    [
        "Who is Cristiano Ronaldo?",  # guessed to be Italian, though not with certainty
        "Who invented Calculus?",
        "Why do humans like cats?",
        "```python\nx = [1, 2]\nprint(x[5])\n``` fix",
        "x = 3; y = 4; print(x + y)",
    ],
)
def test_short_questions_about_foreign_names_and_code_are_not_lost(query: str) -> None:
    assert is_written_in(query, "en")


def test_the_language_filter_keeps_nearly_all_real_english_queries() -> None:
    lines = (DATA / "english.jsonl").read_text("utf-8").splitlines()
    queries = [json.loads(line)["query"] for line in lines]
    assert sum(is_written_in(query, "en") for query in queries) / len(queries) > 0.99


def test_control_characters_and_lone_surrogates_are_dropped_as_no_text(tmp_path: Path) -> None:
    rows = [
        {"query": "A \x00 in a query that is long enough"},
        {"query": "\ud800 " + COOK},
        {"query": f"{MOON}\n\tOK?"},
    ]
    pool = load_queries(write(tmp_path, "q.jsonl", "\n".join(map(json.dumps, rows))))
    assert [query.text for query in pool.kept] == [f"{MOON}\n\tOK?"]
    assert [each.reason for each in pool.dropped] == [Reason.NOT_TEXT] * 2
    assert all(each.model_dump_json() for each in pool.dropped)


# ---- text files


def test_a_text_file_has_one_query_a_line_whatever_its_line_ends(tmp_path: Path) -> None:
    assert texts(write(tmp_path, "q.txt", b"\xef\xbb\xbf" + f"{COOK}\r\n\r\n{MOON}".encode())) == [COOK, MOON]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"\n \n", "it is empty"),
        (COOK.encode() + b"\n\xe9t\xe9\n", "line 2: not UTF-8"),
        (COOK.encode() + b"\n" + b"x" * 1_048_576, "line 2: longer than 1,000,000 bytes"),
        (
            b"too short\nshort, too\n" + b"x" * 400,
            "20 < length < 300 in 'en': too short 2, too long 1; augmentation.min_chars and",
        ),
    ],
)
def test_a_text_file_that_gives_no_pool_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    assert message in refusal(write(tmp_path, "q.txt", content))


@pytest.mark.parametrize("name", ["nowhere.txt", "nowhere.jsonl", "nowhere.json"])
def test_a_missing_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    assert f"{name}: no such file" in refusal(str(tmp_path / name))


def test_a_file_of_another_kind_is_refused_with_the_kinds_that_are_read(tmp_path: Path) -> None:
    assert "give a .txt, .md, .jsonl, .ndjson, .json, .csv, .tsv, .parquet file" in refusal(
        write(tmp_path, "q.py", COOK)
    )


# ---- JSON lines


@pytest.mark.parametrize(
    "row",
    [
        {"query": MOON},
        {"prompt": MOON},
        {"instruction": MOON, "output": "no query"},
        {"question": MOON},
        {"text": MOON},
        MOON,
        {"prompt": [{"role": "user", "content": MOON}]},
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": MOON}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": MOON}]}]},
        {"conversations": [{"from": "gpt", "value": "Hello!"}, {"from": "human", "value": MOON}]},
        {"id": 3, "query": None, "conversation": [{"from": "user", "value": MOON}, {"from": "user", "value": COOK}]},
    ],
)
def test_the_first_user_turn_is_found_in_every_common_form(tmp_path: Path, row: object) -> None:
    assert texts(write(tmp_path, "q.jsonl", json.dumps(row) + "\n\n")) == [MOON]


def test_rows_without_a_query_are_dropped_as_empty(tmp_path: Path) -> None:
    rows = [{"query": MOON}, {"query": 7}, {"conversations": [{"from": "gpt", "value": "Hi"}]}, ["no turn"], 5]
    pool = load_queries(write(tmp_path, "q.jsonl", "\n".join(map(json.dumps, rows))))
    assert [each.reason for each in pool.dropped] == [Reason.EMPTY] * 4


def test_columns_without_queries_are_named(tmp_path: Path) -> None:
    source = write(tmp_path, "q.jsonl", '{"title": "x", "body": "y"}\n{"title": "x", "tags": []}\n')
    assert "columns found: title, body, tags; name one as FILE:COLUMN" in refusal(source)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"query": "half', "line 2: broken JSON (Unterminated string starting at)"),
        ("[" * 100_000, "line 2: broken JSON"),
        (" " * MAX_JSON_LINE_BYTES + "1", "line 2: longer than 16,000,000 bytes"),
    ],
)
def test_a_broken_line_of_json_is_refused_by_its_number(tmp_path: Path, line: str, message: str) -> None:
    assert message in refusal(write(tmp_path, "q.jsonl", json.dumps(COOK) + "\n" + line + "\n"))


# ---- JSON lists


def test_a_dump_in_the_form_of_sharegpt_gives_its_english_first_turns() -> None:
    pool = load_queries(str(DATA / "sharegpt.json"))
    assert len(pool.kept) == 9
    assert Counter(each.reason for each in pool.dropped) == {
        Reason.TOO_SHORT: 2, Reason.TOO_LONG: 1, Reason.WRONG_LANGUAGE: 3, Reason.EMPTY: 1,
    }  # fmt: skip


def test_json_lists_are_read_in_pieces_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"id": str(index), "query": f"{COOK} {index}", "noise": ["]", ",", '"\\u00e9 é', {}]} for index in range(40)
    ]
    source = write(tmp_path, "q.json", b"\xef\xbb\xbf" + json.dumps(rows, indent=1, ensure_ascii=False).encode())
    for size in (1, 7, 64, 1 << 20):
        monkeypatch.setattr(json_lists, "_CHUNK_CHARS", size)
        assert [row.text for row in read_queries(source)] == [f"{COOK} {index}" for index in range(40)]


def test_json_objects_one_after_another_are_read_though_the_file_is_called_json(tmp_path: Path) -> None:
    assert texts(write(tmp_path, "q.json", f'{{"query": "{COOK}"}}\n{{"query": "{MOON}"}}\n')) == [COOK, MOON]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is empty"),
        ("[]", "it is empty"),
        ('"text"', "no JSON list"),
        ('[\n"x",\n{"query": ]', "line 3: broken JSON (Expecting value)"),
        ('["x"\n"y"]', "line 2: broken JSON (a comma is missing)"),
        ('["x",\n"y",\n', "line 3: broken JSON (the list is cut off)"),
        ('["x"', "line 1: broken JSON (the list is cut off)"),
        ("[\n" + "[" * 100_000, "line 2: broken JSON (nested more than 100 deep)"),
        (b'["\xff"]', "not UTF-8"),
    ],
)
def test_a_json_file_that_gives_no_pool_is_refused_in_one_line(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    assert message in refusal(write(tmp_path, "q.json", content))


def test_a_string_without_an_end_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lists, "_CHUNK_CHARS", 100)
    monkeypatch.setattr(json_lists, "MAX_ELEMENT_CHARS", 1000)
    assert "line 2: broken JSON (Unterminated string" in refusal(write(tmp_path, "q.json", '[\n"' + "x" * 5000 + '"]'))


# ---- the datasets library


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two splits, as a data set on the hub has; nothing is fetched from elsewhere."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    folder = tmp_path / "questions"
    (folder / "data").mkdir(parents=True)
    rows = {"train": (COOK, MOON), "test": (BIRDS,)}
    for split, queries in rows.items():
        lines = [json.dumps({"title": query[::-1], "question": query}) for query in queries]
        (folder / "data" / f"{split}.jsonl").write_text("\n".join(lines))
    return folder


def test_a_data_set_gives_its_train_split_or_the_one_that_is_named(hub: Path) -> None:
    assert texts(f"hf:{hub}") == texts(str(hub)) == [COOK, MOON]
    assert texts(f"hf:{hub}:test") == [BIRDS]
    assert texts(f"hf:{hub}:test:title", language="") == [BIRDS[::-1]]


def test_an_unknown_split_or_column_is_refused_with_those_there_are(hub: Path) -> None:
    assert "no split 'dev'; there are: train, test" in refusal(f"hf:{hub}:dev")
    assert "no column 'body'; columns found: title, question" in refusal(f"hf:{hub}:train:body")


def test_a_saved_data_set_of_conversations_is_read(tmp_path: Path) -> None:
    import datasets

    turns = [[{"role": "user", "content": COOK}, {"role": "assistant", "content": "Slowly."}]]
    saved = tmp_path / "saved"
    datasets.Dataset.from_dict({"messages": turns}).save_to_disk(saved)
    assert texts(f"hf:{saved}") == [COOK]
    assert texts(f"hf:{saved}::messages") == [COOK]
    datasets.DatasetDict({"test": datasets.Dataset.from_dict({"query": [MOON]})}).save_to_disk(tmp_path / "splits")
    assert texts(str(tmp_path / "splits")) == [MOON]


def test_a_name_that_cannot_be_loaded_is_refused_in_one_line(hub: Path) -> None:
    assert "neither a file nor a data set that can be loaded" in refusal(f"{hub.name}-that-nobody-has")


@pytest.mark.parametrize("source", ["hf:", "hf::train"])
def test_a_data_set_without_a_name_is_refused_before_anything_is_asked(source: str) -> None:
    assert refusal(source).endswith("name the data set, as in hf:OWNER/NAME")


def test_without_the_datasets_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "pip install 'autoif[datasets]'" in refusal("hf:some/questions")


# ---- cost


def test_queries_load_in_time_proportional_to_their_number(tmp_path: Path) -> None:
    def load(count: int) -> None:
        source = write(tmp_path, "q.txt", "\n".join(f"{MOON} And what about day {index}?" for index in range(count)))
        assert len(load_queries(source).kept) == count

    load_queries(None)  # the language model is loaded
    assert_proportional(load, 3_000)


def test_importing_the_pool_imports_neither_the_language_model_nor_datasets() -> None:
    script = "import sys, autoif.queries.pool; print(sorted({'py3langid', 'datasets', 'numpy'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert re.sub(r"\s", "", run.stdout) == "[]"
