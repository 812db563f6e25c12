"""The calls of a provider's batch interface (`/files`, `/batches`, as in OpenAI's API).

A call that fails temporarily is made again. Other failures raise a `ModelError` that says what to do.
"""

import asyncio
import hashlib
import io
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar

from autoif.errors import ModelError
from autoif.models.endpoint import Endpoint
from autoif.models.transport import NotThere, Passing, Rejected, Transport
from autoif.reading.json_text import try_json

Result = TypeVar("Result")

_MOST_READ_BYTES = 2_000_000_000
"""Limit for a downloaded file: answers are longer than their requests."""
_LONGEST_WAIT_S = 60.0
_LISTED = 100
_KEPT_S = 30 * 86_400
"""How long providers keep the files of a batch."""
_READ_AT_ONCE = 50


class BatchProvider:
    """Files and batches at one address."""

    def __init__(self, endpoint: Endpoint, transport: Transport) -> None:
        self._endpoint = endpoint
        self._transport = transport
        self._has_answered = False

    async def upload(self, lines: Sequence[bytes]) -> str:
        """Upload a file of requests; return its ID."""
        boundary = f"autoif-{hashlib.sha256(b''.join(lines)).hexdigest()[:32]}"
        part = f'--{boundary}\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n'
        data = b"".join(
            [
                (part % ("purpose", "")).encode() + b"batch\r\n",
                (part % ("file", '; filename="requests.jsonl"\r\nContent-Type: application/jsonl')).encode(),
                *lines,
                f"\r\n--{boundary}--\r\n".encode(),
            ]
        )
        uploaded = await self._ask("POST", "/files", data, f"multipart/form-data; boundary={boundary}")
        return str(uploaded["id"])

    async def make(self, order: dict[str, Any]) -> str:
        """Create a batch, and return its ID. A retry first looks for it, as it may exist and be paid for already."""

        async def make(failures: int) -> dict[str, Any]:
            if failures:
                listing = self._read(await self._transport.call("GET", f"/batches?limit={_LISTED}"))
                for each in listing.get("data", []):
                    if each.get("input_file_id") == order["input_file_id"]:
                        return dict(each)
            return self._read(await self._transport.call("POST", "/batches", json.dumps(order).encode()))

        return str((await self._retry(make))["id"])

    async def look(self, batch_id: str) -> dict[str, Any]:
        """Return the state of a batch, with OpenAI's word for its `status`.
        Raises ModelError: it has no status."""
        batch = await self._ask("GET", f"/batches/{batch_id}")
        if not isinstance(batch.get("status"), str):
            quoted = self._transport.shown(json.dumps(batch)[:200])
            raise ModelError(f"{self._transport.url} doesn't say how its batch stands ({quoted}): run again later")
        return batch | {"status": _read_status(batch["status"])}

    async def find(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the batches whose files may still be there, the newest first."""
        page = ""
        while True:
            listing = await self._ask("GET", f"/batches?limit={_LISTED}{page}")
            listed = [*filter(_may_have_files, listing.get("data", []))]
            for batch in listed:
                yield batch
            after = f"&after={listed[-1]['id']}" if listed and listing.get("has_more") else page
            if after == page:  # that was the last page, or the provider ignores `after`
                return
            page = after

    async def read_lines(self, file_id: str | None, *, may_be_gone: bool = False) -> AsyncIterator[dict[str, Any]]:
        """Yield the objects in a file; those waiting for the first ones go on while later lines are parsed."""
        if not file_id:
            return
        try:
            content = await self._fetch("GET", f"/files/{file_id}/content")
        except NotThere:
            if may_be_gone:
                return
            raise
        file = io.BytesIO(content)
        while lines := [*islice(file, _READ_AT_ONCE)]:
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
        """Make a call, and again if it fails temporarily; it is given the number of failures so far."""
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


_ENDS = {"success": "completed", "succeeded": "completed", "finished": "completed", "ended": "completed",
         "done": "completed", "error": "failed", "canceled": "cancelled", "timeout_exceeded": "expired"}  # fmt: skip


def _read_status(status: str) -> str:
    """Return OpenAI's word for a status; with another provider's word the end of a batch would not be noticed."""
    word = status.strip().lower().removeprefix("job_state_").removeprefix("batch_state_")
    return _ENDS.get(word, word)


def _may_have_files(batch: dict[str, Any]) -> bool:
    made = batch.get("created_at")
    return not isinstance(made, int | float) or made > time.time() - _KEPT_S


def _parse_lines(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """Return the objects in these lines. Incomplete lines are skipped: their requests count as unanswered."""
    return [row for row in map(_parse, lines) if isinstance(row, dict)]


def _parse(content: bytes) -> object:
    """Return the JSON value that a server sent; None if it is no JSON."""
    return try_json(content.decode("utf-8", "replace"))
