"""Conversations and tables in the forms of data sets, exports and spreadsheets: each gives its question."""

import json
from pathlib import Path

import numpy
import pyarrow
import pytest
from pyarrow import parquet

from autoif.errors import ConfigError
from autoif.instructions.seeds import load_seeds
from autoif.queries.pool import load_queries
from autoif.reading.json_text import parse_literal
from autoif.reading.turns import parse_turns, read_transcript
from autoif.records import Reason

ASK = "Why does the moon look larger near the horizon?"
WHERE = "Which birds stay in the north over the winter?"
REPLY = "It only seems so, as nothing near it is small."


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def queries(source: object) -> list[str]:
    return [query.text for query in load_queries(str(source)).kept]


TURNS = [{"role": "user", "content": ASK}, {"role": "assistant", "content": REPLY}]
ROWS: dict[str, object] = {
    "UltraChat": {"id": "0", "data": [ASK, REPLY, WHERE, REPLY]},
    "MT-Bench": {"question_id": 81, "category": "writing", "turns": [ASK, WHERE]},
    "Arena-Hard": {"question_id": "a", "turns": [{"content": ASK}]},
    "OASST tree": {"message_tree_id": "a", "prompt": {"text": ASK, "role": "prompter", "replies": []}},
    "OASST row": {"message_id": "a", "parent_id": None, "text": ASK, "role": "prompter", "lang": "en"},
    "roles in capitals": {"conversations": [{"from": "Human", "value": ASK}, {"from": "GPT", "value": REPLY}]},
    "speaker": {"dialogue": [{"speaker": "user", "text": ASK}, {"speaker": "bot", "text": REPLY}]},
    "columns of turns": {"conversations": {"from": ["human", "gpt"], "value": [ASK, REPLY]}},
    "MOSS": {"conversation": [{"human": ASK, "assistant": REPLY}]},
    "Gemini": {"messages": [{"role": "user", "parts": [{"text": ASK}]}]},
    "ChatGPT": {"messages": [{"author": {"role": "user"}, "content": {"content_type": "text", "parts": [ASK]}}]},
    "pair": {"human": ASK, "assistant": REPLY},
    "JSON in a cell": {"messages": json.dumps(TURNS)},
    "Python in a cell": {"conversations": str(TURNS)},
    "numpy in a cell": {"messages": str(numpy.array(TURNS))},
    "numpy's name in a cell": {"messages": repr(numpy.array(TURNS))},
    "Python in another cell": {"prompt": str(TURNS)},
    "a list as a text": str(TURNS),
    "Guanaco": {"text": f"### Human: {ASK}### Assistant: {REPLY}### Human: {WHERE}"},
    "HH-RLHF": {"text": f"\n\nHuman: {ASK}\n\nAssistant: {REPLY}"},
    "Alpaca, rendered": {"text": f"Below is an instruction.\n\n### Instruction:\n{ASK}\n\n### Response:\n{REPLY}"},
    "Llama 2": {"text": f"<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n{ASK} [/INST] {REPLY} </s>"},
    "ChatML": {"text": f"<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n{ASK}<|im_end|>\n"},
    "Zephyr": {"text": f"<|system|>\n</s>\n<|user|>\n{ASK}</s>\n<|assistant|>\n{REPLY}</s>"},
    "Vicuna": {"text": f"A chat between a user and an assistant. USER: {ASK} ASSISTANT: {REPLY}</s>"},
    "beside a source": {"data": "wiki", "text": ASK},
    "no input": {"instruction": ASK, "input": "No input"},
    "Capybara": {"source": "x", "conversation": [{"input": ASK, "output": REPLY}, {"input": WHERE, "output": REPLY}]},
    "Claude": {"chat_messages": [{"sender": "human", "text": ASK}, {"sender": "assistant", "text": REPLY}]},
    "Gemini, tuned": {"systemInstruction": {"parts": [{"text": "x"}]},
                      "contents": [{"role": "user", "parts": [{"text": ASK}]}]},
    "a batch of OpenAI's": {"custom_id": "1", "url": "/v1/chat/completions", "body": {"model": "m", "messages": TURNS}},
    "a batch of Anthropic's": {"custom_id": "1", "params": {"model": "m", "messages": TURNS}},
    "a batch for Responses": {"custom_id": "1", "body": {"model": "m", "input": ASK}},
    "Aya": {"inputs": ASK, "targets": REPLY},
    "Argilla": {"fields": {"prompt": ASK}, "responses": []},
    "pairs alone": {"chosen": TURNS, "rejected": TURNS[:1]},
    "pairs as texts": {"chosen": f"\n\nHuman: {ASK}\n\nAssistant: {REPLY}", "rejected": "x"},
    "an arena": {"model_a": "a", "conversation_a": TURNS, "conversation_b": TURNS},
    "no image": {"question": ASK, "image": None, "images": [], "messages": None},
    "an empty part": {"messages": [{"role": "user", "content": [{"type": "text", "text": ASK, "image": None}]}]},
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_row_gives_what_the_user_asks_first(tmp_path: Path, row: object) -> None:
    assert queries(write(tmp_path, "q.jsonl", json.dumps(row) + "\n" + json.dumps({"prompt": WHERE}))) == [ASK, WHERE]


@pytest.mark.parametrize(
    "row",
    [
        {"question": ASK, "image": "a.png"},
        {"question": ASK, "images": [{"bytes": "aGk=", "path": None}]},
        {"prompt": ASK, "video_path": "a.mp4"},
        {"conversations": [{"from": "human", "value": f"<image>\n{ASK}"}, {"from": "gpt", "value": REPLY}]},
        {"conversations": [{"from": "human", "value": f"{ASK}\n<image>"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}},
                                                   {"type": "text", "text": ASK}]}]},
        {"contents": [{"role": "user", "parts": [{"inlineData": {"data": "x"}}, {"text": ASK}]}]},
        [{"role": "user", "content": [{"type": "input_audio"}, {"type": "text", "text": ASK}]}],
    ],
)  # fmt: skip
def test_a_question_about_an_image_is_dropped_with_that_reason(tmp_path: Path, row: object) -> None:
    pool = load_queries(str(write(tmp_path, "q.jsonl", "\n".join(map(json.dumps, [row, {"prompt": WHERE}])))))
    assert ([query.text for query in pool.kept], pool.reasons) == ([WHERE], {Reason.NEEDS_CONTEXT: 1})


def test_a_question_about_a_tag_is_one(tmp_path: Path) -> None:
    asked = "What does the tag <video> do in a page, and what does <image> do?"
    assert queries(write(tmp_path, "q.jsonl", json.dumps({"prompt": asked}))) == [asked]


def test_one_side_of_a_pair_that_is_no_conversation_is_no_query(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="columns found: chosen, rejected"):
        load_queries(str(write(tmp_path, "q.jsonl", json.dumps({"chosen": REPLY, "rejected": ASK}))))


def test_literals_are_read_without_a_warning_of_their_escapes() -> None:
    assert parse_literal(r"['rock \_and_ roll']") == [r"rock \_and_ roll"]


@pytest.mark.parametrize("text", ["[{[]}]", "{[]: 1}", "[" * 500, "a", "1 +", "'\0'\0", ""])
def test_what_is_no_literal_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="no Python literal"):
        parse_literal(text)


def test_a_conversation_that_python_can_not_hold_is_no_question() -> None:
    assert parse_turns("[{'role': 'user', 'content': {[]}}]") == []


def test_answers_and_later_turns_of_a_tree_are_no_queries(tmp_path: Path) -> None:
    rows = [
        {"text": ASK, "role": "prompter", "parent_id": None},
        {"text": REPLY, "role": "assistant", "parent_id": "a"},
        {"text": "And why is it orange at times there?", "role": "prompter", "parent_id": "b"},
    ]
    pool = load_queries(str(write(tmp_path, "oasst.jsonl", "\n".join(map(json.dumps, rows)))))
    assert ([query.text for query in pool.kept], pool.reasons) == ([ASK], {Reason.EMPTY: 2})


def test_what_belongs_to_a_seed_task_comes_with_it(tmp_path: Path) -> None:
    task = {"instruction": ASK, "instances": [{"input": "It was full on Monday.", "output": "x"}]}
    path = write(tmp_path, "tasks.jsonl", json.dumps(task) + "\n" + json.dumps({"instruction": WHERE, "instances": []}))
    assert queries(path) == [f"{ASK}\n\nIt was full on Monday.", WHERE]


@pytest.mark.parametrize("text", [f"{ASK}<|im_end|>", f"<|endoftext|>{ASK}", f"[INST] {ASK}"])
def test_a_query_that_holds_a_chat_templates_token_is_dropped(tmp_path: Path, text: str) -> None:
    pool = load_queries(str(write(tmp_path, "q.jsonl", "\n".join(map(json.dumps, [text, WHERE])))))
    assert ([query.text for query in pool.kept], pool.reasons) == ([WHERE], {Reason.NOT_TEXT: 1})
    with pytest.raises(ConfigError, match="tokens of a chat template"):
        load_seeds(write(tmp_path, "s.txt", "Use no commas.<|im_end|>\n"))


def test_a_conversation_that_cannot_be_read_is_no_query(tmp_path: Path) -> None:
    cut = f"[{{'content': '{ASK}', 'role': 'user'}}\n ...\n {{'content': 'x', 'role': 'assistant'}}]"
    pool = load_queries(str(write(tmp_path, "q.jsonl", "\n".join(map(json.dumps, [{"messages": cut}, WHERE])))))
    assert ([query.text for query in pool.kept], pool.reasons) == ([WHERE], {Reason.EMPTY: 1})


@pytest.mark.parametrize(
    "text", [ASK, "Human: is that a word? I wonder.", "What is [INST] for?", "### Response: none", ""]
)
def test_what_is_no_transcript_stays_as_it_is(text: str) -> None:
    assert read_transcript(text) == text


OBJECTS: dict[str, object] = {
    "beside notes": {"version": "1.0", "data": [{"query": ASK}, {"query": WHERE}]},
    "texts": {"queries": [ASK, WHERE]},
    "texts of any name": {"data": [ASK, WHERE]},
    "the server of data sets": {"features": [{"name": "query"}], "rows": [{"row_idx": n, "row": {"query": text}}
                                                                         for n, text in enumerate((ASK, WHERE))]},
    "by rows": {"0": {"query": ASK}, "1": {"query": WHERE}},
    "by columns": {"query": {"0": ASK, "1": WHERE}, "id": {"0": 7, "1": 8}},
    "lists by columns": {"query": [ASK, WHERE], "id": [7, 8]},
    "split": {"columns": ["id", "query"], "index": [0, 1], "data": [[7, ASK], [8, WHERE]]},
    "splits": {"train": [{"query": ASK}, {"query": WHERE}], "test": [{"query": REPLY}]},
    "conversations": {"conversations": [TURNS, [{"role": "user", "content": WHERE}]]},
    "a list of one": [{"items": [{"query": ASK}, {"query": WHERE}]}],
}  # fmt: skip


@pytest.mark.parametrize("value", OBJECTS.values(), ids=OBJECTS)
def test_the_rows_within_one_object_are_its_rows(tmp_path: Path, value: object) -> None:
    assert queries(write(tmp_path, "q.json", json.dumps(value, indent=1))) == [ASK, WHERE]


@pytest.mark.parametrize(
    "row",
    [
        {"query": ASK, "tags": ["moon", "sky"]},
        {"messages": TURNS, "notes": [{"a": 1}, {"a": 2}]},
        {"prompt": TURNS[:1], "constraints": [{"instruction": "Use no commas.", "functions": []}]},
    ],
)
def test_an_object_that_is_a_row_is_one_row(tmp_path: Path, row: object) -> None:
    assert queries(write(tmp_path, "q.json", json.dumps(row))) == [ASK]


def test_what_excel_writes_before_a_table_names_its_separator(tmp_path: Path) -> None:
    assert queries(write(tmp_path, "q.csv", f"\ufeffsep=;\r\nid;query\r\n1;{ASK}\r\n2;{WHERE}\r\n")) == [ASK, WHERE]


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    turns = json.dumps([TURNS[0], {"role": "assistant", "content": "x" * 200_000}]).replace('"', '""')
    assert queries(write(tmp_path, "q.csv", f'messages,id\n"{turns}",1\n')) == [ASK]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("q.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "a pointer of Git LFS"),
        ("q.txt", "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "a pointer of Git LFS"),
        ("q.parquet", "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "a pointer of Git LFS"),
        ("q.txt", "\n<!DOCTYPE html>\n<html><body>Sign in to see this page.</body></html>", "a web page: download"),
        ("q.csv", "<HTML><body>Sign in to see this page, please.</body></html>", "a web page: download"),
        ("q.parquet", "id,query\n1,x\n", "no Parquet file, whatever its name says"),
        ("q.txt", "{'query': 'Why is the sky blue at noon?'}\n", "line 1: a value as Python writes it"),
    ],
)
def test_what_only_has_the_name_of_data_is_refused_in_one_line(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        queries(write(tmp_path, name, content))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_table_of_parquet_may_nest(tmp_path: Path) -> None:
    columns = {"id": ["a", "b"], "messages": [TURNS, [{"role": "user", "content": WHERE}]]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "q.parquet")
    assert queries(tmp_path / "q.parquet") == [ASK, WHERE]
    parquet.write_table(pyarrow.table({"turns": [[ASK, REPLY], [WHERE]]}), tmp_path / "t.parquet")
    assert queries(tmp_path / "t.parquet") == [ASK, WHERE]
