"""The client for OpenAI-compatible endpoints; it never asks again for an answer that is stored.

Only the samples that the cache lacks are requested, and they are stored as soon as they arrive. Equal requests made at
the same time are sent once.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

from autoif.errors import BudgetExhausted, ModelError, StoreError
from autoif.models.batches import Ledger, RunBatches
from autoif.models.cache import Usage, request_key
from autoif.models.endpoint import EMBEDDED, Budget, Endpoint
from autoif.models.requests import Completion, Request, Role, Samples
from autoif.models.server import Server
from autoif.telemetry import Telemetry

_FEWEST_ASKED = 8
"""The run ends if nearly all requests of a stage are refused, once it has made this many."""


class Answers(Ledger, Protocol):
    """Where answers are kept: the completions file, or a Ray worker's access to it (autoif.engines.ray.answers)."""

    def get(self, key: str, samples: int) -> Samples:
        """Return the completions that are stored here, with an index below `samples`."""
        ...

    async def recall(self, key: str, samples: int) -> bool:
        """Fetch completions that are kept elsewhere, so that `get` finds them; return False if there are none."""
        ...

    async def store(self, key: str, completions: Samples, *, request: Request, usd: float) -> Samples:
        """Store the completions of one answer so that they survive a kill; return the stored ones, which are others if
        another process was first."""
        ...

    def note(self, sentence: str) -> None:
        """Store a sentence to show at the end of the run."""
        ...

    def total(self) -> Usage:
        """Return the usage of the whole run."""
        ...


class ChatClient:
    """Answers requests to the models of all roles. Implements `requests.Chat`; use it inside `async with`.

    A server that honours `n` gets one request for all missing samples, others get one for each sample. The seed sent is
    the request's seed plus the index of the (first) sample.
    """

    def __init__(
        self,
        endpoints: Mapping[Role, Endpoint],
        cache: Answers,
        *,
        budget: Budget | None = None,
        replay_only: bool = False,
        telemetry: Telemetry | None = None,
        marks: Sequence[str] = (),
    ) -> None:
        """With `replay_only`, answers come from the cache alone, and a missing one raises `ModelError`.

        `marks` identify the run's batches (autoif.models.batches).
        """
        self._telemetry = telemetry or Telemetry()
        self._telemetry.count_retries(lambda: self.retries)
        run = RunBatches(tuple(marks), cache)
        servers = {each.model_dump_json(): Server(each, cache.note, run) for each in endpoints.values()}
        self._servers: dict[Role, Server] = {role: servers[each.model_dump_json()] for role, each in endpoints.items()}
        self._identities: dict[Role, str] = {role: endpoint.identity for role, endpoint in endpoints.items()}
        self._fleets = [server.fleet for server in servers.values()]
        self._cache = cache
        self._budget = budget or Budget()
        self._replay_only = replay_only
        self._flights: dict[str, asyncio.Task[Samples]] = {}
        self._asked: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        """Requests of each stage that were answered, refusals included, and those that were refused."""
        self._closing = False
        self._store_error: StoreError | None = None
        """Why an answer couldn't be stored. Nothing is sent after that, as further answers would be lost, too."""

    @property
    def in_flight(self) -> int:
        """Requests that wait for a server's answer."""
        return sum(each.in_flight for each in self._fleets)

    @property
    def retries(self) -> int:
        """Attempts that failed and were made again."""
        return sum(each.retries for each in self._fleets)

    def describe_bound(self) -> str:
        """Return what limits the rate of requests at the moment; "" if nothing does."""
        return next(filter(None, (each.describe_bound() for each in self._fleets)), "")

    async def __aenter__(self) -> Self:
        for server in set(self._servers.values()):
            if server.endpoint.base_url != EMBEDDED and not self._replay_only:
                await server.fleet.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send nothing more; wait for answers under way and store them, unless the user interrupts."""
        self._closing = True
        flights = list(self._flights.values())
        for fleet in self._fleets:
            fleet.hurry()
        if error is not None and not isinstance(error, Exception):
            for flight in flights:
                flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        for fleet in self._fleets:
            await fleet.close()

    async def add_address(self, role: Role, url: str) -> None:
        """Add a server that serves a role's model."""
        await self._servers[role].fleet.add(url)

    async def sample(self, request: Request) -> list[Completion]:
        """Return `request.samples` completions, in order of their sample index.

        Raises:
            ModelError: an endpoint can't be used.
            BudgetExhausted: the budget is spent.
        """
        key = request_key(request, self._identities[request.role])
        held = self._cache.get(key, request.samples)
        if len(held) < request.samples and await self._cache.recall(key, request.samples):
            held = self._cache.get(key, request.samples)
        while len(held) < request.samples:
            if self._replay_only:
                raise ModelError(
                    f"the recording lacks an answer of stage {request.stage}: it was made with other settings or by "
                    "another version; to ask a model, run without --recorded, or with --answers for --recording"
                )
            fetched = await asyncio.shield(self._start_flight(key, request, held))
            held |= {index: each for index, each in fetched.items() if index < request.samples}
            if len(held) == request.samples:
                self._servers[request.role].look_at_samples(key, request, [*held.values()])
        return [held[index] for index in range(request.samples)]

    def _start_flight(self, key: str, request: Request, held: Samples) -> asyncio.Task[Samples]:
        """Start fetching this request's missing samples, unless an equal request is under way; return the task.

        The task continues if its caller is cancelled, as its answer is being paid for and should be stored.
        """
        flight = self._flights.get(key)
        if flight is None:
            missing = [index for index in range(request.samples) if index not in held]
            flight = asyncio.create_task(self._fetch(key, request, missing))
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._end_flight(key, done))
        return flight

    def _end_flight(self, key: str, flight: asyncio.Task[Samples]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # marks it as retrieved, in case every caller was cancelled

    async def _fetch(self, key: str, request: Request, missing: list[int]) -> Samples:
        """Ask for the missing samples and return what arrived: in one request if the server allows, else one by one."""
        server, fetched = self._servers[request.role], Samples()
        while len(missing) > 1 and (most := server.dialect.samples_per_request) > 1:
            stored = await self._ask(key, request, missing[:most])
            fetched |= stored
            missing = missing[len(stored) :]
        if len(missing) == 1:
            return fetched | await self._ask(key, request, missing)
        outcomes = await asyncio.gather(
            *(self._ask(key, request, [index]) for index in missing), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            fetched |= outcome
        return fetched

    async def _ask(self, key: str, request: Request, indices: list[int]) -> Samples:
        """Make one request for these samples, store the answer and return it; it has at least the first sample."""
        server = self._servers[request.role]
        stored: Samples = {}

        async def keep(completions: Sequence[Completion]) -> None:
            nonlocal stored
            prompt_tokens = sum(each.prompt_tokens for each in completions)
            completion_tokens = sum(each.completion_tokens for each in completions)
            usd = server.endpoint.cost_usd(prompt_tokens, completion_tokens)
            named = dict(zip(indices, completions, strict=False))
            try:
                stored = await self._cache.store(key, named, request=request, usd=usd)
            except StoreError as error:
                self._store_error = error
                raise

        with self._telemetry.request(request, server.endpoint.model) as note:
            completions = await server.ask(
                request,
                seed=(request.seed + indices[0]) % (1 << 31),
                samples=len(indices),
                before=self._check_may_send,
                keep=keep,
            )
            note(completions)
        self._check_refusals(request.stage, completions)
        return stored

    def _check_refusals(self, stage: str, completions: Sequence[Completion]) -> None:
        """Count a request; raise `ModelError` if the server refuses nearly all requests of the stage."""
        self._asked[stage] += 1
        refused = [each.detail for each in completions if each.finish_reason == "refused"]
        if not refused:
            return
        self._refused[stage] += 1
        asked, count = self._asked[stage], self._refused[stage]
        if asked >= _FEWEST_ASKED and count * 4 > asked * 3:
            raise ModelError(
                f"the server refused {count} of {asked} requests of stage {stage}, last with: {refused[-1]}; "
                "when that is mended, run the same command with --retry-refused"
            )

    def _check_may_send(self) -> None:
        if self._closing:
            raise ModelError("the run is stopping: nothing more is sent")
        if self._store_error:
            raise self._store_error
        budget = self._budget
        if budget.tokens is None and budget.usd is None:
            return
        spent = self._cache.total()
        if budget.tokens is not None and spent.tokens >= budget.tokens:
            raise BudgetExhausted(
                f"the budget of {budget.tokens:,} tokens is spent ({spent.tokens:,}): "
                "raise --budget-tokens and run the same command again"
            )
        if budget.usd is not None and spent.usd >= budget.usd:
            raise BudgetExhausted(
                f"the budget of ${budget.usd:,.2f} is spent (${spent.usd:,.4f}): "
                "raise --budget-usd and run the same command again"
            )
