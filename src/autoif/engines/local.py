"""Runs shards as tasks of this process; the model server and the sandbox work in other processes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from autoif.config import Config
from autoif.engines import Follow, Waiting
from autoif.models.client import ChatClient
from autoif.pipeline import Shard, ShardResult, Watch, run_shard
from autoif.tools import Tools, ToolSettings


class LocalEngine:
    """Runs `workers` shards at once with one set of tools."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._tools: Tools | None = None
        self._before = 0

    @property
    def verdicts(self) -> int:
        return self._before + (self._tools.sandbox.verdicts if self._tools else 0)

    @property
    def sandbox(self) -> str:
        return ""

    @property
    def bound(self) -> str:
        chat = self._tools.chat if self._tools else None
        return chat.describe_bound() if isinstance(chat, ChatClient) else ""

    @asynccontextmanager
    async def serving(self, config: Config) -> AsyncIterator[Config]:
        """Yield the config as it is: `Config` refuses servers that Ray would have to start."""
        yield config

    async def run(
        self, shards: AsyncIterator[Shard], settings: ToolSettings, watch: Watch, follow: Follow
    ) -> AsyncGenerator[ShardResult]:
        """Run the shards. At the first error, answers under way are stored before it is raised."""
        waiting = Waiting(shards, follow)
        if not await waiting.look_ahead(1):
            return
        running = set[asyncio.Task[ShardResult]]()
        done = set[asyncio.Task[ShardResult]]()
        async with settings.open() as tools:
            self._tools = tools

            async def fill() -> None:
                while len(running) < self._workers and (shard := await waiting.take()):
                    running.add(asyncio.create_task(run_shard(shard, tools, watch)))

            try:
                await fill()
                while running:
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        waiting.follow(task.result())
                    del task
                    await fill()  # before the results are written
                    while done:
                        yield done.pop().result()
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, *done, return_exceptions=True)
                self._before, self._tools = self.verdicts, None
