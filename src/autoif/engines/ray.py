"""Shards as calls of Ray actors (`ray` extra). Each actor opens its own tools once; the driver writes the run folder.

The completions file is opened by every actor, so all of them must see the run folder's disk: one machine for now.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from autoif.engines import Follow
from autoif.errors import AutoIFError, ConfigError
from autoif.pipeline import Shard, ShardResult, Watch, run_shard
from autoif.tools import Tools, ToolSettings


class ShardWorker:
    """Runs in an actor process: opens tools at the first shard, runs shards one after the other."""

    def __init__(self, settings: ToolSettings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._tools: Tools | None = None
        self._opening = asyncio.Lock()

    async def run(self, shard: Shard) -> tuple[ShardResult | AutoIFError, int]:
        """Return the shard's result, or the error to be shown to the user, and the number of verdicts it took."""
        try:
            async with self._opening:
                if self._tools is None:
                    self._tools = await self._stack.enter_async_context(self._settings.open())
            before = self._tools.sandbox.verdicts
            result = await run_shard(shard, self._tools)
            return result, self._tools.sandbox.verdicts - before
        except AutoIFError as error:
            return error, 0

    async def close(self) -> None:
        await self._stack.aclose()


class RayEngine:
    """Runs shards on `workers` actors of a Ray cluster, each with a core of its own."""

    def __init__(self, workers: int, address: str = "") -> None:
        try:
            import ray
        except ImportError:
            raise ConfigError("the ray engine needs its extra: pip install 'autoif[ray]'") from None
        self._ray: Any = ray
        self._workers = workers
        self._address = address
        self.verdicts = 0
        self.bound = ""  # the actors know

    async def run(
        self, shards: Sequence[Shard], settings: ToolSettings, watch: Watch, follow: Follow
    ) -> AsyncIterator[ShardResult]:
        """Hand each free actor the next shard until none is left."""
        if not shards:
            return
        started = self._start()
        remote = self._ray.remote(num_cpus=1)(ShardWorker)
        actors = [remote.remote(_of_one_core(settings)) for _ in range(min(self._workers, len(shards)))]
        try:
            async for result in self._deal(deque(shards), actors, follow):
                for stage, folder in zip(result.stages, result.folders, strict=True):
                    watch(folder, stage.kept, stage.dropped, stage.entered)
                yield result
        finally:
            for actor in actors:
                self._ray.kill(actor)
            if started:
                self._ray.shutdown()

    async def _deal(self, waiting: deque[Shard], actors: list[Any], follow: Follow) -> AsyncIterator[ShardResult]:
        """Hand each free actor the next shard until none is left; on an error let all store what is under way."""
        idle = list(actors)
        running: dict[asyncio.Future[Any], Any] = {}
        failure: AutoIFError | None = None
        while (waiting or running) and not failure:
            while waiting and idle:
                actor = idle.pop()
                running[asyncio.ensure_future(actor.run.remote(waiting.popleft()))] = actor
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                idle.append(running.pop(future))
                result, verdicts = future.result()
                self.verdicts += verdicts
                if isinstance(result, AutoIFError):
                    failure = result
                    continue
                waiting.extendleft(reversed(follow(result)))
                yield result
        await asyncio.gather(*(actor.close.remote() for actor in actors))
        if failure:
            raise failure

    def _start(self) -> bool:
        """Connect to Ray; tell whether it was started here and must be stopped here."""
        if self._ray.is_initialized():
            return False
        self._ray.init(
            address=self._address or None,
            num_cpus=None if self._address else self._workers,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
        return True


def _of_one_core(settings: ToolSettings) -> ToolSettings:
    """Return the settings with one sandbox process, if their number is left open: an actor has one core."""
    config = settings.config
    if config.sandbox.workers:
        return settings
    sandbox = config.sandbox.model_copy(update={"workers": 1})
    return replace(settings, config=config.model_copy(update={"sandbox": sandbox}))
