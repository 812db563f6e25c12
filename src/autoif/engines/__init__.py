"""Where shards are run. An engine knows `run_shard` and nothing of stages."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from autoif.pipeline import Shard, ShardResult, Watch
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

    def run(
        self, shards: Sequence[Shard], settings: ToolSettings, watch: Watch, follow: Follow
    ) -> AsyncIterator[ShardResult]:
        """Run the shards, and those that follow from a finished one before all that wait."""
        ...


def open_engine(name: str, workers: int, ray_address: str = "") -> Engine:
    """Return the engine of this name.

    Raises:
        ConfigError: the engine's package is not installed.
    """
    if name == "ray":
        from autoif.engines.ray import RayEngine

        return RayEngine(workers, ray_address)
    from autoif.engines.local import LocalEngine

    return LocalEngine(workers)
