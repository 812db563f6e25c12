"""A provider's batch interface: many requests in one file, answered within a day, for less money.

Requests are gathered until none has come for `batch_wait_s`, or a file is full; then the file is uploaded, a batch made
of it, and asked now and then how it stands (`/files`, `/batches`, as OpenAI describes them). Its answers are read as
any others. What failed on the way, or was not answered in time, is asked again in the next batch.

A request is named by a hash of all it says, and of its seed, sent or not. So a process that begins anew finds its
requests in the batches that are at the provider already, and uploads none of them twice; nothing about them is stored
here.
"""

import asyncio
import hashlib
import io
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from autoif.errors import ModelError
from autoif.models.complaints import ComplaintKind
from autoif.models.endpoint import Endpoint
from autoif.models.replies import Complaint, read_complaint, says_error
from autoif.models.transport import NotThere, Passing, Rejected, Transport, Unanswered
from autoif.reading.text_lines import parse_json

Result = TypeVar("Result")

_MOST_REQUESTS = 50_000
_MOST_BYTES = 200_000_000
_MOST_READ_BYTES = 2_000_000_000
"""Of a file that is read: answers are longer than what they are to."""
_ENDED = {"completed", "expired", "cancelled", "failed"}
_MARK = "autoif"
_REFUSALS = {400, 413, 422}
_FINAL = {401, 402, 403, 404, 405}
"""Whoever is asked again answers the same, until somebody changes a setting or pays."""
_LONGEST_WAIT_S = 60.0
_LISTED = 100
_KEPT_S = 30 * 86_400
"""For which providers keep the files of a batch."""
_HANDED_AT_ONCE = 50


@dataclass(slots=True)
class _Wanted:
    """A request that waits for its answer."""

    path: str
    body: dict[str, Any]
    answer: asyncio.Future[dict[str, Any]]
    failures: int = 0
    said: str = ""
    """What the provider last said of why."""

    def line(self, name: str) -> bytes:
        url = f"/v1{self.path}"
        return json.dumps({"custom_id": name, "method": "POST", "url": url, "body": self.body}).encode() + b"\n"


@dataclass(slots=True)
class _File:
    """Requests of one path that go out together."""

    path: str
    names: list[str] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    size: int = 0


class Batches:
    """Answers requests through the batches of one address, in one event loop."""

    def __init__(self, endpoint: Endpoint, transport: Transport) -> None:
        self._endpoint = endpoint
        self._transport = transport
        self._wanted: dict[str, _Wanted] = {}
        """By name: all that have no answer yet."""
        self._new: list[str] = []
        """Those that are in no batch yet."""
        self._earlier: dict[str, str] = {}
        """The batches of earlier starts, by the names of requests that are in them."""
        self._came = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed: ModelError | None = None
        self._has_answered = False
        self.under_way = 0
        """Batches that are at the provider."""

    @property
    def waiting(self) -> int:
        """Requests without an answer."""
        return len(self._wanted)

    async def post(self, path: str, body: dict[str, Any], before: Callable[[], None], seed: int = 0) -> dict[str, Any]:
        """Return the server's object for a request; one of the same body and another seed has an answer of its own.

        Raises:
            Rejected: the server refuses this request.
            Unanswered: it failed as often as may be tried.
            ModelError: its batch failed.
        """
        before()
        if self._closed:
            raise self._closed
        said = [self._endpoint.identity, path, {**body, "seed": seed}]
        name = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
        if name not in self._wanted:
            self._wanted[name] = _Wanted(path, body, asyncio.get_running_loop().create_future())
            self._new.append(name)
            self._came.set()
            if not self._tasks:
                self._start(self._gather())
        return await asyncio.shield(self._wanted[name].answer)

    def close(self, error: ModelError) -> None:
        """End all waiting; the batches stay at the provider, and are found again by the next start."""
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
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait would wait for ever
            url = self._transport.url
            self.close(ModelError(f"{url} answers otherwise than batches do ({error!r}): set models.ROLE.batch=false"))

    async def _gather(self) -> None:
        """Send what has been gathered, whenever no more comes."""
        looked = False
        while True:
            await self._came.wait()
            while self._came.is_set() and len(self._new) < _MOST_REQUESTS:
                self._came.clear()
                await asyncio.sleep(self._endpoint.batch_wait_s)
            self._came.clear()
            if not looked:
                await self._find_earlier()
                looked = True
            self._adopt()
            for file in self._fill_files():
                self._start(self._send(file))

    def _fill_files(self) -> list[_File]:
        """Return the new requests in files that the provider takes: of one path, not too many, not too large."""
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
        """Note which requests are in batches of earlier starts; of several that have one the newest counts."""
        page = ""
        while True:
            listing = await self._ask("GET", f"/batches?limit={_LISTED}{page}")
            listed = [*filter(_may_have_files, listing.get("data", []))]
            for batch in listed:
                mine = (batch.get("metadata") or {}).get(_MARK) == self._endpoint.identity
                if mine and batch.get("status") not in {"failed", "cancelled", "cancelling"}:
                    async for line in self._read_lines(batch.get("input_file_id"), may_be_gone=True):
                        self._earlier.setdefault(line["custom_id"], batch["id"])
            after = f"&after={listed[-1]['id']}" if listed and listing.get("has_more") else page
            if after == page:  # that was the last, or the provider knows no pages
                return
            page = after

    def _adopt(self) -> None:
        """Wait for batches of earlier starts that hold new requests, instead of sending these again."""
        held = defaultdict[str, list[str]](list)
        new, self._new = self._new, []
        for name in new:
            batch = self._earlier.pop(name, "")
            (held[batch] if batch else self._new).append(name)
        for batch, names in held.items():
            self._start(self._follow(batch, names, adopted=True))

    async def _send(self, file: _File) -> None:
        boundary = f"{_MARK}-{hashlib.sha256(b''.join(file.lines)).hexdigest()[:32]}"
        part = f'--{boundary}\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n'
        data = b"".join(
            [
                (part % ("purpose", "")).encode() + b"batch\r\n",
                (part % ("file", '; filename="requests.jsonl"\r\nContent-Type: application/jsonl')).encode(),
                *file.lines,
                f"\r\n--{boundary}--\r\n".encode(),
            ]
        )
        uploaded = await self._ask("POST", "/files", data, f"multipart/form-data; boundary={boundary}")
        order = {
            "input_file_id": uploaded["id"],
            "endpoint": f"/v1{file.path}",
            "completion_window": "24h",
            "metadata": {_MARK: self._endpoint.identity},
        }
        file.lines.clear()  # the batch may take a day
        del data
        batch = await self._make_batch(order)
        await self._follow(batch["id"], file.names)

    async def _make_batch(self, order: dict[str, Any]) -> dict[str, Any]:
        """Have a batch made, and paid for, once: where an answer to that got lost, it may be there."""

        async def make(failures: int) -> dict[str, Any]:
            if failures:
                listing = self._read(await self._transport.call("GET", f"/batches?limit={_LISTED}"))
                for each in listing.get("data", []):
                    if each.get("input_file_id") == order["input_file_id"]:
                        return dict(each)
            return self._read(await self._transport.call("POST", "/batches", json.dumps(order).encode()))

        return await self._retry(make)

    async def _follow(self, batch_id: str, names: list[str], *, adopted: bool = False) -> None:
        """Ask how a batch stands until it has ended; hand out its answers, and gather anew what has none.

        What an adopted one refused may have been asked again because of that (`--retry-refused`), so it is; and its
        answers may be gone, as providers delete files after some weeks.
        """
        self.under_way += 1
        try:
            batch = await self._ask("GET", f"/batches/{batch_id}")
            while batch.get("status") not in _ENDED:
                await asyncio.sleep(self._endpoint.batch_poll_s)
                batch = await self._ask("GET", f"/batches/{batch_id}")
        finally:
            self.under_way -= 1
        if batch["status"] == "failed":
            said = read_complaint(json.dumps((batch.get("errors") or {}).get("data") or "it says no reason").encode())
            raise ModelError(f"{self._transport.url} refuses a batch: {said.sentence}: mend it, then run again")
        answered = 0
        for kind in ("output_file_id", "error_file_id"):
            async for line in self._read_lines(batch.get(kind), may_be_gone=adopted):
                answered += self._hand_out(line, refusals=not adopted)
        for name in [name for name in names if name in self._wanted]:
            self._again(name, batch["status"], others_answered=answered > 0)

    def _hand_out(self, line: dict[str, Any], *, refusals: bool) -> bool:
        """Give a request the answer in a line of a file, or its refusal; one that failed is left for another batch.

        Return whether it was an answer.
        """
        name, given = str(line.get("custom_id")), line.get("response")
        response = given if isinstance(given, dict) else {}
        wanted = self._wanted.get(name)
        status, body = response.get("status_code"), response.get("body")
        if wanted is None or wanted.answer.done():
            return False
        if status == 200 and isinstance(body, dict) and "choices" in body and not says_error(body):
            wanted.answer.set_result(body)
            del self._wanted[name]
            return True
        if not refusals:
            return False
        status = status if isinstance(status, int) else 0
        complaint = read_complaint(json.dumps(body or line.get("error") or "").encode())
        kind, shown = complaint.kind(status), self._transport.shown(complaint.sentence)
        refused = status in _REFUSALS and kind not in {ComplaintKind.BUSY, ComplaintKind.KEY}
        if refused or kind in {ComplaintKind.LENGTH, ComplaintKind.CONTENT}:
            wanted.answer.set_exception(Rejected(Complaint(shown, complaint.words), kind))
            del self._wanted[name]
        elif (status in _FINAL and kind != ComplaintKind.BUSY) or kind in {ComplaintKind.MONEY, ComplaintKind.KEY}:
            url = self._transport.url
            raise ModelError(f"{url} can't answer a batch (HTTP {status}): {shown}: mend it, then run again")
        else:
            wanted.said = f"HTTP {status}: {shown}" if status else shown
        return False

    def _again(self, name: str, status: str, *, others_answered: bool) -> None:
        """Gather a request anew that its batch, which ended with that status, has not answered; or give it up."""
        wanted = self._wanted[name]
        wanted.failures += 1
        if wanted.failures > self._endpoint.retries:
            said = wanted.said or f"the batch {status} without its answer"
            if status == "completed":
                failure = Unanswered(Passing(said), alone=others_answered, failures=wanted.failures)
                wanted.answer.set_exception(failure)
                wanted.answer.exception()  # seen, even if everybody who waited has gone
                del self._wanted[name]
                return
            url = self._transport.url
            raise ModelError(f"{url} failed {wanted.failures} times in a row, last with: {said}; run it again later")
        self._new.append(name)
        self._came.set()

    async def _read_lines(self, file_id: str | None, *, may_be_gone: bool = False) -> AsyncIterator[dict[str, Any]]:
        """Yield the objects in a file, some at a time: meanwhile those go on who have waited for the ones before."""
        if not file_id:
            return
        try:
            content = await self._fetch("GET", f"/files/{file_id}/content")
        except NotThere:
            if may_be_gone:
                return
            raise
        file = io.BytesIO(content)
        while lines := [*islice(file, _HANDED_AT_ONCE)]:
            for row in await asyncio.to_thread(_parse_lines, lines):
                yield row

    async def _ask(self, method: str, path: str, data: bytes | None = None, kind: str = "") -> dict[str, Any]:
        return self._read(await self._fetch(method, path, data, kind))

    def _read(self, content: bytes) -> dict[str, Any]:
        answer = _parse(content)
        if not isinstance(answer, dict):
            raise ModelError(f"{self._transport.url} has no batches: set models.ROLE.batch=false")
        return answer

    async def _fetch(self, method: str, path: str, data: bytes | None = None, kind: str = "") -> bytes:
        call = self._transport.call
        return await self._retry(lambda failures: call(method, path, data, kind, most_bytes=_MOST_READ_BYTES))

    async def _retry(self, call: Callable[[int], Awaitable[Result]]) -> Result:
        """Make a call, again where it failed for a passing reason; it is told how often it has.

        A provider that has answered before is waited for as any other server is.
        """
        endpoint, began, failures = self._endpoint, time.monotonic(), 0
        while True:
            try:
                answer = await call(failures)
            except Passing as failure:
                failures += 1
                patience_s = failure.patience * endpoint.retry_wait_s if self._has_answered and endpoint.retries else 0
                if failures > endpoint.retries and time.monotonic() - began >= patience_s:
                    raise ModelError(f"{self._transport.url}: {failure}; run the same command again later") from failure
                wait_s = max(failure.wait_s, min(_LONGEST_WAIT_S, endpoint.retry_wait_s * 2 ** (failures - 1)))
            except Rejected as refusal:
                raise ModelError(f"{self._transport.url} takes no batch: {refusal}") from refusal
            else:
                self._has_answered = True
                return answer
            await asyncio.sleep(wait_s)


def _may_have_files(batch: dict[str, Any]) -> bool:
    made = batch.get("created_at")
    return not isinstance(made, int | float) or made > time.time() - _KEPT_S


def _parse_lines(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """Return the objects in lines of a file; what is cut was not answered, and is asked again."""
    return [row for row in map(_parse, lines) if isinstance(row, dict)]


def _parse(content: bytes) -> object:
    """Return the JSON value that a server sent; None for what is no JSON."""
    try:
        return parse_json(content.decode("utf-8", "replace"))
    except ValueError:
        return None
