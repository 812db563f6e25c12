"""`autoif contamination` as it is typed: its numbers, its files, its exit codes, its refusals."""

import json
import sys
from pathlib import Path

import pytest

from autoif.cli.main import main
from following import TOKENIZERS, read_rows, write_questions
from training import write_rows

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


def autoif(monkeypatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["autoif", "contamination", *map(str, arguments)])
    main()


def fails(monkeypatch, capsys, *arguments: object) -> str:
    """Return the one line that a refused command prints."""
    with pytest.raises(SystemExit) as stop:
        autoif(monkeypatch, *arguments)
    assert stop.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


def test_the_numbers_are_printed_and_written(train, tmp_path, monkeypatch, capsys):
    options = ["--against", "ifeval", "--data", f"ifeval={write_questions(tmp_path)}", "--neighbours", 1]
    out, clean = tmp_path / "out", tmp_path / "clean"
    autoif(monkeypatch, train, *options, "-o", out, "--clean", clean)
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


@pytest.mark.parametrize(("percent", "code"), [("33", 1), ("34", None)])
def test_more_overlap_than_allowed_is_exit_code_1(train, tmp_path, monkeypatch, percent, code):
    options = ["--against", "ifeval", "--data", f"ifeval={write_questions(tmp_path)}", "--fail-over", percent]
    if code is None:
        autoif(monkeypatch, train, *options)
        return
    with pytest.raises(SystemExit) as stop:
        autoif(monkeypatch, train, *options)
    assert stop.value.code == code


@pytest.mark.parametrize("case", REFUSALS)
def test_what_can_not_be_done_is_refused_in_one_line(train, tmp_path, monkeypatch, capsys, case):
    options, expected = REFUSALS[case]
    places = {"questions": write_questions(tmp_path), "folder": tmp_path}
    assert expected in fails(monkeypatch, capsys, train, *(option.format(**places) for option in options))


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
def test_training_data_that_is_none_is_named(tmp_path, monkeypatch, capsys, content, expected):
    train = tmp_path / "train.jsonl"
    train.write_text(content, encoding="utf-8")
    options = ["--against", "ifeval", "--data", f"ifeval={write_questions(tmp_path)}"]
    assert expected in fails(monkeypatch, capsys, train, *options)


def test_a_folder_without_data_sets_and_a_file_of_another_kind_are_refused(tmp_path, monkeypatch, capsys):
    other = tmp_path / "train.csv"
    other.write_text("prompt\n", encoding="utf-8")
    assert "name one, or files of rows" in fails(monkeypatch, capsys, tmp_path)
    assert "give .jsonl or .json" in fails(monkeypatch, capsys, other)


def test_functions_tell_which_types_of_constraints_are_trained(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NLTK_DATA", str(TOKENIZERS))
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
    autoif(monkeypatch, train, *options)
    said = capsys.readouterr().out
    assert "1 of 3 types that were tried, of 3, are trained" in said
    assert "punctuation:no_comma 1" in said
    found = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))["constraint_types"]["ifeval"]
    assert found["punctuation:no_comma"]["prompts"] == 2
    assert found["punctuation:no_comma"]["instructions"] == [
        {"row": "rewards.jsonl:1", "text": "Let no comma slip in.", "agreement": 1.0}
    ]
    autoif(monkeypatch, train, *options, "--no-constraints")
    assert json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))["constraint_types"] is None


def test_without_tokenizer_data_the_rest_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NLTK_DATA", "")
    monkeypatch.setattr("autoif.evaluation.ifeval_ifbench.tokenizer_data.data_folder", lambda: tmp_path / "nothing")
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path)
    row = {"prompt": "Let no comma slip in.", "functions": ["def evaluate(response):\n    return True"]}
    train = write_rows(tmp_path / "rewards.jsonl", row)
    autoif(monkeypatch, train, "--against", "ifeval", "--data", f"ifeval={write_questions(tmp_path)}")
    said = capsys.readouterr()
    assert "constraint types are not looked for: the checkers need tokenizers/punkt_tab" in said.err
    assert "0.0 % of 3 prompts overlap" in said.out
