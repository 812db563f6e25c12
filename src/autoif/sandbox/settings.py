"""The sandbox settings that runs, trainings, evaluations, commands and the service share."""

from pydantic import Field

from autoif.given_values import Settings
from autoif.processors import count_processors
from autoif.sandbox.outcomes import Limits
from autoif.sandbox.pool import MAX_WORKERS
from autoif.sandbox.sandbox import AUTO, Sandbox


class SandboxSettings(Settings):
    """How model-written code runs (docs/sandbox.md)."""

    backend: str = AUTO
    """auto, cpython or monty; auto takes the first that this machine enforces."""
    timeout_s: float = Field(default=2.0, gt=0, allow_inf_nan=False)
    """Time of a function for one text."""
    memory_mb: int = Field(default=256, ge=16)
    """Memory of a function, in MiB, beyond what the interpreter has."""
    workers: int = Field(default=0, ge=0, le=MAX_WORKERS)
    """Sandbox processes; 0 is one for each processor that the process may use."""
    packages: tuple[str, ...] = ()
    """Installed packages that functions may import, as ["nltk", "regex"]; also name the packages that these import."""

    def make_sandbox(self, *, total_s: float | None = None) -> Sandbox:
        """Return the sandbox, not yet entered. `total_s` limits the seconds of a whole call.
        Raises SandboxError for a backend that is unknown, not installed, or can't do what is set."""
        return Sandbox(self.make_limits(total_s=total_s), backend=self.backend, workers=self.workers or None)

    def make_limits(self, *, total_s: float | None = None) -> Limits:
        """Return what a function may use."""
        return Limits(self.timeout_s, self.memory_mb, total_s=total_s, packages=self.packages)

    def count_workers(self) -> int:
        return self.workers or count_processors()
