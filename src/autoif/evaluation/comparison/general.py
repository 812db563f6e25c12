"""General abilities, each benchmark of them to be compared."""

from collections.abc import Sequence
from pathlib import Path

from autoif.evaluation.comparison.evaluated import Evaluated, Score, find_backend
from autoif.evaluation.general.files import TITLES, TaskName
from autoif.evaluation.general.results import GeneralScores, QuestionResult, TaskScore, read_general_scores
from autoif.evaluation.results import PER_PROMPT
from autoif.store import read_jsonl

GROUP = "General abilities"
COLUMNS: tuple[TaskName, ...] = ("ceval", "mmlu", "gsm8k", "humaneval")
"""In the order of the paper's table."""


def read_general(folder: Path) -> list[Evaluated]:
    """Return what `autoif eval general` measured, benchmark by benchmark. Raises StoreError."""
    scores = read_general_scores(folder)
    results = sorted(read_jsonl(folder / PER_PROMPT, QuestionResult), key=lambda result: result.id)
    return [
        _describe(folder, scores, name, [result for result in results if result.task == name])
        for name in COLUMNS
        if name in scores.tasks
    ]


def _describe(folder: Path, scores: GeneralScores, name: TaskName, results: Sequence[QuestionResult]) -> Evaluated:
    task, title = scores.tasks[name], TITLES[name]
    verdicts = [(result.id, result.verdicts[task.metric]) for result in results]
    values = [100.0 * verdict for _, some in verdicts for verdict in some]
    clusters = [question for question, some in verdicts for _ in some]
    shots = f"{task.shots} examples before each" if task.shots else "no examples before them"
    return Evaluated(
        folder=folder,
        benchmark=f"{scores.metric} {name}",
        title=title,
        about=f"{title}: {task.questions:,} questions, {shots}; the percentage of right answers, as lm-eval's "
        f"{task.metric} counts them. Intervals draw questions again.",
        prompts=frozenset(result.id for result in results),
        data=f"id {task.data_id}",
        settings={
            "answers": "recorded" if scores.recorded else "sampled",
            **scores.settings.model_dump(mode="json", exclude={"shots"}),
            "shots": task.shots,
            "metric": task.metric,
            "definition": task.definition,
            "data_id": task.data_id,  # the examples before a question belong to it
        },
        backend=find_backend(scores.policy, sampled=scores.recorded is None),
        versions=scores.versions,
        scores=(
            Score(GROUP, title, task.score, ((values, clusters),), tuple(result.correct for result in results)),
        ),
        remarks=tuple(_remark(task)),
    )  # fmt: skip


def _remark(task: TaskScore) -> list[str]:
    remarks = []
    if task.partial:
        remarks.append(f"PARTIAL, {task.questions:,} of {task.questions_of_benchmark:,} questions are scored")
    if task.cut.count:
        remarks.append(f"{task.cut.count:,} questions or answers cut")
    return remarks
