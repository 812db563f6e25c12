"""The completions of a run on a cluster without a shared disk: one writer beside the command, and its clients.

A worker keeps the answers of its shards in memory, looks up missing ones at the writer, and sends new ones to it. An
answer that the writer has acknowledged is stored exactly once, even if a worker or the writer dies. A worker returns
a shard's result only after its answers are stored, so models are never asked again for a finished shard.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from autoif.models.answer_rows import CompletionRow, list_rows
from autoif.models.cache import CompletionCache, Usage
from autoif.models.journal import open_journal
from autoif.models.requests import ASKED_FOR, Request, Samples
from autoif.models.stored_answers import insert_rows
from autoif.runs.segments import open_segments

Key = tuple[str, int]
"""The key of a request, and how many samples are wanted."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a worker sends to the writer, and what it asks for."""

    rows: tuple[tuple[str, CompletionRow], ...] = ()
    """Answers to be stored, each with the shard that asked for it."""
    notes: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    """Requests whose stored samples the worker asks for."""
    collected: tuple[str, ...] = ()
    """Batches of a provider whose answers are all stored."""


class Reply(NamedTuple):
    """The writer's answer to a batch."""

    stored: dict[str, Samples]
    """Stored samples of the requests that the worker asked for, and of those to which answers were stored before."""
    total: Usage
    """What the whole run has spent."""
    collected: set[str]
    """Batches of a provider whose answers are all stored, by any worker."""


class AnswerWriter:
    """Writes the completions, as the only process that does. It is a Ray actor, which Ray restarts if it dies."""

    def __init__(self, completions: Path, journal: Path | None = None, elsewhere: str = "") -> None:
        keep = open_journal(journal).append if journal else lambda rows: None
        self._cache = CompletionCache(completions, keep, open_segments(elsewhere) if elsewhere else None)

    def close(self) -> None:
        self._cache.close()

    def exchange(self, batch: Batch) -> Reply:
        """Store a batch, and look up what it asks for. It may be called again with the same batch."""
        by_shard = defaultdict[str, list[CompletionRow]](list)
        for shard, row in batch.rows:
            by_shard[shard].append(row)
        keys = [*batch.keys]
        if not insert_rows(self._cache, by_shard):  # another worker has stored answers to the same requests
            keys += [(row.key, row.sample + 1) for _, row in batch.rows]
        for sentence in batch.notes:
            self._cache.note(sentence)
        for name in batch.collected:
            self._cache.note_collected(name)
        stored: dict[str, Samples] = {}
        for key, samples in keys:
            stored.setdefault(key, {}).update(self._look_up(key, samples))
        return Reply(stored, self._cache.total(), self._cache.collected())

    def _look_up(self, key: str, samples: int) -> Samples:
        found = self._cache.get(key, samples)
        return self._cache.get(key, samples) if len(found) < samples and self._cache.recall(key) else found


Exchange = Callable[[Batch], Awaitable[Reply]]
"""Calls the writer's `exchange`, wherever it is."""


class SharedAnswers:
    """The completions as a worker's `ChatClient` sees them: a client of the writer."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._held: dict[str, Samples] = {}
        self._keys = defaultdict[str, set[str]](set)
        """The keys in `_held` that each running shard needs."""
        self._rows: list[tuple[str, CompletionRow]] = []
        self._notes: list[str] = []
        self._collected: list[str] = []
        """Batches of a provider that the writer has yet to be told of."""
        self._known_batches = set[str]()
        self._wanted: dict[Key, asyncio.Future[None]] = {}
        self._acknowledged: asyncio.Future[None] | None = None
        """Done when the writer has acknowledged everything that is waiting now."""
        self._total = Usage()
        self._sending: asyncio.Task[None] | None = None

    def get(self, key: str, samples: int) -> Samples:
        return {index: each for index, each in self._held.get(key, {}).items() if index < samples}

    async def recall(self, key: str, samples: int) -> bool:
        self._keys[ASKED_FOR.get()].add(key)
        wanted = self._wanted.setdefault((key, samples), asyncio.get_running_loop().create_future())
        self._send_soon()
        await asyncio.shield(wanted)
        return True

    async def store(self, key: str, completions: Samples, *, request: Request, usd: float) -> Samples:
        """Send an answer to the writer, and wait until it is stored; return the first that is stored of each sample."""
        shard = ASKED_FOR.get()
        self._keys[shard].add(key)
        self._rows += [(shard, row) for row in list_rows(key, completions, stage=request.stage, usd=usd)]
        acknowledged = self._acknowledged = self._acknowledged or asyncio.get_running_loop().create_future()
        self._send_soon()
        await asyncio.shield(acknowledged)
        held = self._held.setdefault(key, {})  # only after waiting: another worker's answer may have come first
        for index, each in completions.items():
            held.setdefault(index, each)
        return {index: held[index] for index in completions}

    def note(self, sentence: str) -> None:
        self._notes.append(sentence)
        self._send_soon()

    def collected(self) -> set[str]:
        return self._known_batches

    def note_collected(self, batch: str) -> None:
        self._collected.append(batch)
        self._send_soon()

    def total(self) -> Usage:
        """Return what all workers have spent by the writer's last count, plus what has not been sent to it yet."""
        rows = [row for _, row in self._rows]
        return self._total.model_copy(
            update={
                "prompt_tokens": self._total.prompt_tokens + sum(row.prompt_tokens for row in rows),
                "completion_tokens": self._total.completion_tokens + sum(row.completion_tokens for row in rows),
                "usd": self._total.usd + sum(row.nano_usd for row in rows) / 1e9,
            }
        )

    async def flush(self) -> None:
        """Wait until the writer has acknowledged everything; forget answers that only this shard needed."""
        if self._sending or self._rows or self._notes or self._collected:
            acknowledged = self._acknowledged = self._acknowledged or asyncio.get_running_loop().create_future()
            self._send_soon()
            await asyncio.shield(acknowledged)
        for key in self._keys.pop(ASKED_FOR.get(), set()).difference(*self._keys.values()):
            self._held.pop(key, None)

    def _send_soon(self) -> None:
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        await asyncio.sleep(0)  # to send in one batch what comes in the same turn of the event loop
        waiting = list[asyncio.Future[None]]()
        try:
            while self._rows or self._notes or self._collected or self._wanted or self._acknowledged:
                wanted, self._wanted = self._wanted, {}
                waiting = [*wanted.values(), *([self._acknowledged] if self._acknowledged else [])]
                self._acknowledged = None
                batch = Batch(tuple(self._rows), tuple(self._notes), tuple(wanted), tuple(self._collected))
                stored, self._total, self._known_batches = await self._exchange(batch)
                del self._rows[: len(batch.rows)], self._notes[: len(batch.notes)]
                del self._collected[: len(batch.collected)]
                for key, samples in stored.items():
                    self._held.setdefault(key, {}).update(samples)
                for future in waiting:
                    if not future.done():
                        future.set_result(None)
        except Exception as error:  # of any kind: those who wait would otherwise wait for ever
            for future in [*waiting, *self._wanted.values(), *([self._acknowledged] if self._acknowledged else [])]:
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # marks it as retrieved, in case nobody waits any more
            self._wanted, self._acknowledged = {}, None
            raise
        finally:
            self._sending = None
