"""How fast IFEval and IFBench are scored on one and two processes, and whether the verdicts are the recorded ones.

    AUTOIF_DATA=FOLDER python benchmarks/ifeval.py

Fails if two processes are less than 1.7 times as fast as one on nine models' recorded responses.
"""

import gzip
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from autoif.evaluation.benchmark import evaluate, take_recorded
from autoif.evaluation.ifeval_ifbench.benchmark import load_benchmark
from autoif.evaluation.ifeval_ifbench.checkers import REVISIONS, Verdicts
from autoif.evaluation.ifeval_ifbench.data import Question, Questions, read_questions
from autoif.evaluation.ifeval_ifbench.processes import Job, open_checkers
from autoif.evaluation.results import Scores
from recordings import find_recordings

WANTED = 1.7


def main() -> int:
    data = find_recordings()
    os.environ.setdefault("NLTK_DATA", str(data / "nltk"))
    questions, models = read_nine(data)
    jobs = [(questions[str(row["key"])], row["response"] or "") for rows in models.values() for row in rows]
    asked = Questions("ifeval", tuple(questions.values()))
    judged, one_s = judge(asked, jobs, 1)
    again, two_s = judge(asked, jobs, 2)
    assert judged == again, "the number of processes changes verdicts"
    compare(models, judged)
    score_ifbench(data)
    print(f"{len(jobs):,} responses of nine models: {one_s:.1f} s on one process, {two_s:.1f} s on two")
    print(f"{one_s / two_s:.2f} times as fast (wanted: {WANTED})")
    return 0 if one_s / two_s >= WANTED else 1


def read_nine(data: Path) -> tuple[dict[str, Question], dict[str, list[dict[str, Any]]]]:
    """Return the prompts by key, and each model's recorded rows."""
    questions = {}
    for line in (data / "ifeval/recorded/en_input_data.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        row["instruction_id_list"] = [name.removeprefix("en:") for name in row["instruction_id_list"]]
        questions[str(row["key"])] = Question.model_validate(row)
    models: dict[str, list[dict[str, Any]]] = {}
    recorded = data / "ifeval/recorded/nine_models_responses_and_verdicts.jsonl.gz"
    with gzip.open(recorded, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            models.setdefault(row["model"], []).append(row)
    return questions, models


def judge(asked: Questions, jobs: list[Job], workers: int) -> tuple[list[Verdicts | str], float]:
    """Return verdicts, and the seconds that they took; starting is told apart."""
    began = time.monotonic()
    with open_checkers(asked, len(jobs), workers) as run:
        run(jobs[:64])  # each process has loaded the checkers then
        started = time.monotonic()
        judged = run(jobs)
        done = time.monotonic()
    print(f"processes: {workers}; start {started - began:.1f} s, scoring {done - started:.1f} s")
    return judged, done - started


def compare(models: dict[str, list[dict[str, Any]]], judged: list[Verdicts | str]) -> None:
    """Print each model's scores, recorded and ours, and how many of the verdicts differ."""
    verdicts = iter(judged)
    print("model | strict: prompts, instructions | loose: prompts, instructions | verdicts that differ")
    for model, rows in models.items():
        cells, differing = [], 0
        ours = [next(verdicts) for _ in rows]
        for mode in ("strict", "loose"):
            here: list[list[bool]] = [list(getattr(each, mode)) for each in ours]
            there: list[list[bool]] = [row[mode] for row in rows]
            differing += sum(
                a != b for one, two in zip(here, there, strict=True) for a, b in zip(one, two, strict=True)
            )
            cells.append(f"{describe(here)} (recorded {describe(there)})")
        total = 2 * sum(len(row["strict"]) for row in rows)
        print(f"{model} | {cells[0]} | {cells[1]} | {differing} of {total}")


def describe(verdicts: list[list[bool]]) -> str:
    flat = [verdict for some in verdicts for verdict in some]
    return f"{100 * sum(map(all, verdicts)) / len(verdicts):.2f}, {100 * sum(flat) / len(flat):.2f}"


def score_ifbench(data: Path) -> None:
    """Print the scores of IFBench's sample responses by each revision of the checkers, and the recorded scores."""
    questions = read_questions("ifbench", data / "ifbench/IFBench_test.jsonl")
    known = {row.prompt for row in questions.rows}
    recorded = {
        mode: [
            row["follow_instruction_list"]
            for row in map(json.loads, (data / f"ifbench/eval_results_{mode}.jsonl").read_text("utf-8").splitlines())
            if row["prompt"] in known
        ]
        for mode in ("strict", "loose")
    }
    for revision, name in REVISIONS.items():
        with tempfile.TemporaryDirectory() as folder:
            asked, who = (
                load_benchmark(questions, revision=revision),
                take_recorded(data / "ifbench/sample_output.jsonl"),
            )
            scores = evaluate(asked, who, Path(folder), lambda line: None)
        print(f"IFBench, {scores.prompts} prompts, by {name}:")
        for mode, verdicts in recorded.items():
            print(f"  {mode}: {read(scores, mode)} (recorded {describe(verdicts)})")
        for line, text in scores.report:
            if line == "fault":
                print(f"  known fault of {text}")


def read(scores: Scores, mode: str) -> str:
    found = (scores.scores[f"{what}_{mode}"] for what in ("prompt", "instruction"))
    return ", ".join(f"{each.value:.2f}" if each else "-" for each in found)


if __name__ == "__main__":
    sys.exit(main())
