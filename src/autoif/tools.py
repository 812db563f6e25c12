"""What the stages use (config, models, sandbox), opened once per worker; and the settings from which it is opened."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

from autoif.config import Config
from autoif.instructions.given_answers import GivenAnswers
from autoif.judging import Runner
from autoif.models.client import Answers, ChatClient
from autoif.models.journal import open_journal
from autoif.models.nli import Nli, NliJudgement, open_nli
from autoif.models.requests import Chat, Completion, Request
from autoif.models.stored_answers import StoredAnswers
from autoif.records import Query, VerifiedInstruction
from autoif.runs.segments import open_segments
from autoif.sandbox import Sandbox
from autoif.telemetry import Telemetry, open_telemetry


class NoModel:
    """Stands in for the models where none may be asked."""

    async def sample(self, request: Request) -> list[Completion]:
        raise LookupError(f"stage {request.stage} asked a model")

    async def judge(self, pairs: Sequence[tuple[str, str]], *, seed: int = 0) -> list[NliJudgement]:
        raise LookupError(f"{len(pairs)} pairs were to be judged")


@dataclass(frozen=True, slots=True)
class Tools:
    """The config, the models and the sandbox of one worker, and the query pool and the given answers of the run."""

    config: Config
    chat: Chat
    nli: Nli
    sandbox: Runner
    queries: tuple[Query, ...] = ()
    answers: GivenAnswers = field(default_factory=GivenAnswers)
    telemetry: Telemetry = field(default_factory=Telemetry)
    partners: tuple[VerifiedInstruction, ...] = ()
    """The verified instructions of the shard in work, which augmentation may join with each other."""


@dataclass(frozen=True, slots=True)
class ToolSettings:
    """Everything that a worker needs to open its tools. It can be sent to other processes; open tools can't."""

    config: Config
    completions: Path
    queries: tuple[Query, ...] = ()
    replay_only: bool = False
    """Take every answer from the completions; ask no model."""
    answers: GivenAnswers = field(default_factory=GivenAnswers)
    """The answers in the file `contrast.answers`."""
    journal: Path | None = None
    """Where new answers are also appended: a file, or a folder with a file for each shard."""
    elsewhere: str = ""
    """The address at which finished shards keep their answers, if the run is copied to one."""
    traceparent: str = ""
    """The run's span, in OpenTelemetry's format."""
    marks: tuple[str, ...] = ()
    """Marks of the run's batches at a provider (autoif.models.batches)."""
    sandbox: Sandbox | None = None
    """The sandbox that all steps of a run in this process share. It is entered already, and can't be sent."""

    @asynccontextmanager
    async def open_sandbox(self) -> AsyncIterator[Sandbox]:
        """Yield the run's sandbox, or else a new one that is closed afterwards. Raises SandboxError."""
        if self.sandbox:
            yield self.sandbox
        else:
            async with self.config.sandbox.make_sandbox() as sandbox:
                yield sandbox

    @asynccontextmanager
    async def open(self, answers: Answers | None = None) -> AsyncIterator[Tools]:
        """Yield the tools of one worker; `answers`, if given, take the place of the completions file.

        Raises:
            ModelError, SandboxError, StoreError: one of the tools can't be opened.
        """
        config, translation = self.config, self.config.back_translation
        async with AsyncExitStack() as stack:
            journal = stack.enter_context(closing(open_journal(self.journal))) if self.journal else None
            keep = journal.append if journal else lambda rows: None
            if answers is None:
                fetch = open_segments(self.elsewhere) if self.elsewhere else None
                answers = await stack.enter_async_context(StoredAnswers(self.completions, keep, fetch))
            collector = config.execution.otlp_endpoint
            telemetry = stack.enter_context(open_telemetry(collector, traceparent=self.traceparent))
            client = ChatClient(
                config.models.by_role(),
                answers,
                budget=config.budget,
                replay_only=self.replay_only,
                telemetry=telemetry,
                marks=self.marks,
            )
            chat = await stack.enter_async_context(client)
            sandbox = await stack.enter_async_context(self.open_sandbox())
            kind = translation.nli if translation.enabled else "chat"
            nli = open_nli(kind, translation.nli_model, chat, config.prompts)
            yield Tools(config, chat, nli, sandbox, self.queries, self.answers, telemetry)
