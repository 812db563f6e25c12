"""Our verdicts on recorded responses are those that were recorded, and those of another package's program beside us."""

import gzip
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from autoif.evaluation.benchmarks import Question
from following import NINE, SHARED, TOKENIZERS, load_checkers, read_rows

LM_EVAL = Path(sys.prefix) / "trainers/lm-eval"
PROGRAM = Path(__file__).parent / "trainers/use_lm_eval.py"

LETTER, LOWER, UPPER = "keywords:letter_frequency", "change_case:english_lowercase", "change_case:english_capital"
DIFFERING = {
    "CohereForAI__aya-23-8B": {("1122", "strict", LETTER), ("2596", "strict", "language:response_language")},
    "Qwen__Qwen2.5-0.5B-Instruct-GPTQ-Int4": {
        (key, mode, LETTER) for key in ("1122", "1129") for mode in ("strict", "loose")
    },
    "Qwen__Qwen2.5-32B-Instruct-GPTQ-Int4": {("1122", "strict", LETTER)},
    "Qwen__Qwen2.5-3B-Instruct-GPTQ-Int4": {
        ("1129", "strict", LETTER), ("3150", "strict", LOWER), ("3424", "strict", UPPER),
    },
    "Qwen__Qwen2.5-7B-Instruct-GPTQ-Int4": {
        ("1122", "loose", LETTER), ("1129", "strict", LETTER), ("3456", "strict", UPPER), ("3617", "loose", UPPER),
    },
    "claude-3-5-sonnet-20240620": {("1122", "loose", LETTER), ("1129", "loose", LETTER)},
    "gpt-4o-mini-2024-07-18": {("1122", "strict", LETTER), ("202", "loose", LOWER)},
    "hugging-quants__Meta-Llama-3.1-8B-Instruct-AWQ-INT4": {("3617", "loose", UPPER)},
    "o1-mini-2024-09-12": {("1129", "loose", LETTER)},
}  # fmt: skip
"""All verdicts that differ. The official program decides each anew in every run: a language that it recognises without
a seed, or how often a random letter is there in place of # and !."""


def judge(benchmark, row: Question, response: str):
    return load_checkers(benchmark).judge(row.prompt, row.instructions, response)


def read_nine() -> dict[str, list[dict]]:
    """Return the recorded rows of each of nine models."""
    found: dict[str, list[dict]] = {}
    with gzip.open(NINE, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            found.setdefault(row["model"], []).append(row)
    return found


def read_questions_of_nine() -> dict[str, Question]:
    rows = read_rows(SHARED / "ifeval/recorded/en_input_data.jsonl")
    for row in rows:
        row["instruction_id_list"] = [name.removeprefix("en:") for name in row["instruction_id_list"]]
    return {str(row["key"]): Question.model_validate(row) for row in rows}


def test_ifeval_verdicts_on_nine_models_are_the_recorded_ones_but_for_what_the_official_program_leaves_open():
    questions = read_questions_of_nine()
    for model, rows in read_nine().items():
        assert len(rows) == 541
        differing = set()
        for row in rows:
            question = questions[str(row["key"])]
            judged = judge("ifeval", question, row["response"] or "")
            for mode, ours in (("strict", judged.strict), ("loose", judged.loose)):
                assert len(ours) == len(row[mode])
                compared = zip(question.instruction_id_list, ours, row[mode], strict=True)
                differing |= {(question.key, mode, name) for name, here, there in compared if here != there}
        assert differing == DIFFERING[model], model


def test_ifbench_verdicts_are_the_recorded_ones_row_by_row():
    questions = {
        row["prompt"]: Question.model_validate(row) for row in read_rows(SHARED / "ifbench/IFBench_test.jsonl")
    }
    responses = {row["prompt"]: row["response"] for row in read_rows(SHARED / "ifbench/sample_output.jsonl")}
    recorded = {
        mode: {row["prompt"]: row for row in read_rows(SHARED / f"ifbench/eval_results_{mode}.jsonl")}
        for mode in ("strict", "loose")
    }
    compared = 0
    for prompt, response in responses.items():
        if prompt not in questions:
            continue  # four prompts were changed since; their arguments are not recorded
        judged = judge("ifbench", questions[prompt], response)
        assert list(judged.strict) == recorded["strict"][prompt]["follow_instruction_list"]
        assert list(judged.loose) == recorded["loose"][prompt]["follow_instruction_list"]
        compared += 1
    assert (len(responses), compared) == (294, 290)


def test_ifeval_verdicts_on_text_bison_are_those_of_lm_eval_run_beside_it(tmp_path):
    assert LM_EVAL.is_dir(), "make trainers"
    data, responses = (
        SHARED / "ifeval/input_data_v0_2023-11.jsonl",
        SHARED / "ifeval/input_response_data_text_bison.jsonl",
    )
    with zipfile.ZipFile(TOKENIZERS / "tokenizers/punkt_tab.zip") as archive:
        archive.extractall(tmp_path / "tokenizers")  # its NLTK reads no archives
    subprocess.run(
        [sys.executable, str(PROGRAM), str(data), str(responses), str(tmp_path / "found.json")],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(LM_EVAL), "NLTK_DATA": str(tmp_path)},
        check=True,
        capture_output=True,
    )
    theirs = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    texts = {row["prompt"]: row["response"] for row in read_rows(responses)}
    ours = {}
    for row in map(Question.model_validate, read_rows(data)):
        if row.prompt in theirs:
            judged = judge("ifeval", row, texts[row.prompt])
            ours[row.prompt] = [list(judged.strict), list(judged.loose)]
    assert len(ours) == len(theirs) == 499  # at the others, whose data lacks prompt_to_repeat, both refuse
    assert ours == theirs
