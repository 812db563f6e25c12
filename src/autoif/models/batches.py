"""A provider's batch interface: many requests in one file, answered within a day, for less money.

Requests are collected until none has come for `batch_wait_s`, or a file is full. Then the file is uploaded, a batch is
created from it, and its status is polled (`batch_provider`). Answers are read like any others. Requests that failed on
the way, or were not answered in time, go into the next batch.

A request is named by a hash of its contents and its seed, whether the seed is sent or not. So a restarted process finds
its requests in the batches at the provider, and uploads none twice. It reads all batches except those of other runs, by
their metadata, and those whose answers are all stored, by the run's completions file.
"""

import asyncio
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from autoif.errors import ModelError
from autoif.models.batch_provider import BatchProvider
from autoif.models.bodies import unwrap
from autoif.models.complaints import ComplaintKind
from autoif.models.endpoint import Endpoint
from autoif.models.replies import Complaint, read_complaint, says_error
from autoif.models.transport import Passing, Rejected, Transport, Unanswered

Result = TypeVar("Result")

_MOST_REQUESTS = 50_000
_MOST_BYTES = 200_000_000
_ENDED = {"completed", "expired", "cancelled", "failed"}
_MARK, _RUN = "autoif", "autoif_run"
"""Members of a batch's metadata: the identity of its model, and the mark of its run."""
_LONGEST_VALUE = 512
"""The most characters that a provider accepts in a metadata value."""
_REFUSALS = {400, 413, 422}
_FINAL = {401, 402, 403, 404, 405}
"""Asking again is of no use until somebody changes a setting or pays."""


class Ledger(Protocol):
    """Remembers which batches need not be read again."""

    def collected(self) -> set[str]:
        """Return the batches given to `note_collected`."""
        ...

    def note_collected(self, batch: str) -> None:
        """Note that all answers of a batch are stored."""
        ...


@dataclass(frozen=True, slots=True)
class RunBatches:
    """How to recognise the batches of a run."""

    marks: tuple[str, ...] = ()
    """The marks under which the run made batches, the current one last; without marks every batch may be the run's."""
    ledger: Ledger | None = None


@dataclass(slots=True)
class _Wanted:
    """A request that waits for its answer."""

    path: str
    body: dict[str, Any]
    answer: asyncio.Future[dict[str, Any]]
    failures: int = 0
    reason: str = ""
    """The provider's last words on why it failed."""
    batch: str = ""
    """The batch in which it was answered or refused."""

    def line(self, name: str) -> bytes:
        url = f"/v1{self.path}"
        return json.dumps({"custom_id": name, "method": "POST", "url": url, "body": self.body}).encode() + b"\n"


@dataclass(slots=True)
class _File:
    """Requests to one API path that are uploaded together."""

    path: str
    names: list[str] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    size: int = 0


class Batches:
    """Answers requests through the batches of one address, in one event loop."""

    def __init__(self, endpoint: Endpoint, transport: Transport, run: RunBatches) -> None:
        self._endpoint = endpoint
        self._transport = transport
        self._provider = BatchProvider(endpoint, transport)
        self._run = run
        model = endpoint.identity
        if len(model) > _LONGEST_VALUE:
            model = hashlib.sha256(model.encode()).hexdigest()
        self._metadata = {_MARK: model, **({_RUN: run.marks[-1]} if run.marks else {})}
        self._wanted: dict[str, _Wanted] = {}
        """All requests without an answer yet, by name."""
        self._new: list[str] = []
        """Names of the requests that are in no batch yet."""
        self._earlier: dict[str, str] = {}
        """The batches that earlier processes made, by the names of the requests in them."""
        self._unstored = Counter[str]()
        """How many answers of each batch of this process aren't stored yet, plus one until the batch is fully read."""
        self._arrived = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed: ModelError | None = None
        self.under_way = 0
        """Batches that the provider is working on."""

    @property
    def waiting(self) -> int:
        """Requests without an answer."""
        return len(self._wanted)

    async def post(
        self,
        path: str,
        body: dict[str, Any],
        before: Callable[[], None],
        use: Callable[[dict[str, Any]], Awaitable[Result]],
        seed: int = 0,
    ) -> Result:
        """Answer a request through a batch: return what `use`, which stores it, makes of the server's JSON object.

        Raises:
            Rejected: the server refuses this request.
            Unanswered: the request used up its retries.
            Passing: raised by `use` for an unfinished answer.
            ModelError: the batch failed.
        """
        before()
        if self._closed:
            raise self._closed
        contents = [self._endpoint.identity, path, {**body, "seed": seed}]
        name = hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
        if name not in self._wanted:
            self._wanted[name] = _Wanted(path, body, asyncio.get_running_loop().create_future())
            self._new.append(name)
            self._arrived.set()
            if not self._tasks:
                self._start(self._collect())
        wanted = self._wanted[name]
        try:
            found = await use(await asyncio.shield(wanted.answer))
        except (Rejected, Passing):  # there is nothing to store
            self._count_stored(wanted)
            raise
        self._count_stored(wanted)
        return found

    def _count_stored(self, wanted: _Wanted) -> None:
        batch, wanted.batch = wanted.batch, ""
        self._count_down(batch)

    def _count_down(self, batch: str) -> None:
        if batch in self._unstored:
            self._unstored[batch] -= 1
            if not self._unstored[batch]:
                del self._unstored[batch]
                if self._run.ledger:
                    self._run.ledger.note_collected(batch)

    def close(self, error: ModelError) -> None:
        """End all waiting. The batches stay at the provider, where the next process finds them."""
        self._closed = self._closed or error
        for task in self._tasks:
            task.cancel()
        for each in self._wanted.values():
            if not each.answer.done():
                each.answer.set_exception(error)
                each.answer.exception()
        self._wanted.clear()

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(self._guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guard(self, work: Any) -> None:
        try:
            await work
        except ModelError as error:
            self.close(error)
        except Exception as error:  # noqa: BLE001 - else those who wait would wait for ever
            url = self._transport.url
            self.close(ModelError(f"{url} answers otherwise than batches do ({error!r}): set models.ROLE.batch=false"))

    async def _collect(self) -> None:
        looked = False
        while True:
            await self._arrived.wait()
            while self._arrived.is_set() and len(self._new) < _MOST_REQUESTS:
                self._arrived.clear()
                await asyncio.sleep(self._endpoint.batch_wait_s)
            self._arrived.clear()
            if not looked:
                await self._find_earlier()
                looked = True
            self._adopt()
            for file in self._fill_files():
                self._start(self._send(file))

    def _fill_files(self) -> list[_File]:
        """Divide the new requests into files within the provider's limits, each for one API path."""
        files: dict[str, _File] = {}
        full = []
        for name in self._new:
            wanted = self._wanted.get(name)
            if wanted is None:
                continue
            line = wanted.line(name)
            file = files.setdefault(wanted.path, _File(wanted.path))
            if len(file.names) >= _MOST_REQUESTS or (file.names and file.size + len(line) > _MOST_BYTES):
                full.append(file)
                file = files[wanted.path] = _File(wanted.path)
            file.names.append(name)
            file.lines.append(line)
            file.size += len(line)
        self._new = []
        return [*full, *(each for each in files.values() if each.names)]

    async def _find_earlier(self) -> None:
        """Look up which requests are in batches of earlier processes; the newest batch with a request counts."""
        collected = self._run.ledger.collected() if self._run.ledger else set[str]()
        async for batch in self._provider.find():
            if self._may_be_mine(batch) and batch["id"] not in collected:
                async for line in self._provider.read_lines(batch.get("input_file_id"), may_be_gone=True):
                    self._earlier.setdefault(line["custom_id"], batch["id"])

    def _may_be_mine(self, batch: dict[str, Any]) -> bool:
        """Return whether a batch may have answers for this run; even a cancelled one may."""
        noted = batch.get("metadata") or {}
        of_run = not self._run.marks or noted.get(_RUN) in {None, *self._run.marks}
        return noted.get(_MARK) == self._metadata[_MARK] and of_run and batch.get("status") != "failed"

    def _adopt(self) -> None:
        """Take new requests that are in earlier batches from there, instead of sending them again."""
        held = defaultdict[str, list[str]](list)
        new, self._new = self._new, []
        for name in new:
            batch = self._earlier.pop(name, "")
            (held[batch] if batch else self._new).append(name)
        for batch, names in held.items():
            self._start(self._follow(batch, names, adopted=True))

    async def _send(self, file: _File) -> None:
        order = {
            "input_file_id": await self._provider.upload(file.lines),
            "endpoint": f"/v1{file.path}",
            "completion_window": "24h",
            "metadata": self._metadata,
        }
        file.lines.clear()  # the batch may take a day
        batch_id = await self._provider.make(order)
        self._unstored[batch_id] += 1
        await self._follow(batch_id, file.names)
        self._count_down(batch_id)

    async def _follow(self, batch_id: str, names: list[str], *, adopted: bool = False) -> None:
        """Poll a batch until it ends; hand out its answers, and collect unanswered requests for the next one.

        An `adopted` batch was made by an earlier process: its refusals are asked again (perhaps by `--retry-refused`),
        and its files may have been deleted.
        """
        self.under_way += 1
        try:
            batch = await self._provider.look(batch_id)
            while batch.get("status") not in _ENDED:
                await asyncio.sleep(self._endpoint.batch_poll_s)
                batch = await self._provider.look(batch_id)
        finally:
            self.under_way -= 1
        if batch["status"] == "failed":
            complaint = read_complaint(
                json.dumps((batch.get("errors") or {}).get("data") or "it says no reason").encode()
            )
            raise ModelError(f"{self._transport.url} refuses a batch: {complaint.sentence}: mend it, then run again")
        answered = 0
        for kind in ("output_file_id", "error_file_id"):
            async for line in self._provider.read_lines(batch.get(kind), may_be_gone=adopted):
                answered += self._hand_out(line, batch_id, refusals=not adopted)
        for name in [name for name in names if name in self._wanted]:
            if adopted:  # not a failed attempt of this process
                self._collect_again(name)
            else:
                self._try_again(name, batch["status"], others_answered=answered > 0)

    def _hand_out(self, line: dict[str, Any], batch_id: str, *, refusals: bool) -> bool:
        """Give a request the answer or refusal in a line of a result file; return whether it was an answer."""
        name, given = str(line.get("custom_id")), line.get("response")
        response = given if isinstance(given, dict) else {}
        wanted = self._wanted.get(name)
        status, body = response.get("status_code"), unwrap(response.get("body"))
        status = int(status) if isinstance(status, str) and status.isdecimal() else status
        if wanted is None or wanted.answer.done():
            return False
        if status == 200 and isinstance(body, dict) and "choices" in body and not says_error(body):
            self._end(name, batch_id).set_result(body)
            return True
        if not refusals:
            return False
        status = status if isinstance(status, int) else 0
        complaint = read_complaint(json.dumps(body or line.get("error") or "").encode())
        kind, shown = complaint.kind(status), self._transport.shown(complaint.sentence)
        refused = status in _REFUSALS and kind not in {ComplaintKind.BUSY, ComplaintKind.KEY}
        if refused or kind in {ComplaintKind.LENGTH, ComplaintKind.CONTENT}:
            self._end(name, batch_id).set_exception(Rejected(Complaint(shown, complaint.words), kind))
        elif (status in _FINAL and kind != ComplaintKind.BUSY) or kind in {ComplaintKind.MONEY, ComplaintKind.KEY}:
            url = self._transport.url
            raise ModelError(f"{url} can't answer a batch (HTTP {status}): {shown}: mend it, then run again")
        else:
            wanted.reason = f"HTTP {status}: {shown}" if status else shown
        return False

    def _end(self, name: str, batch_id: str) -> "asyncio.Future[dict[str, Any]]":
        """Take a request off the waiting ones; return its future, for the answer or refusal."""
        wanted = self._wanted.pop(name)
        if batch_id in self._unstored:
            wanted.batch = batch_id
            self._unstored[batch_id] += 1
        return wanted.answer

    def _try_again(self, name: str, status: str, *, others_answered: bool) -> None:
        """Collect a request again that its ended batch has not answered, or give it up after too many failures."""
        wanted = self._wanted[name]
        wanted.failures += 1
        if wanted.failures > self._endpoint.retries:
            reason = wanted.reason or f"the batch {status} without its answer"
            if status == "completed":
                failure = Unanswered(Passing(reason), alone=others_answered, failures=wanted.failures)
                wanted.answer.set_exception(failure)
                wanted.answer.exception()  # marks it as retrieved, in case all who waited were cancelled
                del self._wanted[name]
                return
            url = self._transport.url
            raise ModelError(f"{url} failed {wanted.failures} times in a row, last with: {reason}; run it again later")
        self._collect_again(name)

    def _collect_again(self, name: str) -> None:
        self._new.append(name)
        self._arrived.set()
