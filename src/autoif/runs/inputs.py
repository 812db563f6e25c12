"""The inputs of a run: seeds, or verified instructions of an earlier run; queries; answers of better models."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from autoif.config import Config
from autoif.datasets.reviewing import iterate_instructions
from autoif.errors import ConfigError
from autoif.instructions.given_answers import GivenAnswers, read_given_answers
from autoif.instructions.seeds import Seeds, load_seeds
from autoif.pipeline import Step
from autoif.planning.plan import PlannedInput
from autoif.queries.pool import Pool, load_queries
from autoif.runs import manifest


@dataclass(frozen=True, slots=True)
class GivenInstructions:
    """The verified instructions that a run begins with; their file is read as they are needed."""

    path: Path
    digest: str = ""
    count: int = 0


@dataclass(frozen=True, slots=True)
class RunInputs:
    """The inputs of a run; those that it doesn't need are empty."""

    given: GivenInstructions
    seeds: Seeds
    pool: Pool
    answers: GivenAnswers

    @property
    def planned(self) -> PlannedInput:
        """The number of each input, for a plan."""
        return PlannedInput(len(self.seeds.kept), len(self.pool.kept), self.given.count or None)

    def digest(self) -> dict[str, str]:
        """Return the digest of each input that isn't empty, by name."""
        rows: dict[str, Sequence[BaseModel]] = {
            "seeds": self.seeds.kept,
            "queries": self.pool.kept,
            "answers": self.answers.rows,
        }
        digests = {name: manifest.digest_rows(each)[0] for name, each in rows.items()}
        return {name: digest for name, digest in {"instructions": self.given.digest, **digests}.items() if digest}


def read_inputs(config: Config, instructions: Path | None, until: Step) -> RunInputs:
    """Read the inputs that a run needs until the end of step `until`.

    `instructions` are verified instructions of an earlier run, which replace seeds and the first step.
    Raises ConfigError or StoreError: an input can't be read, or has nothing to begin with.
    """
    given = _read_given(instructions) if instructions else GivenInstructions(Path())
    seeds = Seeds() if given.count else load_seeds(Path(config.seeds) if config.seeds else None)
    pool = _load_pool(config) if until == "queries" or config.contrast.enabled else Pool()
    named = None if given.count else config.contrast.answers
    answers = read_given_answers(Path(named), config.rejection_sampling.max_chars) if named else GivenAnswers()
    return RunInputs(given, seeds, pool, answers)


def _read_given(path: Path) -> GivenInstructions:
    given = GivenInstructions(path, *manifest.digest_rows(iterate_instructions(path)))
    if not given.count:
        raise ConfigError(f"{path} has no verified instructions: there is nothing to go on with")
    return given


def _load_pool(config: Config) -> Pool:
    settings = config.augmentation
    return load_queries(
        config.queries or None, min_chars=settings.min_chars, max_chars=settings.max_chars, language=settings.language
    )
