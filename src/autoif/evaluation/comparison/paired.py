"""Several evaluated models on the same prompts: their scores, and how they differ from the first, paired.

Two intervals that overlap say little of the difference; the difference prompt by prompt is far surer than either score,
as an easy prompt is easy for both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from autoif.errors import ConfigError
from autoif.evaluation.bootstrap import Interval, bootstrap_difference, compute_mcnemar
from autoif.evaluation.comparison.evaluated import Evaluated, Score
from autoif.evaluation.comparison.reading import list_unfinished, order, read_model
from autoif.evaluation.results import name_folders

_OF_BACKEND = {"batch_size", "dtype"}
"""Settings that an endpoint does not have: they must agree only within one backend."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One score of one model, and how it differs from the first model's."""

    score: Score
    difference: Interval | None
    """None for the first model, and where it has no such score."""
    mcnemar: float | None
    """p of the change in the first response to each prompt; None as above, and for scores of other things."""

    @property
    def verdict(self) -> str:
        """Return what the interval of the difference says."""
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
    """By the name of the model, in the given order; every model has the same scores."""

    @property
    def scores(self) -> list[Score]:
        """Return the scores of one model: what they are called is the same for all."""
        return [compared.score for compared in next(iter(self.models.values()))]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The models in the given order, the benchmarks in that of the table, and what has to be said of them."""

    models: tuple[str, ...]
    benchmarks: tuple[ComparedBenchmark, ...]
    notes: tuple[str, ...]

    @property
    def differences(self) -> int:
        """How many differences are shown."""
        rows = chain.from_iterable(benchmark.models.values() for benchmark in self.benchmarks)
        return sum(compared.difference is not None for row in rows for compared in row)


def compare(folders: Sequence[Path]) -> Comparison:
    """Compare models with the first of them, on every benchmark that they were measured on.

    Args:
        folders: of each model, an evaluated folder or one that holds evaluated folders, one a benchmark.

    Raises:
        ConfigError: fewer than two, or one twice; no benchmark in common; other prompts or settings: what differs is
            named.
        StoreError: a folder holds no evaluation.
    """
    if len(folders) < 2 or len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("name two or more different evaluated folders")
    names = name_folders(folders)
    measured: dict[str, dict[str, Evaluated]] = {}
    for name, folder in zip(names, folders, strict=True):
        for evaluated in read_model(folder):
            measured.setdefault(evaluated.benchmark, {})[name] = evaluated
    if all(len(models) == 1 for models in measured.values()):
        titles = ", ".join(sorted({each.title for models in measured.values() for each in models.values()}))
        raise ConfigError(f"no two of these folders were measured on the same benchmark: there are {titles}")
    benchmarks, notes = [], []
    for _, models in sorted(measured.items(), key=lambda item: order(item[0])):
        benchmarks.append(_compare_benchmark(names[0], models))
        notes += _list_notes(names, models)
    for name, folder in zip(names, folders, strict=True):
        notes += [f"Not finished: {unfinished} of {name}." for unfinished in list_unfinished(folder)]
    return Comparison(tuple(names), tuple(benchmarks), tuple(notes))


def _compare_benchmark(first: str, models: Mapping[str, Evaluated]) -> ComparedBenchmark:
    reference = next(iter(models.values()))
    for other in list(models.values())[1:]:
        _check_alike(reference, other)
    compared = {
        name: tuple(
            _compare_scores(models[first].scores[index], score) if first in models and name != first
            else Compared(score, None, None)
            for index, score in enumerate(evaluated.scores)
        )
        for name, evaluated in models.items()
    }  # fmt: skip
    return ComparedBenchmark(reference.title, reference.about, compared)


def _compare_scores(first: Score, second: Score) -> Compared:
    difference = bootstrap_difference(first.strata, second.strata) if second.strata else None
    if first.passed is None or second.passed is None:
        return Compared(second, difference, None)
    return Compared(second, difference, compute_mcnemar(first.passed, second.passed))


def _check_alike(reference: Evaluated, other: Evaluated) -> None:
    """Refuse what would compare more than the models."""
    here, there = reference.prompts, other.prompts
    if here != there:
        data = f" ({reference.data}; {other.data})" if reference.data != other.data else ""
        raise ConfigError(
            f"{other.folder} and {reference.folder} were measured on other prompts: {len(here & there)} in common, "
            f"{len(there - here)} only in {other.folder}, {len(here - there)} only in {reference.folder}{data}"
        )
    one, two = reference.settings, other.settings
    ignored = set() if reference.backend == other.backend else _OF_BACKEND
    keys = [key for key in one if key not in ignored and key in two and one[key] != two[key]]
    if keys:
        listed = ", ".join(f"{key} ({one[key]} and {two[key]})" for key in keys)
        raise ConfigError(
            f"{reference.folder} and {other.folder} were measured with other settings: {listed}; measure one anew"
        )


def _list_notes(names: Sequence[str], models: Mapping[str, Evaluated]) -> list[str]:
    """Return what has to be said of a benchmark's scores; of several models what is true of them together."""
    notes = []
    some = list(models.values())
    title = some[0].title
    if lacking := [name for name in names if name not in models]:
        alone = ", so that there is nothing to compare with" if names[0] in lacking else ""
        notes.append(f"{title}: not measured of {', '.join(lacking)}{alone}.")
    if len({each.backend for each in some if each.backend}) > 1:
        notes.append(
            f"{title}: the models were sampled by different backends, whose draws differ even for the same weights."
        )
    keys = {key for each in some for key in each.versions if each.versions[key] != some[0].versions.get(key)}
    if keys:
        notes.append(f"{title}: the models were measured with different versions of {', '.join(sorted(keys))}.")
    if len({each.data for each in some}) > 1:
        notes.append(f"{title}: the data files differ, though not in the prompts that are scored.")
    said: dict[str, list[str]] = {}
    for name, each in models.items():
        for remark in each.remarks:
            said.setdefault(remark, []).append(name)
    return notes + [f"{title}, {', '.join(of)}: {remark}." for remark, of in said.items()]
