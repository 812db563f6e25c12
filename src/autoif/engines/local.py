"""Shards as tasks of one process: the model server and the sandbox do the work beside it."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from autoif.engines.workshop import Workshop
from autoif.pipeline import Progress, Shard, ShardResult, run_shard
from autoif.tools import Tools


class LocalEngine:
    """Runs `workers` shards at once with one set of tools."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._tools: Tools | None = None
        self._before = 0

    @property
    def verdicts(self) -> int:
        return self._before + (self._tools.sandbox.verdicts if self._tools else 0)

    async def run(self, shards: Sequence[Shard], workshop: Workshop, progress: Progress) -> AsyncIterator[ShardResult]:
        """Run the shards; on the first error, finish what is under way, then raise it."""
        if not shards:
            return
        slots = asyncio.Semaphore(self._workers)

        async with workshop.open() as tools:
            self._tools = tools

            async def work(shard: Shard) -> ShardResult:
                async with slots:
                    return await run_shard(shard, tools, progress)

            tasks = [asyncio.create_task(work(shard)) for shard in shards]
            try:
                for done in asyncio.as_completed(tasks):
                    yield await done
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self._before, self._tools = self.verdicts, None
