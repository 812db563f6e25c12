"""The questions of a general benchmark, from its own files or from the hub: all, or a subset by seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from pydantic import Field, JsonValue

from autoif.evaluation.general.definitions import Definition
from autoif.evaluation.general.files import PUBLISHED, Rows, TaskName, read_files
from autoif.evaluation.hub import fetch_rows
from autoif.records import Record, content_id
from autoif.sampling.precision import Precision


class GeneralSettings(Record):
    """Settings that affect the answers."""

    limit: int | None = None
    """Questions of each benchmark, chosen by the seed; None for all."""
    seed: int = 0
    chat_template: bool = False
    shots: dict[TaskName, int] = Field(default_factory=dict)
    """Examples before each question, for benchmarks where it isn't lm-eval's own number."""
    samples: int = 1
    """Programs for each question of HumanEval."""
    temperature: float = 0.0
    top_p: float = 1.0
    chat_template_kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    """Arguments for the chat template beside the messages."""
    max_tokens: int | None = None
    """Most tokens of an answer; None for lm-eval's own number."""
    batch_size: int = 8
    dtype: Precision = "auto"


@dataclass(frozen=True, slots=True)
class GeneralQuestion:
    """One question."""

    id: str
    """Hash of its content; if a benchmark has the same question several times, of its number among these, too."""
    subject: str
    """"" if the benchmark has no subjects."""
    row: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class GeneralQuestions:
    """A benchmark, or a part of one."""

    task: TaskName
    rows: tuple[GeneralQuestion, ...]
    examples: Mapping[str, Rows]
    """Rows to take the examples before a question from, by subject."""
    source: str

    @property
    def id(self) -> str:
        """Hash of the questions and the examples, in order."""
        return content_id([row.id for row in self.rows], {name: list(rows) for name, rows in self.examples.items()})


def read_questions(task: TaskName, path: Path | None, definitions: Sequence[Definition]) -> GeneralQuestions:
    """Read a benchmark's files, or fetch it from the hub if no path is named.
    Raises ConfigError: a subject or a file is missing, or the data set can't be fetched."""
    subjects = [definition.subject for definition in definitions]
    if path:
        found = read_files(task, path, subjects)
    else:
        found = {definition.subject: _fetch(task, definition) for definition in definitions}
    times: dict[str, int] = {}
    questions = []
    for subject in subjects:
        for row in found[subject][0]:
            key = content_id("general", task, subject, row)
            times[key] = times.get(key, 0) + 1
            questions.append(GeneralQuestion(key if times[key] == 1 else content_id(key, times[key]), subject, row))
    examples = {subject: found[subject][1] for subject in subjects}
    return GeneralQuestions(
        task, tuple(questions), examples, str(path) if path else str(definitions[0].config["dataset_path"])
    )


def choose_questions(questions: GeneralQuestions, limit: int | None, seed: int) -> GeneralQuestions:
    """Return `limit` random questions, spread over the subjects; the choice depends only on their content and the seed.

    They keep their order. A larger limit with the same seed gives the same questions, and more.
    """
    if limit is None or limit >= len(questions.rows):
        return questions
    drawn: dict[str, list[GeneralQuestion]] = {}
    for question in sorted(questions.rows, key=lambda each: content_id("chosen", seed, each.id)):
        drawn.setdefault(question.subject, []).append(question)
    order = sorted(drawn, key=lambda subject: content_id("chosen subject", seed, subject))
    rounds = zip_longest(*(drawn[subject] for subject in order))
    chosen = {each.id for each in [each for turn in rounds for each in turn if each][:limit]}
    return replace(questions, rows=tuple(each for each in questions.rows if each.id in chosen))


def _fetch(task: TaskName, definition: Definition) -> tuple[Rows, Rows]:
    name, part = definition.config["dataset_path"], definition.config.get("dataset_name")
    rows, examples = (
        fetch_rows(name, f"files by --data {task}=PATH", PUBLISHED[task].read, part=part, split=split) if split else []
        for split in (definition.split, definition.example_split)
    )
    return rows, examples
