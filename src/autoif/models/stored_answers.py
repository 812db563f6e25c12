"""The completions file as an event loop uses it: a thread writes, so that no request waits for the disk.

Answers that come while it writes are stored in one transaction. Whoever hands one over waits until it is stored, so
what is acknowledged survives a kill.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from autoif.models.answer_rows import list_rows
from autoif.models.cache import CompletionCache, CompletionRow, Usage
from autoif.models.requests import ASKED_FOR, Request, Samples


class StoredAnswers:
    """`Answers` of one event loop, by `async with`; raises StoreError where the file can't be written."""

    def __init__(
        self,
        path: Path,
        keep: Callable[[list[CompletionRow]], None] = lambda rows: None,
        fetch: Callable[[str], list[CompletionRow]] | None = None,
    ) -> None:
        """Open the file; both are as `CompletionCache` takes them, and called in threads. Raises StoreError."""
        self._cache = CompletionCache(path, fetch=fetch)
        self._written = CompletionCache(path, keep)
        """The same file for the thread alone: what is read doesn't wait for what is written."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="autoif-answers")
        self._waiting = defaultdict[str, list[CompletionRow]](list)
        """Rows, by what they were asked for."""
        self._stored: asyncio.Future[bool] | None = None
        """For those whose rows wait: whether all of them were new."""
        self._writing: asyncio.Task[None] | None = None

    def get(self, key: str, samples: int) -> Samples:
        return self._cache.get(key, samples)

    async def recall(self, key: str, samples: int) -> bool:
        return self._cache.is_elsewhere(key) and await asyncio.to_thread(self._cache.recall, key)

    async def store(self, key: str, completions: Samples, *, request: Request, usd: float) -> Samples:
        loop = asyncio.get_running_loop()
        self._waiting[ASKED_FOR.get()] += list_rows(key, completions, stage=request.stage, usd=usd)
        stored = self._stored = self._stored or loop.create_future()
        if self._writing is None:
            self._writing = loop.create_task(self._write())
        all_new = await asyncio.shield(stored)
        return completions if all_new else self._cache.pick(key, completions)

    def note(self, sentence: str) -> None:
        self._thread.submit(self._written.note, sentence)

    def collected(self) -> set[str]:
        return self._cache.collected()

    def note_collected(self, batch: str) -> None:
        self._thread.submit(
            self._written.note_collected, batch
        )  # after its answers: the thread does one thing at a time

    def total(self) -> Usage:
        return self._cache.total()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            if self._writing:
                await self._writing
        finally:
            self._thread.shutdown()
            self._written.close()
            self._cache.close()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while stored := self._stored:
            waiting, self._waiting, self._stored = self._waiting, defaultdict(list), None
            try:
                all_new = await loop.run_in_executor(self._thread, insert_rows, self._written, waiting)
            except Exception as error:  # noqa: BLE001 - whoever waits has to hear of it, whatever it is
                stored.set_exception(error)
                stored.exception()  # seen, even if everybody who waited has gone
            else:
                stored.set_result(all_new)
        self._writing = None


def insert_rows(cache: CompletionCache, rows: Mapping[str, list[CompletionRow]]) -> bool:
    """Store rows by the shard that they were asked for; tell whether all of them were new."""
    inserted = 0
    for asked_for, some in rows.items():
        ASKED_FOR.set(asked_for)  # a journal has a file for each
        inserted += cache.insert(some)
    return inserted == sum(map(len, rows.values()))
