"""Folders of trainings and evaluations as `autoif train` and `autoif eval` leave them, written without a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from autoif.evaluation.results import Column, PromptResult, Scores, score, write_results
from autoif.training.card import write_record
from support.training_data import write_rows

PASS_RATE = Column(name="pass_rate", heading="Pass rate", label="accepted", averaged=True, paired=True)
BY_TYPE = Column(name="instruction_strict", heading="IFEval", label="In(S)")


def write_training(folder: Path, kind: str = "sft", text: str = "tiny", *, losses: Sequence[float] = (3, 2)) -> Path:
    """Write a finished training; `text` is in every field that may hold a stranger's."""
    folder.mkdir(parents=True)
    rows = [{"step": step, "loss": loss, "learning_rate": 1e-5 / step} for step, loss in enumerate(losses, 1)]
    write_rows(folder / "metrics.jsonl", *rows)
    data = {"file": text, "rows": 9, "sha256": "ab", "levels": {text: 9}, "run": {"preset": text}}
    write_record(folder, {
        "identity": {}, "kind": kind, "status": "complete", "lora": None, "steps": len(losses), "device": text,
        "metrics": {"loss": {"first": losses[0], "last": losses[-1]}}, "reward": {"mode": text},
        "model": {"name": text, "content": "SHA-256 cd", "training": None}, "data": data, "eval_data": None,
        "lengths": {"truncated": 1, "dropped": 0}, "versions": {"torch": text}, "rounds": [],
        "settings": {"global_batch_size": 4, "seed": 0, "learning_rate": 1e-5, "note": text},
    })  # fmt: skip
    return folder


def write_evaluation(
    folder: Path,
    rows: Sequence[PromptResult],
    answers: Mapping[str, str],
    *,
    column: Column = PASS_RATE,
    text: str = "m",
) -> Path:
    """Write a finished evaluation, with a model's first answers by the id of the prompt; none for recorded ones."""
    folder.mkdir(parents=True)
    scores = Scores(
        benchmark="b", place=0, title=column.heading, about="about", model=text, policy=f"{text}, transformers",
        settings={"answers": "sampled", "note": text}, data="there", data_id="d", prompts=len(rows),
        prompts_of_benchmark=len(rows), partial=(), responses_per_prompt=1, columns=(column,),
        scores=score(rows, [column], parts_count_alike=False), parts={}, parts_count_alike=False, counts={},
        remarks=(text,), report=(), details={}, versions={},
    )  # fmt: skip
    write_results(folder, scores, rows)
    if answers:
        samples = ({"prompt_id": id, "index": 0, "text": said, "finish_reason": "stop"} for id, said in answers.items())
        write_rows(folder / "samples.jsonl", *samples)
    return folder


def answer_prompts(accepted: Mapping[str, Sequence[float]]) -> list[PromptResult]:
    """Return the results of a pass rate: for each instruction, the score of each of its prompts."""
    return [
        PromptResult(
            id=f"{word}{number}", key=f"{word} {number}", cluster=word, prompt=f"Question {number}. Use {word}.",
            scores={"pass_rate": (value,)}, details={"instructions": [f"Use {word}."]},
        )
        for word, values in accepted.items()
        for number, value in enumerate(values)
    ]  # fmt: skip
