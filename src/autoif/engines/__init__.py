"""Engines, which run shards on this machine or on a cluster. An engine calls `run_shard` and knows no stage."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from autoif.config import Config
from autoif.pipeline import Shard, ShardResult, Watch
from autoif.settings import Execution
from autoif.tools import ToolSettings

Follow = Callable[[ShardResult], Sequence[Shard]]
"""Returns the shards that a finished one makes possible."""


class Engine(Protocol):
    """Runs shards in any order, and yields each result as soon as it is ready."""

    @property
    def verdicts(self) -> int:
        """How many verdicts the engine's sandboxes have given so far."""
        ...

    @property
    def sandbox(self) -> str:
        """The weakest sandbox among the machines that shards ran on; "" if they ran on this machine."""
        ...

    @property
    def bound(self) -> str:
        """What holds requests back at the moment; "" if nothing does, or it is unknown."""
        ...

    def serving(self, config: Config) -> AbstractAsyncContextManager[Config]:
        """Start the servers of the config's models that the engine has to start, and keep them within the block.

        Yields the config with their addresses.
        """
        ...

    def run(
        self, shards: AsyncIterator[Shard], settings: ToolSettings, watch: Watch, follow: Follow
    ) -> AsyncGenerator[ShardResult]:
        """Run the shards. Those that follow from a finished one go before all that wait.

        A shard is taken from the iterator when there is room for it, and no result is kept.
        """
        ...


class Waiting:
    """The shards that are still to be run: those that follow from a finished one come first."""

    def __init__(self, shards: AsyncIterator[Shard], follow: Follow) -> None:
        self._shards = shards
        self._follow = follow
        self._first: deque[Shard] = deque()

    def put_first(self, shards: Sequence[Shard]) -> None:
        self._first.extendleft(reversed(shards))

    def follow(self, result: ShardResult) -> None:
        """Put the shards that follow from a result before all others."""
        self.put_first(self._follow(result))

    async def look_ahead(self, most: int) -> int:
        """Return how many shards are left, at most `most`; those that are counted are loaded into memory."""
        while len(self._first) < most and (shard := await anext(self._shards, None)):
            self._first.append(shard)
        return min(most, len(self._first))

    async def take(self) -> Shard | None:
        """Return the next shard; None if there is none at the moment."""
        return self._first.popleft() if self._first else await anext(self._shards, None)


def open_engine(execution: Execution) -> Engine:
    """Return the engine that the settings name. Raises ConfigError: the engine's package is not installed."""
    if execution.engine == "ray":
        from autoif.engines.ray.engine import RayEngine

        return RayEngine(execution.workers, execution.ray_address, execution.ray_wait_s)
    from autoif.engines.local import LocalEngine

    return LocalEngine(execution.workers)
