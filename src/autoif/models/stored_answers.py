"""The completions file for use in an event loop: a thread writes it, so that no other request waits for the disk.

Answers that arrive while the thread writes are stored in one transaction after that. `store` returns only when its
answer is stored, so an acknowledged answer survives a kill.
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
    """Implements `client.Answers` for one event loop; use it in `async with`. Raises StoreError if a write fails."""

    def __init__(
        self,
        path: Path,
        keep: Callable[[list[CompletionRow]], None] = lambda rows: None,
        fetch: Callable[[str], list[CompletionRow]] | None = None,
    ) -> None:
        """Open the file. `keep` and `fetch` are as in `CompletionCache`, called in threads. Raises StoreError."""
        self._cache = CompletionCache(path, fetch=fetch)
        self._writer = CompletionCache(path, keep)
        """The writing thread's own connection to the same file, so that reads don't wait for writes."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="autoif-answers")
        self._waiting = defaultdict[str, list[CompletionRow]](list)
        """Rows to be written, by the shard that asked for them."""
        self._stored: asyncio.Future[bool] | None = None
        """Resolves when the waiting rows are stored, to whether all of them were new."""
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
        self._thread.submit(self._writer.note, sentence)

    def collected(self) -> set[str]:
        return self._cache.collected()

    def note_collected(self, batch: str) -> None:
        # The thread works in order, so the batch is noted after its answers are stored.
        self._thread.submit(self._writer.note_collected, batch)

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
            self._writer.close()
            self._cache.close()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while stored := self._stored:
            waiting, self._waiting, self._stored = self._waiting, defaultdict(list), None
            try:
                all_new = await loop.run_in_executor(self._thread, insert_rows, self._writer, waiting)
            except Exception as error:  # noqa: BLE001 - those who wait must get it, whatever it is
                stored.set_exception(error)
                stored.exception()  # marks it as retrieved, in case all who waited were cancelled
            else:
                stored.set_result(all_new)
        self._writing = None


def insert_rows(cache: CompletionCache, rows: Mapping[str, list[CompletionRow]]) -> bool:
    """Store rows given by the shard that asked for them; return whether all of them were new."""
    inserted = 0
    for asked_for, shard_rows in rows.items():
        ASKED_FOR.set(asked_for)  # a journal has a file for each shard
        inserted += cache.insert(shard_rows)
    return inserted == sum(map(len, rows.values()))
