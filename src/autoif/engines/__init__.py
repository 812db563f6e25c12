"""Where shards are run. An engine knows `run_shard` and nothing of stages."""

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
    """Runs shards in any order and yields each result as it is ready."""

    @property
    def verdicts(self) -> int:
        """Verdicts that the sandboxes of this engine have given so far."""
        ...

    @property
    def sandbox(self) -> str:
        """The weakest sandbox of the machines that shards ran on; "" where it is this machine's."""
        ...

    @property
    def bound(self) -> str:
        """What holds requests back at the moment; "" where nothing does, or nobody knows."""
        ...

    def serving(self, config: Config) -> AbstractAsyncContextManager[Config]:
        """Keep the servers that the engine starts for the config's models; yield it with their addresses."""
        ...

    def run(
        self, shards: AsyncIterator[Shard], settings: ToolSettings, watch: Watch, follow: Follow
    ) -> AsyncGenerator[ShardResult]:
        """Run the shards, and those that follow from a finished one before all that wait; take them when there is room,
        and keep no result."""
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
        """Put what follows from a result before all others."""
        self.put_first(self._follow(result))

    async def look_ahead(self, most: int) -> int:
        """Return how many shards there are, counting no more than `most`; so many are taken into memory."""
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
