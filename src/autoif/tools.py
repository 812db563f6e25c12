"""What a stage may use: built once per worker from the config, handed to every stage."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from autoif.config import Config
from autoif.judging import Job
from autoif.models.nli import Nli
from autoif.models.requests import Chat
from autoif.records import Query
from autoif.sandbox.outcomes import Outcome


class Executor(Protocol):
    """Runs model-written functions: the sandbox, as the stages see it."""

    @property
    def verdicts(self) -> int:
        """Outcomes given so far."""
        ...

    async def run(self, source: str, inputs: Sequence[str]) -> list[Outcome]:
        """Run one function on inputs; return one outcome each, in order."""
        ...

    async def run_many(self, jobs: Sequence[Job]) -> list[list[Outcome]]:
        """Run several functions, each on its inputs; return the outcomes of each."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """The config, the models and the sandbox of one worker, and the query pool of the run."""

    config: Config
    chat: Chat
    nli: Nli
    sandbox: Executor
    queries: tuple[Query, ...] = ()
