"""What the tests of comparisons share: recorded models on IFEval, small folders of every benchmark."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

from autoif.evaluation.benchmark import BenchmarkTask, measure_responses
from autoif.evaluation.benchmark_results import Counted
from autoif.evaluation.benchmarks import Questions, read_questions
from autoif.evaluation.followbench.data import read_benchmark
from autoif.evaluation.followbench.measure import Task, measure, read_answers
from autoif.evaluation.general.files import TaskName
from autoif.evaluation.general.results import (
    GeneralScores,
    GeneralSettings,
    QuestionResult,
    TaskScore,
)
from autoif.evaluation.rates import estimate_rate
from autoif.evaluation.results import write_results
from followbenching import ask, respond, write_data, write_judgements
from following import TOKENIZERS, read_nine, read_questions_of_nine, write_questions
from training import write_rows

GROUPS = {"style": 4, "example": 2}
GOOD = {
    "Write without commas.": "Tea is hot.",
    "Write a title.": "<<Tea>>",
    "Write of tea, without commas.": "Tea is hot I think.",
}


@cache
def read_recorded() -> tuple[Questions, dict[str, list[dict]]]:
    """Return IFEval as nine models were asked it, and each model's rows."""
    return Questions("ifeval", read_questions_of_nine()), read_nine()


def measure_recorded_model(part: str, folder: Path) -> Path:
    """Score the model whose name has this part on IFEval, into a folder of its own within its folder."""
    questions, models = read_recorded()
    [rows] = [rows for name, rows in models.items() if part in name]
    texts = {row.key: row.prompt for row in questions.rows}
    responses = [{"prompt": texts[str(row["key"])], "response": row["response"]} for row in rows]
    file = write_rows(folder.with_name(f"{folder.name}.jsonl"), *responses)
    _measure(file, BenchmarkTask(questions, folder / "ifeval", print))
    return folder


def measure_ifeval(folder: Path, texts: Mapping[str, str] = GOOD, **options: bool) -> Path:
    """Score responses to the small IFEval."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    file = write_rows(folder.with_name("responses.jsonl"), *({"prompt": p, "response": r} for p, r in texts.items()))
    questions = read_questions("ifeval", write_questions(folder.parent))
    _measure(file, BenchmarkTask(questions, folder, print, **options))
    return folder


def write_general(folder: Path, right: Mapping[TaskName, Sequence[bool]], **settings: object) -> Path:
    """Write what `autoif eval general` writes, with these verdicts."""
    tasks, rows = {}, []
    for name, verdicts in right.items():
        ids = [f"{name} {number}" for number in range(len(verdicts))]
        rows += [
            QuestionResult(id=key, task=name, subject="", correct=verdict, verdicts={"acc": (verdict,)})
            for key, verdict in zip(ids, verdicts, strict=True)
        ]
        tasks[name] = TaskScore(
            metric="acc", score=estimate_rate([100.0 * verdict for verdict in verdicts], ids), others={},
            questions=len(ids), questions_of_benchmark=1000, partial=True, shots=5, definition=f"{name}, version 1",
            data="there", data_id="d", subjects={}, unanswered=Counted(count=0), cut=Counted(count=0),
        )  # fmt: skip
    folder.mkdir(parents=True)
    given = GeneralSettings.model_validate(settings)
    scores = GeneralScores(model="m", policy="m, transformers", settings=given, partial=True, tasks=tasks, versions={})
    write_results(folder, scores, rows)
    return folder


def _measure(file: Path, task: BenchmarkTask) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NLTK_DATA", str(TOKENIZERS))
        measure_responses(file, task)


def measure_followbench(folder: Path, verdicts: Mapping[tuple[int, int], str], text: str = "Bot: no") -> Path:
    """Score recorded judgements of a small FollowBench; (example, level) of style as given, else a yes."""
    place = folder.with_name(f"{folder.name}-recorded")
    data = write_data(place / "data", GROUPS)
    responses = write_rows(place / "responses.jsonl", *respond(GROUPS, text))
    said = [
        (
            ask("style", example, level, f"{text} {example}/{level}"),
            verdicts.get((example, level), str(["YES"] * level)),
        )
        for example in range(1, GROUPS["style"] + 1)
        for level in range(1, 6)
    ]
    judgements = write_judgements(place / "judgements", "style", said)
    task = Task(read_benchmark(data), judgements, folder, print)
    measure(read_answers(responses, task), task)
    return folder
