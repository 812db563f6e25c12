"""The files in the folder of an evaluation, in the same format for all benchmarks.

evaluation.json     which evaluation the folder is for; another one is refused before anything is asked
samples.jsonl       a model's answers, from which an interrupted evaluation resumes
per_prompt.jsonl    a row for each prompt: id, cluster, scores by name, flags of its responses
scores.json         the scores with their intervals, and everything that they depend on; written last
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, ValidationError

from autoif.errors import StoreError
from autoif.evaluation.statistics import Interval, Stratum, bootstrap_strata, estimate_strata_rate
from autoif.reading.json_text import parse_json
from autoif.reading.jsonl import name_problem, read_jsonl
from autoif.records import Record
from autoif.runs.whole_files import storage_errors, write_json, write_jsonl

CLAIM, SAMPLES, PER_PROMPT, SCORES = "evaluation.json", "samples.jsonl", "per_prompt.jsonl", "scores.json"
_NAMED = 20


class Counted(Record):
    """A count of something that affects the scores, with examples."""

    count: int
    named: tuple[str, ...] = ()
    """Keys of prompts, or places in a file; the first twenty different ones."""


def count(named: Iterable[str]) -> Counted:
    """Return the number of names, with the first different ones."""
    listed = list(named)
    return Counted(count=len(listed), named=tuple(dict.fromkeys(listed))[:_NAMED])


class Column(Record):
    """One score: its name, and how it is computed from the values of the prompts."""

    name: str
    heading: str
    """Heading above it in a table, shared with its neighbours."""
    label: str
    unit: str = "%"
    digits: int = 1
    most: float = 100
    averaged: bool = False
    """Whether each prompt counts once, by the mean of its values; otherwise every value counts."""
    by_prompt: bool = False
    """Whether the bootstrap resamples prompts instead of clusters."""
    paired: bool = False
    """Whether each value is a right or wrong response to a prompt, so that McNemar's test applies."""
    shown: Literal["figures", "tables", "nowhere"] = "figures"
    """Where comparisons show it; "figures" includes tables."""


class PromptResult(Record):
    """A prompt with its responses, as a row of per_prompt.jsonl."""

    id: str
    """Hash of its content: the same id means the same question, judged in the same way."""
    key: str
    """The benchmark's own name for it."""
    cluster: str
    """Values within a cluster are correlated, so the bootstrap resamples whole clusters."""
    part: str = ""
    """Its type or subject."""
    prompt: str = ""
    """The text of the prompt, for people; of a long one, the end."""
    scores: dict[str, tuple[float, ...]]
    """By the score's name: one value, or several, for each response."""
    flags: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    """By the flag's name (`empty`, `truncated`, `refused`, …): the indexes of the responses that have it."""
    details: dict[str, JsonValue] = Field(default_factory=dict)
    """Further results, specific to the benchmark."""


class Scores(Record):
    """scores.json."""

    benchmark: str
    """Only evaluations of the same benchmark are compared."""
    place: int
    """Position in a table of several benchmarks."""
    title: str
    about: str
    """What the scores mean, and what the bootstrap resamples."""
    model: str
    """As the user named it."""
    policy: str
    """What answered: a hash of the model and the backend, or a hash of the recorded files."""
    settings: dict[str, JsonValue]
    """Settings that must be the same for models that are compared."""
    data: str
    """Which prompts these are, for people."""
    data_id: str
    prompts: int
    """How many prompts are scored."""
    prompts_of_benchmark: int
    partial: tuple[str, ...]
    """Why the scores don't cover the whole benchmark; empty if they do."""
    responses_per_prompt: int
    columns: tuple[Column, ...]
    scores: dict[str, Interval | None]
    """By the column's name; None if there is nothing to score."""
    parts: dict[str, dict[str, Interval | None]]
    """The same by type or subject."""
    parts_count_alike: bool
    """Whether a score is the mean of its parts' scores; otherwise it is over all prompts."""
    counts: dict[str, Counted]
    """Counts of what isn't scored (`missing`, `unknown`, `duplicates`), and of flagged responses (`empty`, …)."""
    said: tuple[str, ...] = ()
    """Messages of servers on refusals and unknown ends: the first different ones."""
    remarks: tuple[str, ...]
    """Notes on this model for readers of a comparison."""
    report: tuple[tuple[str, str], ...]
    """Further lines that the command prints: name and text."""
    details: dict[str, JsonValue]
    """Further results, specific to the benchmark."""
    versions: dict[str, JsonValue]


def score(
    rows: Sequence[PromptResult], columns: Sequence[Column], *, parts_count_alike: bool
) -> dict[str, Interval | None]:
    """Return every score with its 95 % interval; None if no prompt has a value."""
    found: dict[str, Interval | None] = {}
    for column in columns:
        strata = collect(rows, column, parts_count_alike=parts_count_alike)
        if not strata:
            found[column.name] = None
        elif column.unit == "%":
            found[column.name] = estimate_strata_rate(strata)
        else:
            found[column.name] = bootstrap_strata(strata, bounds=(0, column.most))
    return found


def collect(rows: Sequence[PromptResult], column: Column, *, parts_count_alike: bool) -> list[Stratum]:
    """Return the values of a score with their clusters: by part if parts count alike, else all together."""
    strata: dict[str, tuple[list[float], list[str]]] = {}
    for row in rows:
        values = row.scores.get(column.name, ())
        if column.averaged and values:
            values = (sum(values) / len(values),)
        if values:
            all_values, clusters = strata.setdefault(row.part if parts_count_alike else "", ([], []))
            all_values += values
            clusters += [row.id if column.by_prompt else row.cluster] * len(values)
    return list(strata.values())


def claim_folder(folder: Path, now: Mapping[str, JsonValue], *, sampled: bool) -> None:
    """Create the folder of an evaluation, and note in it which one it is for (`now`).

    A claim without results is replaced.

    Raises:
        StoreError: the folder holds another evaluation, or samples although this evaluation isn't `sampled`.
    """
    if not sampled and (folder / SAMPLES).exists():
        raise StoreError(f"{folder} holds samples of a model: choose another --output")
    path = folder / CLAIM
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        others = {each.name for each in folder.iterdir()} - {CLAIM}
        if path.exists() and others:
            there = _read_claim(path)
            if differing := [key for key in {**there, **now} if there.get(key) != now.get(key)]:
                listed = ", ".join(f"{key} ({there.get(key)} there, {now.get(key)} now)" for key in differing)
                raise StoreError(f"{folder} holds another evaluation: {listed}; choose another --output")
            return
    if others & {SCORES, PER_PROMPT, SAMPLES}:
        raise StoreError(f"{folder} holds another evaluation, or one of another version: choose another --output")
    write_json(path, dict(now))


def _read_claim(path: Path) -> dict[str, JsonValue]:
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise StoreError(f"{path} is damaged: delete it with what stands beside it, or choose another --output")
    return found


def write_results(folder: Path, scores: Scores, results: Sequence[PromptResult]) -> None:
    """Write both files; scores.json last, so that a folder with it is complete."""
    write_jsonl(folder / PER_PROMPT, results)
    write_json(folder / SCORES, scores)


def read_scores(folder: Path) -> Scores:
    """Return the scores of an evaluated folder. Raises StoreError: it has no scores, or those of another version."""
    path = folder / SCORES
    try:
        return Scores.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise StoreError(f"{folder} holds no finished evaluation: it has no {SCORES}") from None
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror}") from None
    except ValidationError as error:
        raise StoreError(f"{path} is no scores file of this version ({name_problem(error)})") from None


def read_prompt_results(folder: Path) -> list[PromptResult]:
    """Return the rows of an evaluated folder. Raises StoreError: the file is missing or damaged."""
    return read_jsonl(folder / PER_PROMPT, PromptResult)
