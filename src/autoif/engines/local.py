"""Shards as tasks of one process: the model server and the sandbox do the work beside it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

from autoif.engines import Follow
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

    async def run(
        self, shards: Sequence[Shard], settings: ToolSettings, watch: Watch, follow: Follow
    ) -> AsyncIterator[ShardResult]:
        """Run the shards; on the first error, finish what is under way, then raise it."""
        if not shards:
            return
        waiting = deque(shards)
        running = set[asyncio.Task[ShardResult]]()
        done = set[asyncio.Task[ShardResult]]()
        async with settings.open() as tools:
            self._tools = tools
            try:
                while waiting or running:
                    while waiting and len(running) < self._workers:
                        running.add(asyncio.create_task(run_shard(waiting.popleft(), tools, watch)))
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        result = task.result()
                        waiting.extendleft(reversed(follow(result)))
                        yield result
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, *done, return_exceptions=True)
                self._before, self._tools = self.verdicts, None
