"""Rows to train on: what is read, and what is refused with its line."""

import gzip
import hashlib
import json

import datasets
import pytest

from autoif.errors import AutoIFError, ConfigError
from autoif.training.data import read_data

USER = {"role": "user", "content": "Say tea."}
TEA = {"role": "assistant", "content": "tea"}
MILK = {"role": "assistant", "content": "milk"}
SFT = {"messages": [USER, TEA], "quality": 9.0}
PAIR = {"prompt": [USER], "chosen": [TEA], "rejected": [MILK], "level": "query"}
SOURCE = "def evaluate(response): return True"
TO_OBEY = {"instruction_id": "i", "instruction": "Say tea.", "functions": [SOURCE]}
PROMPT = {"prompt": [USER], "constraints": [TO_OBEY], "query_id": "q", "weight": 2}


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_last_assistant_turn_is_what_is_learnt(tmp_path):
    system = {"role": "system", "content": "Be short."}
    path = write(tmp_path / "sft.jsonl", SFT, {"messages": [system, USER, MILK, USER, TEA]})
    data = read_data(path, "sft")
    assert data.rows == [
        {"prompt": [USER], "completion": [TEA]},
        {"prompt": [system, USER, MILK, USER], "completion": [TEA]},
    ]
    assert data.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (data.levels, data.run) == ({}, None)


def test_pairs_of_both_levels_are_one_data_set_and_counted(tmp_path):
    path = write(tmp_path / "pairs.jsonl", {**PAIR, "level": "instruction"}, PAIR, PAIR)
    data = read_data(path, "dpo")
    assert data.rows == [{"prompt": [USER], "chosen": [TEA], "rejected": [MILK]}] * 3
    assert data.levels == {"instruction": 1, "query": 2}


def test_a_prompt_keeps_its_functions_and_what_it_was_made_of(tmp_path):
    alone = {"functions": [SOURCE, SOURCE], "verdicts": None}
    data = read_data(write(tmp_path / "rows.jsonl", PROMPT, {"prompt": [USER], "constraints": [alone] * 2}), "grpo")
    unknown = {"instruction_id": "", "instruction": "", "functions": [SOURCE, SOURCE]}
    assert data.rows == [
        {"prompt": [USER], "constraints": [TO_OBEY], "query": "", "query_id": "q"},
        {"prompt": [USER], "constraints": [unknown] * 2, "query": "", "query_id": ""},
    ]


def test_a_run_folder_stands_for_its_file_and_says_which_run_it_is(tmp_path):
    write(tmp_path / "sft.jsonl", SFT)
    write(tmp_path / "preferences.jsonl", PAIR)
    identity = {"models.writer": "one", "models.judge": "two", "seed": 0}
    manifest = {"autoif": "9.9", "status": "complete", "identity": identity}
    (tmp_path / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    data = read_data(tmp_path, "sft")
    assert data.path == tmp_path / "sft.jsonl"
    assert data.run == {
        "folder": tmp_path.name, "autoif": "9.9", "status": "complete", "models.writer": "one", "models.judge": "two"
    }  # fmt: skip
    write(tmp_path / "rewards.jsonl", PROMPT)
    assert read_data(tmp_path, "dpo").path == tmp_path / "preferences.jsonl"
    assert read_data(tmp_path, "grpo").path == tmp_path / "rewards.jsonl"
    (tmp_path / "run.json").write_text("[]", encoding="utf-8")
    assert read_data(tmp_path, "sft").run is None


def test_a_thought_in_a_field_of_its_own_stays_with_the_answer(tmp_path):
    thinks = {**TEA, "reasoning_content": "hm", "thinking": "hm"}
    earlier = {**MILK, "reasoning_content": "hm", "weight": 0}
    path = write(tmp_path / "sft.jsonl", {"messages": [USER, earlier, USER, thinks]})
    [row] = read_data(path, "sft").rows
    assert row == {"prompt": [USER, MILK, USER], "completion": [{**TEA, "reasoning_content": "hm"}]}
    [row] = read_data(write(tmp_path / "pairs.jsonl", {**PAIR, "rejected": [{**MILK, "reasoning": "no"}]}), "dpo").rows
    assert (row["chosen"], row["rejected"]) == ([TEA], [{**MILK, "reasoning": "no"}])


@pytest.mark.parametrize("form", ["list.json", "rows.jsonl", "rows.parquet", "rows.json.gz"])
def test_rows_are_read_in_every_common_form(tmp_path, form):
    rows = [SFT, {**SFT, "messages": [USER, MILK]}]
    path = tmp_path / form
    if form == "rows.parquet":
        datasets.Dataset.from_list(rows).to_parquet(path)
    elif form == "rows.jsonl":
        write(path, *rows)
    else:
        text = json.dumps(rows, indent=1).encode()
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    assert [row["completion"] for row in read_data(path, "sft").rows] == [[TEA], [MILK]]


def test_a_folder_that_datasets_saved_is_an_error_that_says_what_to_do(tmp_path):
    rows = datasets.Dataset.from_list([SFT])
    rows.save_to_disk(tmp_path / "one")
    datasets.DatasetDict(train=rows).save_to_disk(tmp_path / "several")
    for name in ("one", "several"):
        with pytest.raises(
            AutoIFError, match=r"has no sft.jsonl: it is a data set that `datasets` saved: .* to_parquet"
        ):
            read_data(tmp_path / name, "sft")
    [file] = (tmp_path / "one").glob("*.arrow")
    with pytest.raises(AutoIFError, match="an Arrow file: write its rows as Parquet or JSON lines"):
        read_data(file, "sft")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "tea"}, 'line 2: the row has no "messages"'),
        ({"messages": []}, 'line 2: the row has no "messages"'),
        ({"messages": "tea"}, 'line 2: the row has no "messages"'),
        ({"messages": [USER, {"role": "assistant", "content": " \n"}]}, 'an assistant turn of "messages" is empty'),
        ({"messages": [USER]}, "not an assistant turn"),
        ({"messages": [TEA]}, "no user turn before the assistant turn"),
        ({"messages": [USER, {"role": "assistant"}]}, "needs a role"),
        ({"messages": [USER, {"role": "tool", "content": "tea"}]}, "needs a role"),
        ({"messages": [USER, "tea"]}, "needs a role"),
        (PAIR, "these are preference pairs: use `autoif train dpo`"),
        (PROMPT, "use `autoif train online-dpo` or `autoif train grpo`, or the run's sft.jsonl"),
        ([SFT], "line 2: a row is an object, not list"),
        ({**SFT, "tools": [{"type": "function"}]}, 'it has "tools"'),
        ({"messages": [USER, {**TEA, "tool_calls": [{"id": "1"}]}, USER, TEA]}, 'has "tool_calls"'),
        ({"messages": [USER, {**TEA, "weight": 0}]}, "marked as not to be learnt"),
        ({"messages": [USER, {**TEA, "train": False}]}, "marked as not to be learnt"),
        ({"messages": [USER, {**TEA, "weight": 0.5}]}, "or not in full"),
    ],
)
def test_a_row_that_sft_cannot_learn_from_is_an_error_with_its_line(tmp_path, row, message):
    path = write(tmp_path / "rows.jsonl", SFT, row)
    with pytest.raises(ConfigError, match=message) as error:
        read_data(path, "sft")
    assert "line 2" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (SFT, "these are SFT rows: use `autoif train sft`"),
        ({**PAIR, "rejected": [TEA]}, "are the same: there is nothing to prefer"),
        ({**PAIR, "rejected": [USER]}, '"rejected" is not one assistant turn'),
        ({**PAIR, "chosen": [TEA, TEA]}, '"chosen" is not one assistant turn'),
        ({**PAIR, "prompt": [USER, TEA]}, 'the last of "prompt" is not a user turn'),
        ({**PAIR, "chosen": [{"role": "assistant", "content": ""}]}, 'an assistant turn of "chosen" is empty'),
        ({**PAIR, "chosen": "tea"}, 'the row has no "chosen"'),
    ],
)
def test_a_pair_that_dpo_cannot_learn_from_is_an_error_with_its_line(tmp_path, row, message):
    path = write(tmp_path / "rows.jsonl", PAIR, row)
    with pytest.raises(ConfigError, match=f"line 2: .*{message}"):
        read_data(path, "dpo")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": [USER]}, "constraints: Field required"),
        ({**PROMPT, "constraints": []}, "constraints: Tuple should have at least 1 item"),
        ({**PROMPT, "constraints": [{"functions": []}]}, "constraints.0.functions: Tuple should have at least 1 item"),
        ({**PROMPT, "constraints": [{"functions": SOURCE}]}, "constraints.0.functions: Input should be a valid tuple"),
        ({**PROMPT, "constraints": [{"functions": [SOURCE, " "]}]}, "functions.1: a blank text is no function"),
        ({**PROMPT, "constraints": [{"functions": [3]}]}, "functions.0: Input should be a valid string"),
        ({"prompt": [USER], "functions": [SOURCE]}, "an export for a trainer, where the run's own file is wanted"),
        ({**PROMPT, "prompt": "Say tea."}, 'the row has no "prompt"'),
        ({**PROMPT, "prompt": [USER, TEA]}, 'the last of "prompt" is not a user turn'),
        (PAIR, "these are preference pairs: use `autoif train dpo`, or the run's rewards.jsonl"),
        ({**SFT, "constraints": []}, "these are SFT rows: use `autoif train sft`, or the run's rewards.jsonl"),
    ],
)
def test_a_prompt_that_nothing_can_judge_is_an_error_with_its_line(tmp_path, row, message):
    path = write(tmp_path / "rows.jsonl", PROMPT, row)
    with pytest.raises(ConfigError, match=f"line 2: .*{message}"):
        read_data(path, "grpo")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no rows"),
        (b"\n \n", "has no rows"),
        (b"messages,tea\n", "line 1: not JSON"),
        (b'{"messages": [], "messages": [1]}\n', "line 1: 'messages' is there twice, with different values: mend or"),
        (b"[" * 100_000, "line 1: broken JSON"),
        (b"PAR1\xff\xfe", "a Parquet file that can't be read"),
        (b"\xff{}", "line 1: not UTF-8"),
    ],
)
def test_a_file_of_another_form_is_an_error(tmp_path, content, message):
    path = tmp_path / "rows"
    path.write_bytes(content)
    with pytest.raises(AutoIFError, match=message):
        read_data(path, "sft")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_half_a_character_is_trained_on_as_what_stands_for_one_and_a_byte_order_mark_is_nothing(tmp_path, mark):
    row = {"messages": [USER, {"role": "assistant", "content": "\ud83d tea \U0001f375"}]}
    (tmp_path / "rows.jsonl").write_bytes(mark + json.dumps(row).encode())
    [found] = read_data(tmp_path / "rows.jsonl", "sft").rows
    assert found["completion"][0]["content"] == "\ufffd tea \U0001f375"


def test_a_file_or_a_run_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(AutoIFError, match=r"none.jsonl can't be read: No such file"):
        read_data(tmp_path / "none.jsonl", "sft")
    with pytest.raises(AutoIFError, match=r"has no preferences\.jsonl: it is no run folder"):
        read_data(tmp_path, "dpo")
