"""The sandbox: runs a function that a model wrote on texts, and returns a verdict for each.

    async with Sandbox(Limits(timeout_s=2.0)) as sandbox:
        outcomes = await sandbox.run("def evaluate(response): return len(response) > 3", ["no", "long"])

    with Sandbox(Limits(timeout_s=2.0)) as sandbox:
        outcomes = sandbox.run_sync("def evaluate(response): return len(response) > 3", ["no", "long"])

A bad function is data; a sandbox that can't be built or enforced raises `SandboxError`. See SECURITY.md.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from math import inf
from typing import Any, Final, Protocol, Self

from autoif.errors import SandboxError
from autoif.given_values import check_type
from autoif.records import Verdict
from autoif.sandbox.cpython import open_cpython
from autoif.sandbox.monty import open_monty
from autoif.sandbox.outcomes import Limits, Outcome
from autoif.sandbox.owner_loop import LoopThread, OwnerLoop
from autoif.sandbox.pool import MAX_WORKERS
from autoif.together import run_together

Job = tuple[str, Iterable[str]]
"""A source, and its inputs."""
Judging = Awaitable[list[Outcome]]


class Backend(Protocol):
    """What runs functions in isolation; entered once, used by many tasks at once."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *_: object) -> None: ...
    async def run(self, source: str, inputs: Sequence[str], *, until_timeout: bool = False) -> list[Outcome]: ...
    def describe(self) -> str: ...


BACKENDS: Final[dict[str, Callable[[Limits, int | None], Backend]]] = {"cpython": open_cpython, "monty": open_monty}
"""Strongest first."""
AUTO: Final = "auto"
TEXTS_AT_ONCE: Final = 2048
"""Longer lists of texts are split into parts of this size, so that one function can use all workers. The size doesn't
depend on the number of workers: state that a function keeps between texts must be reset at the same places on every
machine."""
_JOBS_AT_ONCE: Final = 256
"""Jobs of one `run_many` call that are in progress together: enough for all workers of a machine, and waiting jobs
take little memory."""


class StrongestBackend:
    """The first of `BACKENDS` that this machine enforces."""

    def __init__(self, limits: Limits, workers: int | None) -> None:
        self._limits = limits
        self._workers = workers
        self._refusals: list[str] = []
        self._chosen: Backend | None = None

    async def __aenter__(self) -> Self:
        """Enter the first backend that works. Raises SandboxError, with the reason for each, if none does: nothing runs
        unprotected."""
        for name, make in BACKENDS.items():
            try:
                self._chosen = await make(self._limits, self._workers).__aenter__()
            except SandboxError as error:
                self._refusals.append(f"not {name}: {error}")
            else:
                return self
        raise SandboxError("model code can't be contained on this machine: " + "; ".join(self._refusals))

    async def __aexit__(self, *raised: object) -> None:
        if self._chosen:
            await self._chosen.__aexit__(*raised)

    async def run(self, source: str, inputs: Sequence[str], *, until_timeout: bool = False) -> list[Outcome]:
        assert self._chosen, "not entered"
        return await self._chosen.run(source, inputs, until_timeout=until_timeout)

    def describe(self) -> str:
        assert self._chosen, "not entered"
        return "; ".join([self._chosen.describe(), *self._refusals])


class Sandbox:
    """Runs functions with `backend` ("auto": the strongest that this machine enforces) in `workers` processes.

    `workers` defaults to the number of processors that this process may use. Enter a sandbox once: with `async with`,
    and it works on the running event loop, or with `with`, which starts a thread for it. Every method may be called
    from any thread and any event loop of the process. A forked process needs a sandbox of its own. Pickling keeps the
    settings only.
    """

    def __init__(self, limits: Limits | None = None, *, backend: str = AUTO, workers: int | None = None) -> None:
        """Raises SandboxError for an unknown backend or a number out of range, ConfigError for a wrong type."""
        check_type("backend", backend, str)
        check_type("workers", workers, int | None)
        check_type("limits", limits, Limits | None)
        if backend != AUTO and backend not in BACKENDS:
            raise SandboxError(f"no sandbox is called {backend!r}: choose {', '.join((AUTO, *BACKENDS))}")
        if workers is not None and not 1 <= workers <= MAX_WORKERS:
            raise SandboxError(f"a sandbox has at least one worker and at most {MAX_WORKERS:,}, not {workers:,}")
        limits = limits or Limits()
        if not 0 < limits.timeout_s < inf or limits.memory_mb <= 0 or limits.output_bytes <= 0:
            raise SandboxError("the sandbox's limits on time, memory and output must be above zero, and finite")
        if limits.total_s is not None and not 0 < limits.total_s < inf:
            raise SandboxError("total_s must be above zero, and finite, or None for no limit")
        self.verdicts = 0
        """How many verdicts were given so far, for the live display."""
        self._settings = partial(type(self), limits, backend=backend, workers=workers)
        self._backend = (StrongestBackend if backend == AUTO else BACKENDS[backend])(limits, workers)
        self._entered = False
        self._owner: OwnerLoop | None = None
        self._thread: LoopThread | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return self._settings, ()

    async def __aenter__(self) -> Self:
        """Start the workers. Raises SandboxError, and leaves nothing running, if a layer is not enforced."""
        self._enter_once()
        await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._owner and self._owner.is_of_this_process():
            if not self._owner.is_here():
                raise SandboxError("leave the sandbox on the event loop that it was entered in")
            await self._leave()

    def __enter__(self) -> Self:
        """Start the workers, and a thread for them. Raises as `__aenter__` does."""
        self._enter_once()
        self._thread = LoopThread(self._leave)
        try:
            self._thread.run_sync(self._start)
        except BaseException:
            self._thread.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread and self._owner and self._owner.is_of_this_process():
            self._thread.end()

    def abandon(self) -> None:
        """Leave a sandbox that was entered with `with`, without waiting for its workers to end."""
        if self._thread and self._owner and self._owner.is_of_this_process():
            self._thread.stop()

    def _enter_once(self) -> None:
        if self._entered:
            raise SandboxError("this sandbox was entered before: make another one")
        self._entered = True

    async def _start(self) -> None:
        await self._backend.__aenter__()
        self._owner = OwnerLoop()

    async def _leave(self) -> None:
        owner, self._owner = self._owner, None
        if owner:
            owner.refuse_calls()
            await self._backend.__aexit__(None, None, None)
            owner.drop_calls()

    async def run(self, source: str, inputs: Iterable[str]) -> list[Outcome]:
        """Return the outcome of `source`'s `evaluate` on each input, in order.

        Raises SandboxError if the sandbox is not entered, belongs to another process, or can't replace a worker that
        died; never for what the function does.
        """
        return await self._require_owner().run(partial(self._judge, source, inputs))

    async def run_until_timeout(self, source: str, inputs: Sequence[str]) -> list[Outcome]:
        """Return the outcomes of the inputs up to the first that times out, that one included.

        A timeout also ends whatever state the function keeps between texts, so calling this again with the remaining
        inputs gives the verdicts that `run` gives. At most `TEXTS_AT_ONCE` inputs. Raises as `run` does.
        """
        if not 0 < len(inputs) <= TEXTS_AT_ONCE:
            raise ValueError(f"1 to {TEXTS_AT_ONCE:,} inputs, not {len(inputs):,}")
        return await self._require_owner().run(partial(self._judge_until_timeout, source, inputs))

    def run_sync(self, source: str, inputs: Iterable[str]) -> list[Outcome]:
        """Blocking form of `run`. A thread that runs an event loop may call it; that loop stands still meanwhile.

        Also raises SandboxError on the event loop that the sandbox was entered on with `async with`.
        """
        return self._require_owner().run_sync(partial(self._judge, source, inputs))

    async def run_many(self, jobs: Iterable[Job], *, until_timeout: bool = False) -> list[list[Outcome]]:
        """Run each source on its inputs, on all workers; return each job's outcomes, in order. Raises as `run` does.

        With `until_timeout`, a source that times out on an input gets no more of them; the remaining ones count as
        timeouts. So a function that hangs on every text costs one timeout only.
        """
        return await self._require_owner().run(partial(self._judge_many, jobs, self._choose_way(until_timeout)))

    def run_many_sync(self, jobs: Iterable[Job], *, until_timeout: bool = False) -> list[list[Outcome]]:
        """Blocking form of `run_many`. Raises as `run_sync` does."""
        return self._require_owner().run_sync(partial(self._judge_many, jobs, self._choose_way(until_timeout)))

    def _choose_way(self, until_timeout: bool) -> Callable[[str, Iterable[str]], Judging]:
        return self._judge_to_first_timeout if until_timeout else self._judge

    def _require_owner(self) -> OwnerLoop:
        owner = self._owner
        if owner is None:
            raise SandboxError("the sandbox is not running: use `with Sandbox() as sandbox`, or `async with`")
        owner.require_process()
        return owner

    async def _judge(self, source: str, given: Iterable[str]) -> list[Outcome]:
        inputs = _take_texts(source, given)
        if not inputs:
            return []
        if len(inputs) > TEXTS_AT_ONCE:
            parts = [(source, inputs[at : at + TEXTS_AT_ONCE]) for at in range(0, len(inputs), TEXTS_AT_ONCE)]
            return [outcome for outcomes in await self._judge_many(parts, self._judge) for outcome in outcomes]
        outcomes = await self._backend.run(source, inputs)
        self.verdicts += len(outcomes)
        return outcomes

    async def _judge_until_timeout(self, source: str, given: Iterable[str]) -> list[Outcome]:
        inputs = _take_texts(source, given)
        outcomes = await self._backend.run(source, inputs, until_timeout=True)
        self.verdicts += len(outcomes)
        return outcomes

    async def _judge_to_first_timeout(self, source: str, given: Iterable[str]) -> list[Outcome]:
        """Judge inputs up to the first that times out; the rest get its outcome, with 0 seconds."""
        inputs = _take_texts(source, given)
        outcomes: list[Outcome] = []
        for at in range(0, len(inputs), TEXTS_AT_ONCE):
            outcomes += await self._judge_until_timeout(source, inputs[at : at + TEXTS_AT_ONCE])
            late = next((index for index, each in enumerate(outcomes) if each.verdict is Verdict.TIMEOUT), None)
            if late is not None:
                rest = len(inputs) - late - 1
                return [*outcomes[: late + 1], *[outcomes[late]._replace(seconds=0.0)] * rest]
        return outcomes

    async def _judge_many(
        self, given: Iterable[Job], judge: Callable[[str, Iterable[str]], Judging]
    ) -> list[list[Outcome]]:
        jobs = list(map(_take_job, given))
        outcomes: dict[int, list[Outcome]] = {}
        waiting = iter(enumerate(jobs))

        async def judge_waiting_jobs() -> None:
            for index, (source, inputs) in waiting:
                outcomes[index] = await judge(source, inputs)

        await run_together(judge_waiting_jobs() for _ in range(min(len(jobs), _JOBS_AT_ONCE)))
        return [outcomes[index] for index in range(len(jobs))]

    def describe(self) -> str:
        """Return the backend and the layers that hold, as run.json records them."""
        return self._backend.describe()


def _take_texts(source: str, given: Iterable[str]) -> list[str]:
    """Return the inputs of any iterable as a list. Raises TypeError, before any worker is used, if an input or the
    source is no text."""
    if isinstance(given, str):
        raise TypeError("inputs is a list of texts, not one text")
    if not isinstance(given, Iterable):
        raise TypeError(f"inputs is a list of texts, not {type(given).__name__}")
    inputs = list(given)
    for kind in {type(source), *map(type, inputs)}:
        if not issubclass(kind, str):
            raise TypeError(f"a source and its inputs are texts (str), not {kind.__name__}")
    return inputs


def _take_job(given: Job) -> Job:
    """Return the job as given. Raises TypeError if it is not a pair of a source and its inputs."""
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != 2:
        raise TypeError(f"a job is a pair of a source and its inputs, not {given!r:.80}")
    return given
