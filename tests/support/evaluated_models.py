"""What the tests of comparisons share: recorded models on IFEval, small folders of every benchmark."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

from autoif.evaluation.benchmark import evaluate, take_recorded
from autoif.evaluation.followbench.benchmark import load_benchmark as load_followbench
from autoif.evaluation.followbench.data import read_items
from autoif.evaluation.general.files import PUBLISHED, TaskName
from autoif.evaluation.ifeval_ifbench.benchmark import load_benchmark
from autoif.evaluation.ifeval_ifbench.data import Questions, read_questions
from autoif.evaluation.results import Column, PromptResult, Scores, score, write_results
from support.followbench_data import ask, respond, write_data, write_judgements
from support.ifeval_data import TOKENIZERS, read_nine, read_questions_of_nine, write_questions
from support.training_data import write_rows

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
    _measure(file, questions, folder / "ifeval")
    return folder


def measure_ifeval(folder: Path, texts: Mapping[str, str] = GOOD, **options: bool) -> Path:
    """Score responses to the small IFEval."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    file = write_rows(folder.with_name("responses.jsonl"), *({"prompt": p, "response": r} for p, r in texts.items()))
    questions = read_questions("ifeval", write_questions(folder.parent))
    _measure(file, questions, folder, **options)
    return folder


def write_general(folder: Path, right: Mapping[TaskName, Sequence[bool]], **settings: object) -> Path:
    """Write what `autoif eval general` writes, with these verdicts."""
    for name, verdicts in right.items():
        rows = [
            PromptResult(id=f"{name} {n}", key=f"{name} {n}", cluster=f"{name} {n}", scores={"acc": (100.0 * verdict,)})
            for n, verdict in enumerate(verdicts)
        ]
        columns = (Column(name="acc", heading="General abilities", label=PUBLISHED[name].title, paired=True),)
        partial = f"{len(rows)} of 1,000 prompts are scored"
        scores = Scores(
            benchmark=name, place=["ceval", "mmlu", "gsm8k", "humaneval"].index(name) + 4,
            title=PUBLISHED[name].title,
            about="", model="m", policy="m, transformers",
            settings={"answers": "sampled", "chat_template": False, **settings}, data="there",
            data_id="d", prompts=len(rows), prompts_of_benchmark=1000, partial=(partial,), responses_per_prompt=1,
            columns=columns, scores=score(rows, columns, parts_count_alike=False), parts={}, parts_count_alike=False,
            counts={}, remarks=(f"PARTIAL, {partial}",), report=(), details={}, versions={},
        )  # fmt: skip
        (folder / name).mkdir(parents=True)
        write_results(folder / name, scores, rows)
    return folder


def _measure(file: Path, questions: Questions, folder: Path, *, corrected=False, keep_thinking=False) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NLTK_DATA", str(TOKENIZERS))
        asked = load_benchmark(questions, corrected=corrected)
        evaluate(asked, take_recorded(file), folder, print, keep_thinking=keep_thinking)


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
    evaluate(load_followbench(read_items(data), judgements, folder, print), take_recorded(responses), folder, print)
    return folder
