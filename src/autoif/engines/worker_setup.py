"""What a worker of any engine opens before it can run shards: models, cache, sandbox and query pool."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from autoif.config import Config
from autoif.models.cache import CompletionCache
from autoif.models.client import ChatClient
from autoif.models.endpoint import Endpoint
from autoif.models.nli import open_nli
from autoif.models.requests import Role
from autoif.records import Query
from autoif.tools import Tools


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """All that a worker must be told to open its tools; it travels between processes, open tools don't."""

    config: Config
    completions: Path
    queries: tuple[Query, ...] = ()
    replay_only: bool = False
    """Take every answer from the completions, ask no model."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Tools]:
        """Yield the tools of one worker.

        Raises:
            ModelError, SandboxError, StoreError: what can't be opened.
        """
        config = self.config
        async with AsyncExitStack() as stack:
            cache = stack.enter_context(CompletionCache(self.completions))
            endpoints: dict[Role, Endpoint] = {
                "writer": config.models.writer,
                "responder": config.models.responder,
                "judge": config.models.judge,
            }
            chat = await stack.enter_async_context(
                ChatClient(endpoints, cache, budget=config.budget, replay_only=self.replay_only)
            )
            sandbox = await stack.enter_async_context(config.sandbox.make_sandbox())
            translation = config.back_translation
            kind = translation.nli if translation.enabled else "chat"
            nli = open_nli(kind, translation.nli_model, chat, config.prompts)
            yield Tools(config=config, chat=chat, nli=nli, sandbox=sandbox, queries=self.queries)
