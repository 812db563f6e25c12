"""What an evaluation of general abilities leaves in its folder, written task by task and read back.

scores.json             a score for each benchmark, and everything that they depend on
per_prompt.jsonl        a row a question, benchmark after benchmark
tasks/TASK.json(l)      the same of one benchmark, there as soon as it is finished; it is not measured again
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, ValidationError

from autoif.errors import StoreError
from autoif.evaluation.bootstrap import Interval
from autoif.evaluation.general.files import TASKS, TaskName
from autoif.evaluation.responses import Counted, ResponseCounts
from autoif.evaluation.results import SCORES, refuse_other
from autoif.records import Record
from autoif.store import read_jsonl, storage_errors, write_json, write_jsonl
from autoif.text_lines import parse_json

PLAN = "general.json"
_PARTS = "tasks"


class GeneralSettings(Record):
    """What shapes the answers."""

    limit: int | None = None
    """Questions of each benchmark, chosen by the seed; None for all."""
    seed: int = 0
    chat_template: bool = False
    shots: dict[TaskName, int] = Field(default_factory=dict)
    """Examples before a question, where it isn't lm-eval's own number."""
    samples: int = 1
    """Programs for each question of HumanEval."""
    temperature: float = 0.0
    top_p: float = 1.0
    keep_thinking: bool = False
    """Judge answers with their thoughts."""
    chat_template_kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    """What the chat template is given beside the messages."""
    max_tokens: int | None = None
    """Of an answer; None for lm-eval's own number."""
    batch_size: int = 8
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"


class QuestionResult(Record):
    """One question, as a row of per_prompt.jsonl."""

    id: str
    """Of its content: the same id, the same question."""
    task: TaskName
    subject: str
    """"" where there are no subjects."""
    correct: bool
    """By the metric that the score is of; of several samples, the first."""
    verdicts: dict[str, tuple[bool, ...]]
    """By metric, of each sample."""
    details: tuple[str, ...] = ()
    """Why each program did not pass."""


class SubjectScore(Record):
    """The share of right answers in one subject, in percent."""

    questions: int
    score: float


class TaskScore(Record):
    """One benchmark. Scores and their intervals are in percent."""

    metric: str
    """That of lm-eval which the score is of."""
    score: Interval
    others: dict[str, Interval]
    """By its other metrics; of HumanEval with several samples, pass@k."""
    questions: int
    """That are scored."""
    questions_of_benchmark: int
    partial: bool
    """Whether fewer questions are scored than the benchmark has."""
    shots: int
    """Examples before a question."""
    definition: str
    """lm-eval's task and its version."""
    data: str
    """Where the questions are from."""
    data_id: str
    """Of the questions and the examples before them."""
    subjects: dict[str, SubjectScore]
    unanswered: Counted
    """Questions that an endpoint refused, with what it said, or to which too few answers are recorded: not scored."""
    cut: Counted
    """Questions that lost their beginning to the context, or answers that an endpoint cut: scored as they are."""
    responses: ResponseCounts | None = None
    """Thoughts, refusals and unknown ends; None where choices are compared and nothing is written."""


class RecordedCounts(Record):
    """What of recorded answers is not scored as it is."""

    unknown: Counted
    """Rows that belong to no question that is asked: not scored."""
    duplicates: Counted
    """Rows beyond as many as each question is asked: not scored."""
    empty: Counted
    """Rows without text: scored as they are."""


class GeneralScores(Record):
    """scores.json of general abilities."""

    metric: Literal["general"] = "general"
    model: str
    """As it was named."""
    policy: str
    """Who answered: the model's content, and what ran it."""
    settings: GeneralSettings
    partial: bool
    """Whether any benchmark is."""
    tasks: dict[TaskName, TaskScore]
    recorded: RecordedCounts | None = None
    """None if a model was asked."""
    versions: dict[str, JsonValue]

    @property
    def identity(self) -> dict[str, JsonValue]:
        """What the results of a folder belong to, but for the data."""
        return identify(self.policy, self.settings)


def identify(policy: str, settings: GeneralSettings) -> dict[str, JsonValue]:
    """Return what results belong to, by name."""
    return {"policy": policy, **settings.model_dump(mode="json")}


def claim_folder(folder: Path, policy: str, settings: GeneralSettings) -> None:
    """Refuse a folder that holds another evaluation, before a model is asked; note what this one is.

    Raises:
        StoreError: it does, or it can't be written.
    """
    now = json.loads(json.dumps(identify(policy, settings)))
    path = folder / PLAN
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        there = _read_plan(path) if path.exists() else None
        if there is None and ((folder / SCORES).exists() or any(folder.glob("*.jsonl"))):
            raise StoreError(f"{folder} holds another evaluation: choose another --output")
        if there is not None:
            refuse_other(folder, there, now)
    write_json(path, now)


def read_general_scores(folder: Path) -> GeneralScores:
    """Return the scores of an evaluated folder. Raises StoreError if it has none, or others."""
    path = folder / SCORES
    try:
        return GeneralScores.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror}") from None
    except ValidationError:
        raise StoreError(f"{path} holds no scores of general abilities of this version") from None


def read_finished(folder: Path) -> dict[TaskName, tuple[TaskScore, list[QuestionResult]]]:
    """Return the benchmarks that a folder has whole, in their order. Raises StoreError for a damaged file."""
    found: dict[TaskName, tuple[TaskScore, list[QuestionResult]]] = {}
    for name in TASKS:
        path = folder / _PARTS / f"{name}.json"
        if path.exists():
            try:
                score = TaskScore.model_validate_json(path.read_bytes())
            except ValidationError:
                raise StoreError(f"{path} is no score of this version: delete it to score {name} anew") from None
            found[name] = (score, read_jsonl(path.with_suffix(".jsonl"), QuestionResult))
    return found


def write_finished(folder: Path, name: TaskName, score: TaskScore, rows: Sequence[QuestionResult]) -> None:
    """Write one benchmark; its score comes last, so that it is there only if all is."""
    path = folder / _PARTS / f"{name}.json"
    write_jsonl(path.with_suffix(".jsonl"), rows)
    write_json(path, score)


def _read_plan(path: Path) -> dict[str, JsonValue]:
    try:
        found: dict[str, JsonValue] = parse_json(path.read_text(encoding="utf-8"))
    except ValueError:
        raise StoreError(f"{path} is damaged: delete it, or choose another --output") from None
    return found
