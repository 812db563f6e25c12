"""What the tests of IFEval and IFBench share: the recorded data, the checkers, small data files."""

import json
from functools import cache
from pathlib import Path

from autoif.benchmark_wordings import Suite
from autoif.evaluation.ifeval_ifbench.checkers import NEWEST, Checkers, Revision
from autoif.evaluation.ifeval_ifbench.data import Question
from support.packed_data import DATA, copy_own, unpack
from support.training_data import write_rows

TOKENIZERS = copy_own(DATA / "nltk")


@cache
def load_checkers(benchmark: Suite, revision: Revision = NEWEST) -> Checkers:
    return Checkers(benchmark, [str(TOKENIZERS)], revision)


def read_rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read_nine() -> dict[str, list[dict]]:
    """Return recorded rows on IFEval of each of nine models: all of three Qwen2.5, a part of the others."""
    found: dict[str, list[dict]] = {}
    for row in read_rows(unpack("ifeval") / "nine_models.jsonl"):
        found.setdefault(row["model"], []).append(row)
    return found


def read_questions_of_nine() -> tuple[Question, ...]:
    """Return IFEval as the nine models were asked it."""
    rows = read_rows(unpack("ifeval") / "nine_models_prompts.jsonl")
    for row in rows:
        row["instruction_id_list"] = [name.removeprefix("en:") for name in row["instruction_id_list"]]
    return tuple(map(Question.model_validate, rows))


def question(key: int, prompt: str, **instructions: dict) -> dict:
    """Return a row of data; an instruction is written with __ for its colon."""
    names = [name.replace("__", ":") for name in instructions]
    return {"key": key, "prompt": prompt, "instruction_id_list": names, "kwargs": list(instructions.values())}


def write_questions(folder: Path) -> Path:
    """Write a small IFEval: two prompts with one instruction, one with two."""
    return write_rows(
        folder / "questions.jsonl",
        question(1, "Write without commas.", punctuation__no_comma={}),
        question(2, "Write a title.", detectable_format__title={"unused": None}),
        question(
            3,
            "Write of tea, without commas.",
            keywords__existence={"keywords": ["tea"]},
            punctuation__no_comma={},
        ),
    )
