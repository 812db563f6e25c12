"""Reads the files of GSM8K, MMLU, HumanEval and C-Eval, as their authors publish them, into lm-eval's rows.

    gsm8k       a folder with test.jsonl and train.jsonl
    humaneval   HumanEval.jsonl.gz or HumanEval.jsonl, or a folder with it
    mmlu        mmlu.zip or a folder with SUBJECT_test.csv and SUBJECT_dev.csv, without headers
    ceval       ceval.zip or a folder with SUBJECT_val.csv and SUBJECT_dev.csv, with headers

Other files there are ignored. A file in another format is refused, and the error names the first place that differs.
"""

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, JsonValue, ValidationError

from autoif.errors import ConfigError, StoreError
from autoif.reading.jsonl import name_problem, read_jsonl
from autoif.records import ForeignRow

TaskName = Literal["gsm8k", "mmlu", "humaneval", "ceval"]
TASKS: tuple[TaskName, ...] = get_args(TaskName)
_LETTERS = "ABCD"
_COLUMNS = ("question", *_LETTERS, "answer")
_CSV_FIELD_BYTES = 1 << 20


class GSM8K(ForeignRow):
    """A word problem; the answer has reasoning and ends with #### and a number."""

    question: str
    answer: Annotated[str, Field(pattern="#### ")]


class HumanEval(ForeignRow):
    """A function to complete, and a `check` of it."""

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: Annotated[str, Field(pattern=r"def check\(")]


class MMLU(ForeignRow):
    """A question whose answer is the index of the right choice."""

    question: str
    choices: Annotated[list[str], Field(min_length=4, max_length=4)]
    answer: Annotated[int, Field(ge=0, le=3)]


class CEval(ForeignRow):
    """A question whose answer is a letter."""

    question: str
    A: str
    B: str
    C: str
    D: str
    answer: Literal["A", "B", "C", "D"]


@dataclass(frozen=True, slots=True)
class Published:
    """Constants of a benchmark."""

    title: str
    row: type[ForeignRow]
    size: int
    """Questions of the whole benchmark."""
    place: int
    """Position in the paper's table, after the other benchmarks."""
    metric: str
    """lm-eval's metric that is the score."""
    others: tuple[str, ...] = ()
    """Further metrics, which comparisons don't show."""
    text: str = ""
    """The column that recorded answers are matched by; "" if choices are compared by likelihood, which neither recorded
    answers nor servers of chat completions give."""

    def read(self, row: object) -> dict[str, JsonValue]:
        """Return the columns of a row that its question needs; raise `ValidationError` if they are missing."""
        return self.row.model_validate(row).model_dump()


PUBLISHED: Mapping[TaskName, Published] = {
    "gsm8k": Published(
        "GSM8K", GSM8K, 1319, 6, "exact_match, strict-match", ("exact_match, flexible-extract",), "question"
    ),
    "mmlu": Published("MMLU", MMLU, 14042, 5, "acc"),
    "humaneval": Published("HumanEval", HumanEval, 164, 7, "pass@1", text="prompt"),
    # Its validation set: the answers of the test set are not public.
    "ceval": Published("C-Eval", CEval, 1346, 4, "acc", ("acc_norm",)),
}  # fmt: skip
Rows = list[dict[str, JsonValue]]


def read_files(task: TaskName, path: Path, subjects: Sequence[str]) -> dict[str, tuple[Rows, Rows]]:
    """Return for each subject its questions and the rows to take examples from. Without subjects the key is "".

    Raises:
        ConfigError: a subject or a file is missing.
        StoreError: a file can't be read, or has another format.
    """
    if not path.exists():
        raise ConfigError(f"--data {task}={path}: there is no such file or folder")
    match task:
        case "gsm8k":
            return {"": (_read_lines(task, path / "test.jsonl"), _read_lines(task, path / "train.jsonl"))}
        case "humaneval":
            return {"": (_read_lines(task, _find_programs(path)), [])}
        case _:
            return _read_subjects(task, path, subjects)


def _read_lines(task: TaskName, path: Path) -> Rows:
    rows = [row.model_dump() for row in read_jsonl(path, PUBLISHED[task].row)]
    if not rows:
        raise ConfigError(f"{path} has no rows")
    return rows


def _find_programs(path: Path) -> Path:
    if path.is_file():
        return path
    for name in ("HumanEval.jsonl.gz", "HumanEval.jsonl"):
        if (path / name).is_file():
            return path / name
    raise ConfigError(f"{path} has no HumanEval.jsonl.gz: name the file, or the folder that holds it")


def _read_subjects(task: TaskName, path: Path, subjects: Sequence[str]) -> dict[str, tuple[Rows, Rows]]:
    tables = _read_tables(task, path)
    asked = "test" if task == "mmlu" else "val"
    found = {}
    for subject in subjects:
        both = []
        for part in (asked, "dev"):
            name = f"{subject}_{part}.csv"
            if name not in tables:
                raise ConfigError(f"{path} lacks the subject {subject} of {PUBLISHED[task].title}: there is no {name}")
            both.append(_read_table(task, tables[name], f"{path}, {name}"))
        found[subject] = (both[0], both[1])
    return found


def _read_tables(task: TaskName, path: Path) -> dict[str, bytes]:
    """Return the content of the CSV files by name, from a zip file, a folder, or the zip file in a folder."""
    inside = path / f"{task}.zip"
    try:
        if path.is_dir() and not inside.is_file():
            return {each.name: each.read_bytes() for each in sorted(path.rglob("*.csv"))}
        with zipfile.ZipFile(inside if path.is_dir() else path) as archive:
            return {name.rsplit("/", 1)[-1]: archive.read(name) for name in archive.namelist() if name.endswith(".csv")}
    except zipfile.BadZipFile:
        title = PUBLISHED[task].title
        raise StoreError(f"{path} is no zip file: name {task}.zip, or a folder of {title}'s tables") from None
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror}") from None


def _read_table(task: TaskName, content: bytes, where: str) -> Rows:
    csv.field_size_limit(_CSV_FIELD_BYTES)
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise StoreError(f"{where}: no table ({error})") from None
    columns: Sequence[str] = _COLUMNS
    if task == "ceval" and lines:
        columns, lines = lines[0], lines[1:]
    rows = []
    for number, line in enumerate(lines, 1):
        cells: dict[str, object] = dict(zip(columns, line, strict=False))
        if task == "mmlu" and len(line) == len(_COLUMNS):
            cells = {"question": line[0], "choices": line[1:5], "answer": _LETTERS.find(line[5])}
        try:
            rows.append(PUBLISHED[task].read(cells))
        except ValidationError as error:
            name = PUBLISHED[task].row.__name__
            raise StoreError(f"{where}, row {number}: no {name} row ({name_problem(error)})") from None
    return rows
