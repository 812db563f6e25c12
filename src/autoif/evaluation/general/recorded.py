"""Recorded answers to the questions that are answered by a text: those of GSM8K and HumanEval.

    {"prompt": text, "response": text}

A row belongs to the question whose text its prompt is, or holds alone: examples before it and words around it don't
matter. Several rows of a question of HumanEval are its samples, in order.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autoif.errors import ConfigError
from autoif.evaluation.general.answering import Requests
from autoif.evaluation.general.data import Questions
from autoif.evaluation.general.files import TITLES, TaskName
from autoif.evaluation.general.results import RecordedCounts
from autoif.evaluation.responses import RecordedRow, count
from autoif.models.requests import Completion
from autoif.sampling import Row, Sampler, SamplingSettings
from autoif.store import read_jsonl

_TEXTS: dict[TaskName, str] = {"gsm8k": "question", "humaneval": "prompt"}
"""The column that holds a question's text."""
_UNANSWERED = Completion("", "refused")


class RecordedAnswers:
    """Answers of a file in a model's place."""

    def __init__(self, file: Path) -> None:
        """Read them. Raises StoreError for a file that can't be read, or another form."""
        self._file = file
        self._rows = read_jsonl(file, RecordedRow)
        self._texts: dict[str, str] = {}
        self._answers: dict[str, list[Completion]] = {}

    @property
    def identity(self) -> str:
        """The file by content."""
        return f"recorded, SHA-256 {hashlib.sha256(self._file.read_bytes()).hexdigest()}"

    def match(self, asked: Sequence[Questions], samples: int) -> RecordedCounts:
        """Find the answers to questions, and return what of the file is not scored as it is.

        Args:
            asked: of the benchmarks.
            samples: answers to a question of HumanEval; to others, one.

        Raises:
            ConfigError: a benchmark has none.
        """
        most = {}
        for questions in asked:
            for each in questions.rows:
                text = str(each.row[_TEXTS[questions.task]]).strip()
                self._texts[each.id], self._answers[text] = text, []
                most[text] = samples if questions.task == "humaneval" else 1
        unknown, duplicates, empty = list[str](), list[str](), list[str]()
        for number, row in enumerate(self._rows, 1):
            found = self._find_question(row.prompt.strip())
            if found is None:
                unknown.append(f"row {number}: {row.prompt[:60]!r}")
                continue
            for answer in row.complete():
                if len(self._answers[found]) == most[found]:
                    duplicates.append(f"row {number}")
                else:
                    self._answers[found].append(answer)
                    empty += [] if answer.text.strip() or answer.reasoning else [f"row {number}"]
        for questions in asked:
            if not any(self._answers[self._texts[row.id]] for row in questions.rows):
                raise ConfigError(
                    f"{self._file} has no answer to a question of {TITLES[questions.task]}: leave it out of --tasks"
                )
        return RecordedCounts(unknown=count(unknown), duplicates=count(duplicates), empty=count(empty))

    def read_template(self) -> Callable[..., str] | None:
        return None

    def phrase(self, instances: Sequence[Any]) -> tuple[dict[str, str], ...]:
        return ({"role": "user", "content": instances[0].args[0]},)

    @contextmanager
    def open(self, requests: Requests, settings: SamplingSettings) -> Iterator[Sampler]:
        yield _RecordedSampler({key: self._answers[self._texts[key]] for key in requests})

    def _find_question(self, prompt: str) -> str | None:
        """Return the text of the one question that a prompt is or holds."""
        if prompt in self._answers:
            return prompt
        held = [text for text in self._answers if text in prompt]
        return held[0] if len(held) == 1 else None


class _RecordedSampler:
    """Gives the answers that there are; see `sampling.Sampler`."""

    batch_size = 1_024

    def __init__(self, answers: dict[str, list[Completion]]) -> None:
        self._answers = answers

    def sample(self, rows: Sequence[Row]) -> list[Completion]:
        return [
            some[row.index] if row.index < len(some := self._answers[row.prompt.id]) else _UNANSWERED for row in rows
        ]
