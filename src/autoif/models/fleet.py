"""All addresses of one model: each attempt goes to the least loaded address, and a retry to another one.

    | an address                                   | what happens                                                      |
    |----------------------------------------------|-------------------------------------------------------------------|
    | is busy (429, 503), or slower than `slow_s`  | it gets fewer requests at once, and none for as long as it asks   |
    | doesn't respond, five times in a row         | it is gone: a request tries it now and then, the others go        |
    |                                              | elsewhere or wait; the user is told, and told when it is back     |
    | fails at a request in every round            | the request is given up: `Unanswered`; `server` sends a probe     |
    | can't be used (no such model, no credit, …)  | it is left out, and the user is told; after the last the run ends |

A failed request goes to another address at once. Only after a round of failures does it wait, each time twice as long.
It is not stored which address answered.
"""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic_core import to_json

from autoif.errors import ModelError
from autoif.messages import Say, list_some
from autoif.models.batches import Batches, RunBatches
from autoif.models.dealing import Dealer
from autoif.models.endpoint import Endpoint
from autoif.models.pace import Place
from autoif.models.transport import NoConnection, Passing, Rejected, Transport, Unanswered, Unfinished

Read = TypeVar("Read")

_LONGEST_WAIT_S = 60.0
_UNKNOWN = RunBatches()
_ROUND = 3
"""The most failures of a request before it waits, however many addresses there are."""
_NAMED = 3
"""The most addresses that an error names."""


@dataclass(slots=True)
class _Tries:
    """The failed attempts of one request."""

    failures: int = 0
    rounds: int = 0
    since: float = 0.0
    """When the first attempt failed; 0 if none has."""
    last: float = 0.0
    """When the last attempt failed."""
    failed_at: set[int] = field(default_factory=set)
    """The addresses at which it failed in the current round."""


async def _keep_nothing(_: Any) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Call(Generic[Read]):
    """A request, and what to do with its answer."""

    path: str
    body: dict[str, Any]
    before: Callable[[], None]
    """Called just before each attempt; may raise to prevent it."""
    read: Callable[[dict[str, Any]], Read]
    """Converts a server's JSON object; may raise `Passing` to have the request made again."""
    keep: Callable[[Read], Awaitable[None]] = _keep_nothing
    """Stores what `read` returned. The request keeps its place until then, so a kill loses only requests in flight."""
    seed: int = 0
    """Distinguishes requests with the same body, which exist where a server takes no seed."""


def _encode_json(body: dict[str, Any]) -> bytes:
    """Return JSON in ASCII, which no gateway misreads; the fast writer is enough if the body is ASCII anyway."""
    written = to_json(body)
    return written if written.isascii() else json.dumps(body).encode("ascii")


class Fleet:
    """Sends JSON to the addresses of an endpoint, between `open` and `close`, in one event loop."""

    def __init__(self, endpoint: Endpoint, note: Say = lambda sentence: None, run: RunBatches = _UNKNOWN) -> None:
        """`note` is called with what the user should know about the addresses; `run` describes the run's batches."""
        self.transports = [Transport(each, note) for each in endpoint.spread()]
        self.retries = 0
        """Attempts that failed and were made again."""
        self._endpoint = endpoint
        self._note = note
        self._paces = [each.pace for each in self.transports]
        self._dealer = Dealer(self._paces)
        self._batches = Batches(endpoint, self.transports[0], run) if endpoint.batch else None

    @property
    def in_flight(self) -> int:
        return sum(each.in_flight for each in self._paces)

    @property
    def answered(self) -> int:
        """Requests that got an answer."""
        return sum(each.answered for each in self._paces)

    def describe_bound(self) -> str:
        """Return what limits the rate of requests at the moment; "" if nothing does."""
        if self._batches and self._batches.waiting:
            return f"waiting for {self._batches.waiting:,} answers of {self._batches.under_way} batches"
        up = [each for each in self._paces if each.is_up]
        gone = sum(not each.left_out for each in self._paces) - len(up)
        if gone and not up:
            return f"waiting for {self._name_all()} to come back"
        also = f"; {gone} of {len(self._paces)} servers are gone" if gone else ""
        if up and all(each.is_told_to_wait for each in up):
            return f"bound by the server, which says to wait{also}"
        window, most = sum(each.window for each in up), sum(each.most for each in up)
        if self._dealer.waiting and window < most:
            return f"bound by the server, which takes {window} requests at a time{also}"
        if self._dealer.waiting:
            return f"bound by {most} requests in flight (models.*.concurrency, or models.slots){also}"
        return also.removeprefix("; ")

    async def open(self) -> None:
        for each in self.transports:
            await each.open()

    async def add(self, url: str) -> None:
        """Add an address that serves the same model."""
        if url in (each.url for each in self.transports):
            return
        like = self._endpoint.spread()[0].model_copy(update={"base_url": url})
        transport = Transport(like, self._note)
        await transport.open()
        self.transports.append(transport)
        self._paces.append(transport.pace)
        self._dealer.admit()

    async def close(self) -> None:
        for each in self.transports:
            await each.close()

    def hurry(self) -> None:
        """End all waiting: nothing more is sent."""
        error = ModelError("the run is stopping: nothing more is sent")
        self._dealer.close(error)
        if self._batches:
            self._batches.close(error)

    async def post(self, call: Call[Read], rank: int = 0, *, after: Unanswered | None = None) -> Read:
        """Make a call and return what its `read` made of the answer; waiting calls with the lowest rank go first.

        With `after`, the failure of a request that was given up, this call is a probe whether the servers answer
        anything at all: its failures are then blamed on the servers.

        Raises:
            Rejected: the server refuses this request.
            Unanswered: this request, which is no probe, fails again and again.
            ModelError: no request would succeed.
        """
        if self._batches:
            return await self._post_in_batches(self._batches, call, after)
        data, tries = _encode_json(call.body), _Tries(after.failures, since=after.since) if after else _Tries()
        patient = self._endpoint.ask_elsewhere_after_s and len(self.transports) > 1
        while True:
            place = await self._dealer.enter(rank, tries.failed_at)
            try:
                return await (self._race(place, call, data) if patient else self._try(place, call, data))
            except Passing as failure:
                wait_s = self._count_failure(tries, failure, place, probe=after is not None)
            self.retries += 1
            if wait_s:
                await self._dealer.pause(wait_s)

    async def _post_in_batches(self, batches: Batches, call: Call[Read], after: Unanswered | None) -> Read:
        """Make a call through a batch, and again if its `read` finds the answer unfinished."""

        async def use(answer: dict[str, Any]) -> Read:
            found = call.read(answer)
            self._paces[0].speed_up()
            await call.keep(found)
            return found

        for attempt in range(self._endpoint.retries + 1):
            try:
                return await batches.post(call.path, call.body, call.before, use, call.seed)
            except Passing as failure:
                if attempt == self._endpoint.retries:
                    raise Unanswered(failure, alone=True) from failure
                self.retries += 1
            except Unanswered as failure:
                if after is None:
                    raise
                raise self._give_up(failure.failures, str(failure)) from failure
        raise AssertionError("the last attempt raises")

    async def _try(self, place: Place, call: Call[Read], data: bytes) -> Read:
        """Make one attempt at a place, update the state of its address, and give the place back."""
        transport, pace = self.transports[place.address], self._paces[place.address]
        try:
            call.before()
            began = time.monotonic()
            try:
                answer = await transport.attempt(call.path, data, call.read)
            except Passing as failure:
                self._note_failure(place, failure)
                raise
            except Rejected:
                self._note_response(place.address)
                raise
            except ModelError as error:
                if len(self.transports) == 1:
                    raise
                self._leave_out(place.address, error)
                raise Passing(str(error)) from error
            self._note_response(place.address)
            pace.speed_up(place.start, time.monotonic() - began)
            await call.keep(answer)
            return answer
        finally:
            self._dealer.leave(place)

    async def _race(self, place: Place, call: Call[Read], data: bytes) -> Read:
        """Make an attempt, and a second one elsewhere if the first takes long; return the answer that comes first."""
        racing = {asyncio.create_task(self._try(place, call, data))}
        try:
            while True:
                alone = len(racing) == 1
                done, racing = await asyncio.wait(
                    racing,
                    timeout=self._endpoint.ask_elsewhere_after_s if alone else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                ended = next((each for each in done if not isinstance(each.exception(), Passing)), None)
                if ended or not racing:
                    return (ended or done.pop()).result()
                if not done and (other := self._dealer.find({place.address}, strictly=True)):
                    racing.add(asyncio.create_task(self._try(other, call, data)))
        finally:
            for each in racing:
                each.cancel()
            await asyncio.gather(*racing, return_exceptions=True)

    def _note_failure(self, place: Place, failure: Passing) -> None:
        pace, alone = self._paces[place.address], len(self._paces) == 1
        if failure.busy:
            rests = failure.wait_s or (0.0 if alone or failure.gone else self._wait_s(max(1, pace.busy)))
            pace.slow_down(place.start, rests)
        if not failure.gone:
            self._note_response(place.address)
        elif pace.answered or not alone:  # a sole address that has never answered is judged request by request
            was_up = pace.is_up
            pace.fail(surely=isinstance(failure, NoConnection))
            if was_up and not pace.is_up:
                self._note(f"{self.transports[place.address].url} doesn't answer ({self._shorten(failure)})")

    def _note_response(self, address: int) -> None:
        pace = self._paces[address]
        if pace.gone_since:
            self._note(f"{self.transports[address].url} didn't answer for a while, and is back")
        pace.respond()

    def _leave_out(self, address: int, error: ModelError) -> None:
        """Send nothing more to an address; if it is the last one, end all waiting and raise the reasons."""
        pace = self._paces[address]
        if not pace.left_out:
            pace.left_out = str(error)
            self._note(f"{self.transports[address].url} is left out: {error}")
        if all(each.left_out for each in self._paces):
            reasons = list(dict.fromkeys(each.left_out for each in self._paces))
            more = f"; and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
            gone = ModelError(f"no server is left: {'; '.join(reasons[:_NAMED])}{more}")
            self._dealer.close(gone)
            raise gone from error

    def _count_failure(self, tries: _Tries, failure: Passing, place: Place, *, probe: bool) -> float:
        """Count a failure; return how long to wait before the next attempt, or raise if there should be none."""
        now = time.monotonic()
        failed_before, tries.last = tries.last or now, now
        tries.failures, tries.since = tries.failures + 1, tries.since or now
        tries.failed_at.add(place.address)
        up = {address for address, pace in enumerate(self._paces) if pace.is_up}
        never = not self.answered and not self._endpoint.serve
        if isinstance(failure, NoConnection) and never and (len(self._paces) == 1 or not up):
            also = f" ({self._name_all()}: none of them answers)" if len(self._paces) > 1 else ""
            raise ModelError(f"{failure.advice}{also}") from failure
        if len(tries.failed_at) < _ROUND and not up <= tries.failed_at:
            return 0.0
        tries.failed_at.clear()
        tries.rounds += 1
        answered_at = max(each.answered_at for each in self._paces)
        hopeless = self._is_hopeless(failure, tries, now - max(tries.since, answered_at), probe=probe)
        if not probe and (hopeless or (tries.rounds > self._endpoint.retries and failure.may_be_its_own)):
            alone = isinstance(failure, Unfinished) or max(each.sent_at for each in self._paces) > failed_before
            raise Unanswered(failure, alone=alone, failures=tries.failures, since=tries.since) from failure
        if hopeless:
            raise self._give_up(tries.failures, self._shorten(failure)) from failure
        return max(failure.wait_s, self._wait_s(tries.rounds))

    def _give_up(self, failures: int, last: str) -> ModelError:
        """Return the error that ends the run after this many failures in a row."""
        return ModelError(
            f"{self._name_all()} failed {failures} times in a row, last with: {last}; run the same command again when "
            "it works"
        )

    def _is_hopeless(self, failure: Passing, tries: _Tries, standstill_s: float, *, probe: bool) -> bool:
        """Return whether to stop trying; with busy or gone servers, only if none has answered for long."""
        # A probe where nothing was ever answered follows a request that used up all retries.
        if tries.rounds <= self._endpoint.retries and (self.answered or not probe):
            return False
        if self._endpoint.serve and not any(each.is_up for each in self._paces):  # servers are being started
            return standstill_s > self._endpoint.serve_start_s
        passing = failure.busy or (self.answered and (probe or not any(each.is_up for each in self._paces)))
        patient = passing and self._endpoint.retries > 0
        return not patient or standstill_s > failure.patience * self._endpoint.retry_wait_s

    def _wait_s(self, failures: int) -> float:
        wait_s = self._endpoint.retry_wait_s * 2.0 ** (failures - 1)
        return min(wait_s, _LONGEST_WAIT_S) * random.uniform(0.5, 1.5)

    def _name_all(self) -> str:
        urls = [each.url for each in self.transports if not each.pace.left_out]
        return list_some(urls, _NAMED)

    def _shorten(self, failure: Passing) -> str:
        return self.transports[0].shown(str(failure))
