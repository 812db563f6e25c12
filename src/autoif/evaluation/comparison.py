"""Several evaluated models on the same prompts: their scores, and how they differ from the first, paired.

Two intervals that overlap say little of the difference; the difference prompt by prompt is far surer than either score,
as an easy prompt is easy for both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from autoif.errors import ConfigError
from autoif.evaluation.bootstrap import Interval, bootstrap_difference, compute_mcnemar
from autoif.evaluation.results import PromptResult, Scores, name_folders, read_prompt_results, read_scores

_OF_BACKEND = {"batch_size", "dtype"}
"""Settings that an endpoint does not have: they must agree only within one backend."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One evaluated model, and how it differs from the first."""

    name: str
    scores: Scores
    difference: Interval | None
    """In points of percent, clustered by instruction; None for the first."""
    mcnemar: float | None
    """p of the change in the first sample of each prompt; None for the first."""

    @property
    def verdict(self) -> str:
        """Return what the interval of the difference says."""
        if self.difference is None:
            return ""
        if self.difference.includes_zero:
            return "no difference shown"
        return "better" if self.difference.value > 0 else "worse"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The models in the given order, and what has to be said of them."""

    models: tuple[Compared, ...]
    notes: tuple[str, ...]


def compare(folders: Sequence[Path]) -> Comparison:
    """Compare evaluated folders with the first of them.

    Raises:
        ConfigError: fewer than two, or one twice; other prompts, or other settings: what differs is named.
        StoreError: a folder holds no evaluation.
    """
    if len(folders) < 2 or len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("name two or more different evaluated folders")
    scores = [read_scores(folder) for folder in folders]
    results = [_in_order(read_prompt_results(folder)) for folder in folders]
    for folder, other, found in zip(folders[1:], scores[1:], results[1:], strict=True):
        _check_alike(folders[0], scores[0], results[0], (folder, other, found))
    names = name_folders(folders)
    models = [Compared(names[0], scores[0], None, None)]
    first = results[0]
    for name, other, found in zip(names[1:], scores[1:], results[1:], strict=True):
        difference = bootstrap_difference(
            [result.pass_rate for result in first],
            [result.pass_rate for result in found],
            [result.instruction_id for result in found],
        )
        p = compute_mcnemar([each.samples[0].accepted for each in first], [each.samples[0].accepted for each in found])
        models.append(Compared(name, other, difference, p))
    return Comparison(tuple(models), tuple(_notes(models)))


def _in_order(results: Sequence[PromptResult]) -> list[PromptResult]:
    return sorted(results, key=lambda result: result.id)


def _check_alike(
    reference: Path, scores: Scores, results: Sequence[PromptResult], other: tuple[Path, Scores, Sequence[PromptResult]]
) -> None:
    """Refuse what would compare more than the models."""
    folder, found, rows = other
    here, there = ({row.id for row in some} for some in (results, rows))
    if here != there:
        raise ConfigError(
            f"{folder} and {reference} were measured on other prompts: {len(here & there)} in common, "
            f"{len(there - here)} only in {folder}, {len(here - there)} only in {reference}"
        )
    one, two = _settings(scores), _settings(found)
    ignored = set() if _backend(scores) == _backend(found) else _OF_BACKEND
    keys = [key for key in one if key not in ignored and key in two and one[key] != two[key]]
    if keys:
        listed = ", ".join(f"{key} ({one[key]} and {two[key]})" for key in keys)
        raise ConfigError(f"{reference} and {folder} were measured with other settings: {listed}; measure one anew")


def _settings(scores: Scores) -> dict[str, JsonValue]:
    """Return what must be the same for a difference to be of the models."""
    return {
        "answers": "sampled" if scores.sampling else "recorded",
        "responses": scores.responses_per_prompt,
        "sandbox": scores.sandbox.partition(":")[0],
        **(scores.sampling.model_dump() if scores.sampling else {}),
    }


def _backend(scores: Scores) -> str:
    return scores.policy.rpartition(", ")[2]


def _notes(models: Sequence[Compared]) -> list[str]:
    notes = []
    if len({_backend(model.scores) for model in models if model.scores.sampling}) > 1:
        notes.append("The models were sampled by different backends, whose draws differ even for the same weights.")
    versions = [model.scores.versions for model in models]
    differing = sorted({key for each in versions for key in each if each[key] != versions[0].get(key)})
    if differing:
        notes.append(f"The models were measured with different versions of {', '.join(differing)}.")
    for model in models:
        if model.scores.prompts_missing:
            asked = model.scores.prompts + model.scores.prompts_missing
            notes.append(f"{model.name}: PARTIAL, {model.scores.prompts} of {asked} prompts have responses.")
        if model.scores.seen.instructions or model.scores.seen.queries or model.scores.seen.functions:
            notes.append(f"{model.name}: {model.scores.seen.describe()}.")
    return notes


def render_markdown(comparison: Comparison) -> str:
    """Return the comparison as a Markdown table, with its notes and how to read it."""
    first = comparison.models[0]
    lines = [
        f"| model | pass rate, % | without faults, % | truncated, % | difference to {first.name} | | McNemar p |",
        "|---|---|---|---|---|---|---|",
    ]
    for model in comparison.models:
        scores, difference = model.scores, model.difference
        cells = [
            model.name,
            describe(scores.pass_rate),
            describe(scores.faultless_pass_rate),
            "" if scores.truncated is None else f"{scores.truncated:.1f}",
            describe(difference, signed=True) if difference else "",
            model.verdict,
            "" if model.mcnemar is None else f"{model.mcnemar:.3g}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    scores = first.scores
    lines += [
        "",
        f"{scores.prompts} prompts of {scores.instructions} instructions, {scores.responses_per_prompt} samples each. "
        "Brackets: 95 % bootstrap intervals, instructions drawn again; differences are paired, prompt by prompt. "
        "McNemar: first sample of each prompt, prompts taken as independent.",
        *(f"\n{note}" for note in comparison.notes),
    ]
    return "\n".join(lines) + "\n"


def describe(interval: Interval, *, signed: bool = False) -> str:
    """Return a value with its interval, as in "31.2 [24.0, 38.9]"."""
    form = "+.1f" if signed else ".1f"
    if interval.low is None or interval.high is None:
        return f"{interval.value:{form}} [no interval: one instruction]"
    return f"{interval.value:{form}} [{interval.low:{form}}, {interval.high:{form}}]"
