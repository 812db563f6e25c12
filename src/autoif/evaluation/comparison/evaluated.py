"""The one form of an evaluated folder, whatever the benchmark: scores, the values behind each, what they rest on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from autoif.evaluation.bootstrap import Interval, Stratum
from autoif.sampling.settings import SamplingSettings


@dataclass(frozen=True, slots=True)
class Score:
    """One score: a column of the table."""

    group: str
    """The heading that it shares with its neighbours."""
    name: str
    interval: Interval | None
    """As `autoif eval` wrote it; None where there is nothing to score."""
    strata: tuple[Stratum, ...]
    """The values that it is the mean of, in the same order for all models that have the same prompts."""
    passed: tuple[bool, ...] | None = None
    """Of the first response to each prompt; None if the score is not of whole prompts."""
    main: bool = True
    """Whether figures show it; tables show all."""
    unit: str = "%"
    digits: int = 1


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One model on one benchmark."""

    folder: Path
    benchmark: str
    """The metric of scores.json, and after a blank what else tells it from others: like is compared with like."""
    title: str
    about: str
    """What the scores are, and what their intervals draw again; a sentence or two."""
    prompts: frozenset[str]
    """Those that are scored, by ids that tell their content."""
    data: str
    """The version of the prompts."""
    settings: Mapping[str, JsonValue]
    """What must be the same for a difference to be of the models."""
    backend: str | None
    """What sampled; None for recorded responses."""
    versions: Mapping[str, JsonValue]
    scores: tuple[Score, ...]
    remarks: tuple[str, ...]
    """What a reader of the scores has to know of this model."""


def describe_sampling(sampling: SamplingSettings | None, responses: int) -> dict[str, JsonValue]:
    """Return the settings of the responses, by name."""
    return {
        "answers": "sampled" if sampling else "recorded",
        "responses": responses,
        **(sampling.model_dump() if sampling else {}),
    }


def find_backend(policy: str, *, sampled: bool) -> str | None:
    """Return what sampled, from the identity of who answered."""
    return policy.rpartition(", ")[2] if sampled else None
