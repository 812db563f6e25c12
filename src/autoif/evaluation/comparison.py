"""Compares evaluated models on the same prompts: their scores, and their paired differences to the first model.

Overlapping intervals say little about a difference. The paired difference, prompt by prompt, is far more certain than
either score, since an easy prompt is easy for both. Nothing here depends on which benchmarks there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from autoif.errors import ConfigError, StoreError
from autoif.evaluation.results import (
    SAMPLES,
    SCORES,
    Column,
    PromptResult,
    Scores,
    collect,
    read_prompt_results,
    read_scores,
)
from autoif.evaluation.statistics import Interval, bootstrap_difference, compute_mcnemar
from autoif.messages import name_folders

_OF_BACKEND = {"batch_size", "dtype"}
"""Settings that an endpoint doesn't have: they must agree only between models of the same backend."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One model's evaluation on one benchmark, as read from its folder."""

    folder: Path
    scores: Scores
    rows: Mapping[str, PromptResult]
    """Results by the id of the prompt, in the order of the file."""

    @property
    def columns(self) -> list[Column]:
        """The scores that are shown."""
        return [column for column in self.scores.columns if column.shown != "nowhere"]

    @property
    def backend(self) -> str | None:
        """The backend that sampled; None for recorded responses."""
        return self.scores.policy.rpartition(", ")[2] if self.scores.settings["answers"] == "sampled" else None


@dataclass(frozen=True, slots=True)
class Compared:
    """One score of one model, and how it differs from the first model's."""

    column: Column
    interval: Interval | None
    """The score with its interval; None if there is nothing to score."""
    difference: Interval | None = None
    """None for the first model, and if either has no such score."""
    mcnemar: float | None = None
    """McNemar's p for the change in the first responses; None as above, and if the test doesn't apply."""

    @property
    def verdict(self) -> str:
        """The conclusion from the interval of the difference: "better", "worse", "no difference shown", or ""."""
        if self.difference is None:
            return ""
        if self.difference.includes_zero:
            return "no difference shown"
        return "better" if self.difference.value > 0 else "worse"


@dataclass(frozen=True, slots=True)
class ComparedBenchmark:
    """The models that were measured on a benchmark."""

    title: str
    about: str
    models: Mapping[str, tuple[Compared, ...]]
    """Scores by the name of the model, in the given order; every model has the same columns."""

    @property
    def columns(self) -> list[Column]:
        return [compared.column for compared in next(iter(self.models.values()))]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The models as given, the benchmarks in the order of a table, and notes on them."""

    models: tuple[str, ...]
    benchmarks: tuple[ComparedBenchmark, ...]
    notes: tuple[str, ...]

    @property
    def differences(self) -> int:
        """How many differences are shown."""
        rows = chain.from_iterable(benchmark.models.values() for benchmark in self.benchmarks)
        return sum(compared.difference is not None for row in rows for compared in row)


def compare(folders: Sequence[Path], *, alone: bool = False) -> Comparison:
    """Compare models with the first of them on every benchmark; `alone` allows a single model.

    Raises:
        ConfigError: there are fewer than two folders, one is named twice, they have no benchmark in common, or they
            were measured on different prompts or with different settings.
        StoreError: a folder holds no finished evaluation, or a damaged one.
    """
    if len(folders) < 2 - alone or len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("name two or more different evaluated folders")
    names = name_folders(folders)
    measured = read_models(folders)
    if len(folders) > 1 and all(len(models) == 1 for models in measured):
        titles = ", ".join(sorted({each.scores.title for models in measured for each in models.values()}))
        raise ConfigError(f"no two of these folders were measured on the same benchmark: there are {titles}")
    benchmarks, notes = [], []
    for models in measured:
        benchmarks.append(_compare_benchmark(names[0], models))
        notes += _list_notes(names, models)
    for name, folder in zip(names, folders, strict=True):
        notes += [f"Not finished: {unfinished} of {name}." for unfinished in _list_unfinished(folder)]
    return Comparison(tuple(names), tuple(benchmarks), tuple(notes))


def read_models(folders: Sequence[Path]) -> list[dict[str, Evaluated]]:
    """Return, for each benchmark in the order of a table, the models that were measured on it, by name.
    Raises ConfigError, StoreError: as `read_model` says."""
    measured: dict[str, dict[str, Evaluated]] = {}
    for name, folder in zip(name_folders(folders), folders, strict=True):
        for evaluated in read_model(folder):
            measured.setdefault(evaluated.scores.benchmark, {})[name] = evaluated
    return sorted(measured.values(), key=lambda models: next(iter(models.values())).scores.place)


def read_model(folder: Path) -> list[Evaluated]:
    """Return a model's evaluations: the folder's own, or those of the folders in it.

    Raises:
        ConfigError: it holds a benchmark twice.
        StoreError: it holds no finished evaluation, or a damaged one.
    """
    places = [folder] if (folder / SCORES).exists() else _find_within(folder, SCORES)
    if not places:
        raise StoreError(f"{folder} holds no finished evaluation: neither it nor a folder in it has a {SCORES}")
    found: dict[str, Evaluated] = {}
    for place in places:
        scores = read_scores(place)
        if other := found.get(scores.benchmark):
            raise ConfigError(
                f"{folder} holds {scores.title} twice, in {other.folder.relative_to(folder)} and "
                f"{place.relative_to(folder)}: keep one of them there, or name folders of one evaluation each"
            )
        found[scores.benchmark] = Evaluated(place, scores, {row.id: row for row in read_prompt_results(place)})
    return list(found.values())


def _find_within(folder: Path, name: str) -> list[Path]:
    """Return the folders one or two levels below that hold a file: `autoif eval general` makes a folder of folders."""
    return sorted(path.parent for depth in ("*", "*/*") for path in folder.glob(f"{depth}/{name}"))


def _list_unfinished(folder: Path) -> list[str]:
    """Return the folders within a model's folder whose evaluation has begun and has no scores yet."""
    if (folder / SCORES).exists():
        return []
    begun = _find_within(folder, SAMPLES)
    return [str(place.relative_to(folder)) for place in begun if not (place / SCORES).exists()]


def _compare_benchmark(first: str, models: Mapping[str, Evaluated]) -> ComparedBenchmark:
    reference = next(iter(models.values()))
    for other in list(models.values())[1:]:
        _check_alike(reference, other)
    compared = {
        name: tuple(
            _compare_scores(models[first], evaluated, column)
            if first in models and name != first
            else Compared(column, evaluated.scores.scores[column.name])
            for column in evaluated.columns
        )
        for name, evaluated in models.items()
    }
    return ComparedBenchmark(reference.scores.title, reference.scores.about, compared)


def _compare_scores(first: Evaluated, second: Evaluated, column: Column) -> Compared:
    """Return a score of the second model with its paired difference to the first model's."""
    before = list(first.rows.values())
    after = [second.rows[row.id] for row in before]
    alike = second.scores.parts_count_alike
    ours, theirs = (collect(rows, column, parts_count_alike=alike) for rows in (before, after))
    if not theirs:
        return Compared(column, None)
    mcnemar = None
    if column.paired:
        one, two = (
            [row.scores[column.name][0] == 100 for row in rows if row.scores.get(column.name)]
            for rows in (before, after)
        )
        mcnemar = compute_mcnemar(one, two)
    return Compared(column, second.scores.scores[column.name], bootstrap_difference(ours, theirs), mcnemar)


def _check_alike(reference: Evaluated, other: Evaluated) -> None:
    """Raise `ConfigError` for models that were measured on different prompts or with different settings."""
    here, there = reference.rows.keys(), other.rows.keys()
    one, two = reference.scores, other.scores
    if here != there:
        data = f" ({one.data}; {two.data})" if one.data != two.data else ""
        raise ConfigError(
            f"{other.folder} and {reference.folder} were measured on other prompts: {len(here & there)} in common, "
            f"{len(there - here)} only in {other.folder}, {len(here - there)} only in {reference.folder}{data}"
        )
    ignored = set() if reference.backend == other.backend else _OF_BACKEND
    differing = [
        f"{key} ({value} and {two.settings[key]})"
        for key, value in one.settings.items()
        if key not in ignored and key in two.settings and value != two.settings[key]
    ]
    if differing:
        raise ConfigError(
            f"{reference.folder} and {other.folder} were measured with other settings: {', '.join(differing)}; "
            "measure one anew"
        )


def _list_notes(names: Sequence[str], models: Mapping[str, Evaluated]) -> list[str]:
    """Return the notes on a benchmark's scores; one that applies to several models comes once."""
    notes = []
    some = [each.scores for each in models.values()]
    title = some[0].title
    if lacking := [name for name in names if name not in models]:
        alone = ", so that there is nothing to compare with" if names[0] in lacking else ""
        notes.append(f"{title}: not measured of {', '.join(lacking)}{alone}.")
    if len({each.backend for each in models.values() if each.backend}) > 1:
        notes.append(
            f"{title}: the models were sampled by different backends, whose draws differ even for the same weights."
        )
    keys = {key for each in some for key in each.versions if each.versions[key] != some[0].versions.get(key)}
    if keys:
        notes.append(f"{title}: the models were measured with different versions of {', '.join(sorted(keys))}.")
    if len({each.data for each in some}) > 1:
        notes.append(f"{title}: the data files differ, though not in the prompts that are scored.")
    remarked: dict[str, list[str]] = {}
    for name, each in models.items():
        for remark in each.scores.remarks:
            remarked.setdefault(remark, []).append(name)
    return notes + [f"{title}, {', '.join(them)}: {remark}." for remark, them in remarked.items()]
