"""What an instruction takes and yields in a run, from a pilot or as a published mean.

    Yields("runs/pilot", (OneYield(...), ...), tokens={"scoring": TokensEach(136, 46)}, tokens_per_second=210.0)

A `OneYield` holds an instruction's answers and rows, scaled to the planned functions, queries and samples.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import NamedTuple

from autoif.config import Config
from autoif.records import Record


class TokensEach(NamedTuple):
    """What one answer takes, on average."""

    prompt: float
    completion: float


@dataclass(frozen=True, slots=True)
class OneYield:
    """What one instruction that enters verification takes and makes."""

    answers: Mapping[str, float]
    """By the stage that asks for them."""
    instructions: float
    """1 if it is left after back-translation, else 0; for a published mean, the share that is left."""
    sft: float = 0.0
    preferences: float = 0.0
    rewards: float = 0.0


@dataclass(frozen=True, slots=True)
class Yields:
    """The yields of one source."""

    name: str
    each: tuple[OneYield, ...]
    """One per instruction; for a published source a single one, the mean."""
    tokens: Mapping[str, TokensEach]
    """By stage."""
    rewrites: float | None = None
    """Instructions that are left per rewrite asked for, after de-duplication."""
    tokens_per_second: float | None = None
    """Completion tokens, over all requests in flight; None where it wasn't observed."""
    done: bool = False
    """Whether these are the planned run's own instructions, for which nothing has to be estimated."""
    notes: tuple[str, ...] = field(default=())
    origin: str = ""
    """For a published source: how many instructions it covers, and who published it."""


class PublishedYield(Record):
    """One source of yields.toml."""

    source: str
    instructions: int
    cross_validated: float
    consistent: float
    passed: float
    scored: float


class Estimated(Record):
    """Estimates of what published sources don't report."""

    functions: float
    pairs_per_prompt: float
    rewrites: float
    tokens: dict[str, TokensEach]
    yes_or_no: TokensEach
    """For scoring, where the judge is asked for one word."""


@cache
def load_published() -> tuple[dict[str, PublishedYield], Estimated]:
    """Return the published sources by name, and the estimates, from the package's table."""
    table = tomllib.loads((resources.files("autoif.planning") / "yields.toml").read_text(encoding="utf-8"))
    estimated = Estimated.model_validate(table.pop("estimated"))
    return {name: PublishedYield.model_validate(each) for name, each in table.items()}, estimated


def read_published(name: str, config: Config, queries: int) -> Yields:
    """Return the yields of a published source for a run with these settings."""
    sources, estimated = load_published()
    found = sources[name]
    settings, translation = config.verification, config.back_translation
    kept = found.cross_validated * (found.consistent if translation.enabled else 1.0)
    functions = max(1.0, estimated.functions * settings.functions_per_instruction)
    described = found.cross_validated * min(functions, translation.max_functions or functions)
    prompts = kept * min(config.augmentation.queries_per_instruction, queries)
    accepted = prompts * config.rejection_sampling.responses_per_prompt * found.passed
    rows = accepted * (found.scored if config.scoring.enabled else 1.0)
    pairs = config.preferences
    asked = {
        "verification": float(settings.functions_per_instruction),
        "back_translation": count_descriptions(described, config),
        "rejection_sampling": prompts * config.rejection_sampling.responses_per_prompt,
        "scoring": accepted * config.scoring.samples if config.scoring.enabled else 0.0,
    }
    most = config.sft.rows_per_prompt
    scoring = estimated.yes_or_no if config.scoring.answer == "yes_no" else estimated.tokens["scoring"]
    return Yields(
        name=name,
        each=(
            OneYield(
                answers=asked,
                instructions=kept,
                sft=min(rows, prompts * most) if most else rows,
                preferences=prompts * estimated.pairs_per_prompt * (pairs.query_level or pairs.instruction_level),
                rewards=prompts,
            ),
        ),
        tokens={**estimated.tokens, "scoring": scoring},
        rewrites=estimated.rewrites,
        origin=found.source,
    )


def count_descriptions(functions: float, config: Config) -> float:
    """Return the answers that back-translation of so many functions takes: a description each, and a label by chat."""
    if not config.back_translation.enabled:
        return 0.0
    return functions * (2 if config.back_translation.nli == "chat" else 1)
