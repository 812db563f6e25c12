"""`autoif contamination` as it is typed: its numbers, its files, its exit codes, its refusals."""

import json
from pathlib import Path

import pytest

from autoif.errors import SandboxError
from support.command import autoif_here, fails_here
from support.ifeval_data import read_rows, write_questions
from support.training_data import write_rows

REFUSALS = {
    "no such benchmark": (["--against", "ifevil"], "no benchmark is called 'ifevil'"),
    "data that is not asked for": (["--against", "ifeval", "--data", "mine=x.jsonl"], "--against leaves out"),
    "data without a name": (["--data", "x.jsonl"], "write it as NAME=PATH"),
    "data of another benchmark": (["--against", "ifbench", "--data", "ifbench={questions}"], "it is of IFEval"),
    "data that is not there": (["--against", "ifeval", "--data", "ifeval=nowhere.jsonl"], "can't be read"),
    "clean files over the old ones": (["--clean", "{folder}"], "would write over"),
}


@pytest.fixture
def train(tmp_path) -> Path:
    asked = ("Write a title.", "Write a letter.", "Write without commas, please.")
    return write_rows(tmp_path / "train.jsonl", *({"prompt": text, "completion": "Tea."} for text in asked))


def test_the_numbers_are_printed_and_written(train, tmp_path, capsys):
    options = ["--against", "ifeval", "--data", f"ifeval={write_questions(tmp_path)}", "--neighbours", 1]
    out, clean = tmp_path / "out", tmp_path / "clean"
    autoif_here("contamination", train, *options, "-o", out, "--clean", clean)
    said = capsys.readouterr()
    assert "33.3 % of 3 prompts overlap" in said.out
    assert "clean: 2 of 3 rows" in said.out.replace(f"  {clean}", "")
    assert "3 rows read" in said.err
    found = json.loads((out / "report.json").read_text("utf-8"))
    assert found["benchmarks"]["ifeval"]["short_matching"] == 1
    assert found["training"][0]["rows"] == 3
    assert read_rows(out / "contaminated.jsonl") == [
        {"row": "train.jsonl:1", "shared": [{"benchmark": "ifeval", "id": "2", "what": "prompt"}]}
    ]
    nearest = read_rows(out / "nearest.jsonl")
    assert [(row["id"], row["overlaps"], len(row["nearest"])) for row in nearest] == [
        ("1", False, 1), ("2", True, 1), ("3", False, 1),
    ]  # fmt: skip
    assert len((clean / "train.jsonl").read_text("utf-8").splitlines()) == 2


def test_results_and_cleaned_files_are_renewed_and_nothing_else_is_replaced(train, tmp_path):
    options = ["--against", "ifeval", "--data", f"ifeval={write_questions(tmp_path)}"]
    out, clean = tmp_path / "out", tmp_path / "clean"
    for _ in range(2):
        autoif_here("contamination", train, *options, "-o", out, "--clean", clean)
    said = fails_here("contamination", out / "nearest.jsonl", *options, "-o", out)
    assert "nearest.jsonl is read, and would be replaced: choose another --output" in said
    for name in ("report.json", "nearest.jsonl", "contaminated.jsonl"):
        (tmp_path / "mine").mkdir(exist_ok=True)
        (tmp_path / "mine" / name).write_text("mine", encoding="utf-8")
        said = fails_here("contamination", train, *options, "-o", tmp_path / "mine")
        assert f"{name} is there and is no " in said
        assert (tmp_path / "mine" / name).read_text("utf-8") == "mine"
        (tmp_path / "mine" / name).unlink()
    rows = (clean / "train.jsonl").read_text("utf-8")
    (clean / "train.jsonl").write_text(rows + '{"prompt": "My own.", "completion": "Tea."}\n', encoding="utf-8")
    said = fails_here("contamination", train, *options, "--clean", clean)
    assert "train.jsonl lacks, so it isn't replaced: name another folder" in said
    assert "My own." in (clean / "train.jsonl").read_text("utf-8")


@pytest.mark.parametrize(("percent", "code"), [("33", 1), ("34", None)])
def test_more_overlap_than_allowed_is_exit_code_1(train, tmp_path, percent, code):
    options = ["--against", "ifeval", "--data", f"ifeval={write_questions(tmp_path)}", "--fail-over", percent]
    if code is None:
        autoif_here("contamination", train, *options)
        return
    with pytest.raises(SystemExit) as stop:
        autoif_here("contamination", train, *options)
    assert stop.value.code == code


@pytest.mark.parametrize("case", REFUSALS)
def test_what_can_not_be_done_is_refused_in_one_line(train, tmp_path, case):
    options, expected = REFUSALS[case]
    places = {"questions": write_questions(tmp_path), "folder": tmp_path}
    assert expected in fails_here("contamination", train, *(option.format(**places) for option in options))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "no rows in"),
        ('{"prompt": "q"\n', "line 1: broken JSON"),
        ('{"prompt": "q"}\n{"key": 1}\n', "row 2: no text of"),
        ("[1]\n", "it has a list"),
        ('{"text": "t"}\n', "nothing is asked"),
    ],
)
def test_training_data_that_is_none_is_named(tmp_path, content, expected):
    train = tmp_path / "train.jsonl"
    train.write_text(content, encoding="utf-8")
    options = ["--against", "ifeval", "--data", f"ifeval={write_questions(tmp_path)}"]
    assert expected in fails_here("contamination", train, *options)


def test_a_folder_without_data_sets_and_a_file_of_another_kind_are_refused(tmp_path):
    other = tmp_path / "train.txt"
    other.write_text("prompt\n", encoding="utf-8")
    assert "name one, or a file of rows" in fails_here("contamination", tmp_path)
    assert "give .jsonl, .json, " in fails_here("contamination", other)


def test_functions_tell_which_types_of_constraints_are_trained(tmp_path, capsys):
    row = {
        "prompt": [{"role": "user", "content": "Say hello. Let no comma slip in."}],
        "constraints": [
            {
                "instruction": "Let no comma slip in.",
                "functions": ["def evaluate(response):\n    return ',' not in response"],
            }
        ],
    }
    train = write_rows(tmp_path / "rewards.jsonl", row, row)
    options = ["--against", "ifeval", "--data", f"ifeval={write_questions(tmp_path)}", "-o", tmp_path / "out"]
    autoif_here("contamination", train, *options)
    said = capsys.readouterr().out
    assert "1 of 3 types that were tried, of 3, are trained" in said
    assert "punctuation:no_comma 1" in said
    found = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))["constraint_types"]["ifeval"]
    assert found["punctuation:no_comma"]["prompts"] == 2
    assert found["punctuation:no_comma"]["instructions"] == [
        {"row": "rewards.jsonl:1", "text": "Let no comma slip in.", "agreement": 1.0}
    ]
    autoif_here("contamination", train, *options, "--no-constraints")
    assert json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))["constraint_types"] is None


def test_where_no_function_can_be_run_the_rest_is_told(tmp_path, monkeypatch, capsys):
    def refuse(*given: object) -> None:
        raise SandboxError("no sandbox here")

    monkeypatch.setattr("autoif.contamination.constraint_types.find_types", refuse)
    row = {"prompt": "Let no comma slip in.", "functions": ["def evaluate(response):\n    return True"]}
    train = write_rows(tmp_path / "rewards.jsonl", row)
    autoif_here("contamination", train, "--against", "ifeval", "--data", f"ifeval={write_questions(tmp_path)}")
    said = capsys.readouterr()
    assert "constraint types are not looked for: no sandbox here" in said.err
    assert "0.0 % of 3 prompts overlap" in said.out


def test_a_row_of_ones_own_benchmark_that_is_none_is_refused_by_a_name_people_know(train, tmp_path):
    data = write_rows(tmp_path / "mine.jsonl", {"prompt": ["no text"]})
    said = fails_here("contamination", train, "--against", "mine", "--data", f"mine={data}")
    assert "line 1: no PromptRow row (prompt: Input should be a valid string)" in said
