"""The sandbox: runs a function that a model wrote on texts, and returns a verdict for each.

    async with Sandbox(Limits(timeout_s=2.0)) as sandbox:
        outcomes = await sandbox.run("def evaluate(response): return len(response) > 3", ["no", "long"])

A bad function is data; a sandbox that can't be built or enforced raises `SandboxError`. See SECURITY.md.
"""

from collections.abc import Callable, Sequence
from math import inf
from types import TracebackType
from typing import Final, Protocol, Self

from autoif.errors import SandboxError
from autoif.sandbox.cpython import CPythonBackend
from autoif.sandbox.monty import MontyBackend
from autoif.sandbox.outcomes import Limits, Outcome


class Backend(Protocol):
    """What runs functions in isolation; entered once, used by many tasks at once."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    async def run(self, source: str, inputs: Sequence[str]) -> list[Outcome]: ...
    def describe(self) -> str: ...


BACKENDS: Final[dict[str, Callable[[Limits, int | None], Backend]]] = {
    "cpython": CPythonBackend,
    "monty": MontyBackend,
}
"""The strongest first."""
AUTO: Final = "auto"


class StrongestBackend:
    """The first of `BACKENDS` that this machine enforces."""

    def __init__(self, limits: Limits, workers: int | None) -> None:
        self._limits = limits
        self._workers = workers
        self._refusals: list[str] = []
        self._chosen: Backend | None = None

    async def __aenter__(self) -> Self:
        """Raises SandboxError, with why each was not possible, if there is none: nothing runs unprotected."""
        for name, make in BACKENDS.items():
            try:
                self._chosen = await make(self._limits, self._workers).__aenter__()
            except SandboxError as error:
                self._refusals.append(f"not {name}: {error}")
            else:
                return self
        raise SandboxError("model code can't be contained on this machine: " + "; ".join(self._refusals))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._chosen:
            await self._chosen.__aexit__(kind, error, trace)

    async def run(self, source: str, inputs: Sequence[str]) -> list[Outcome]:
        assert self._chosen, "it was not entered"
        return await self._chosen.run(source, inputs)

    def describe(self) -> str:
        assert self._chosen, "it was not entered"
        return "; ".join([self._chosen.describe(), *self._refusals])


class Sandbox:
    """Runs functions with `backend` ("auto": the strongest that this machine enforces) in `workers` processes.

    `workers` defaults to the processors that this process may use.
    """

    def __init__(self, limits: Limits | None = None, *, backend: str = AUTO, workers: int | None = None) -> None:
        if backend != AUTO and backend not in BACKENDS:
            raise SandboxError(f"no sandbox is called {backend!r}: choose {', '.join((AUTO, *BACKENDS))}")
        if workers is not None and workers < 1:
            raise SandboxError(f"a sandbox needs at least one worker, not {workers}")
        limits = limits or Limits()
        if not 0 < limits.timeout_s < inf or limits.memory_mb <= 0 or limits.output_bytes <= 0:
            raise SandboxError("the sandbox's limits on time, memory and output must be above zero, and finite")
        self.verdicts = 0
        """How many verdicts it has given, for the live display."""
        self._backend = (StrongestBackend if backend == AUTO else BACKENDS[backend])(limits, workers)
        self._entered = False

    async def __aenter__(self) -> Self:
        """Start the workers. Raises SandboxError, and leaves nothing running, if a layer is not enforced."""
        await self._backend.__aenter__()
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered = False
        await self._backend.__aexit__(kind, error, trace)

    async def run(self, source: str, inputs: Sequence[str]) -> list[Outcome]:
        """Return the outcome of `source`'s `evaluate` on each input, in order.

        Raises SandboxError if the sandbox is not entered or can't be restored; never for what the function does.
        """
        if not self._entered:
            raise SandboxError("the sandbox is not running: use `async with Sandbox() as sandbox`")
        if isinstance(inputs, str):
            raise TypeError("inputs is a list of texts, not one text")
        if not inputs:
            return []
        outcomes = await self._backend.run(source, inputs)
        self.verdicts += len(outcomes)
        return outcomes

    def describe(self) -> str:
        """Return the backend and the layers that hold, as run.json records them."""
        return self._backend.describe()
