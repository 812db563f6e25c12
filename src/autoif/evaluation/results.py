"""What every evaluation leaves in its folder: one form, whatever was measured.

evaluation.json     which evaluation the folder is for; another one is refused before anything is asked
samples.jsonl       what a model answered; an interrupted evaluation resumes from it
per_prompt.jsonl    a row a prompt: id, cluster, scores by name, flags of its responses
scores.json         the scores with their intervals, and all that they depend on; written last
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
    """Something that readers of the scores should know, counted and named."""

    count: int
    named: tuple[str, ...] = ()
    """Keys of prompts, or places in a file; the first twenty different ones."""


def count(named: Iterable[str]) -> Counted:
    """Return how many there are, and the first different ones."""
    listed = list(named)
    return Counted(count=len(listed), named=tuple(dict.fromkeys(listed))[:_NAMED])


class Column(Record):
    """One score: what it is called, and how it is made of the values of the prompts."""

    name: str
    heading: str
    """Above it in a table, shared with its neighbours."""
    label: str
    unit: str = "%"
    digits: int = 1
    most: float = 100
    averaged: bool = False
    """Whether a prompt counts once, by the mean of its values; else every value counts."""
    by_prompt: bool = False
    """Whether the bootstrap draws prompts instead of clusters."""
    paired: bool = False
    """Whether a value is right or wrong for one response to one prompt, so that McNemar's test applies."""
    shown: Literal["figures", "tables", "nowhere"] = "figures"
    """Where comparisons show it; figures are shown in tables, too."""


class PromptResult(Record):
    """A prompt with its responses, as a row of per_prompt.jsonl."""

    id: str
    """Of its content: the same id means the same question and the same judging."""
    key: str
    """The benchmark's own name for it."""
    cluster: str
    """Prompts of one cluster vary together; the bootstrap draws whole clusters."""
    part: str = ""
    """Its type or subject."""
    prompt: str = ""
    """What was asked, for people; the end of a long text."""
    scores: dict[str, tuple[float, ...]]
    """By name: a value, or several, of each response."""
    flags: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    """By name (`empty`, `truncated`, `refused`, …): the indexes of the responses that have it."""
    details: dict[str, JsonValue] = Field(default_factory=dict)
    """What only this benchmark knows."""


class Scores(Record):
    """scores.json."""

    benchmark: str
    """Only evaluations with the same benchmark are compared."""
    place: int
    """Its order in a table of several benchmarks."""
    title: str
    about: str
    """What the scores mean, and what the bootstrap draws."""
    model: str
    """As the user named it."""
    policy: str
    """What answered: the model's content and the backend, or the content of a recorded file."""
    settings: dict[str, JsonValue]
    """What must be the same in models that are compared."""
    data: str
    """Which prompts these are, for people."""
    data_id: str
    prompts: int
    """Scored ones."""
    prompts_of_benchmark: int
    partial: tuple[str, ...]
    """Why the scores are not of the whole benchmark; empty if they are."""
    responses_per_prompt: int
    columns: tuple[Column, ...]
    scores: dict[str, Interval | None]
    """By column; None where there is nothing to score."""
    parts: dict[str, dict[str, Interval | None]]
    """Likewise, by type or subject."""
    parts_count_alike: bool
    """Whether a score is the mean of its parts' scores; else it is over all prompts."""
    counts: dict[str, Counted]
    """What isn't scored (`missing`, `unknown`, `duplicates`), and what is scored but noted (`empty`, `truncated`)."""
    said: tuple[str, ...] = ()
    """What servers said of refusals and unknown ends: the first different sentences."""
    remarks: tuple[str, ...]
    """What readers of a comparison should know of this model."""
    report: tuple[tuple[str, str], ...]
    """Further lines that the command prints: name and text."""
    details: dict[str, JsonValue]
    """What only this benchmark knows."""
    versions: dict[str, JsonValue]


def score(
    rows: Sequence[PromptResult], columns: Sequence[Column], *, parts_count_alike: bool
) -> dict[str, Interval | None]:
    """Return every score with its 95 % interval; None where no prompt has a value."""
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
    """Return the values of a score with their clusters: part by part if parts count alike, else all together."""
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
    """Make a folder for this evaluation (`now`). A claim without any result is replaced.

    Raises StoreError: it holds another evaluation, or samples where none are to be drawn (`sampled`).
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
                said = ", ".join(f"{key} ({there.get(key)} there, {now.get(key)} now)" for key in differing)
                raise StoreError(f"{folder} holds another evaluation: {said}; choose another --output")
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
    """Write both files; scores.json comes last, so that it is there only if all is."""
    write_jsonl(folder / PER_PROMPT, results)
    write_json(folder / SCORES, scores)


def read_scores(folder: Path) -> Scores:
    """Return the scores of an evaluated folder. Raises StoreError if it has none, or others than this version's."""
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
    """Return the rows of an evaluated folder. Raises StoreError."""
    return read_jsonl(folder / PER_PROMPT, PromptResult)
