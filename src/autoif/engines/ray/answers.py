"""The completions of a run on a cluster without a shared disk: one writer beside the driver, and workers' ends of it.

A worker keeps the answers of its shards in memory, looks up at the writer what it lacks, and hands over what models
answer. What the writer has acknowledged is stored once, whoever dies. A shard's result leaves the worker after its
answers, so nothing that is done has to be asked again.
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
"""The key of a request, and how many samples it wants."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a worker tells the writer, and wants to know of it."""

    rows: tuple[tuple[str, CompletionRow], ...] = ()
    """Of answers to be stored, each with the shard that it was asked for."""
    notes: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    collected: tuple[str, ...] = ()
    """Batches of a provider of which all answers are stored."""


class Told(NamedTuple):
    """What the writer answers."""

    lacked: dict[str, Samples]
    """What the worker wants to know, and what was there already of what it gave, which stays as it is."""
    total: Usage
    """What the whole run has spent."""
    collected: set[str]
    """The batches of which all workers have stored all answers."""


class AnswerWriter:
    """The one process that writes the completions; as a Ray actor it is started again if it dies."""

    def __init__(self, completions: Path, journal: Path | None = None, elsewhere: str = "") -> None:
        keep = open_journal(journal).append if journal else lambda rows: None
        self._cache = CompletionCache(completions, keep, open_segments(elsewhere) if elsewhere else None)

    def close(self) -> None:
        self._cache.close()

    def exchange(self, batch: Batch) -> Told:
        """Store what is given, and look up what the worker lacks. May be called again with the same batch."""
        by_shard = defaultdict[str, list[CompletionRow]](list)
        for shard, row in batch.rows:
            by_shard[shard].append(row)
        keys = [*batch.keys]
        if not insert_rows(self._cache, by_shard):  # another worker has asked the same
            keys += [(row.key, row.sample + 1) for _, row in batch.rows]
        for sentence in batch.notes:
            self._cache.note(sentence)
        for name in batch.collected:
            self._cache.note_collected(name)
        lacked: dict[str, Samples] = {}
        for key, samples in keys:
            lacked.setdefault(key, {}).update(self._look_up(key, samples))
        return Told(lacked, self._cache.total(), self._cache.collected())

    def _look_up(self, key: str, samples: int) -> Samples:
        found = self._cache.get(key, samples)
        return self._cache.get(key, samples) if len(found) < samples and self._cache.recall(key) else found


Exchange = Callable[[Batch], Awaitable[Told]]
"""Calls the writer's `exchange`, wherever it is."""


class SharedAnswers:
    """A worker's end: what `ChatClient` takes for the completions."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._held: dict[str, Samples] = {}
        self._keys = defaultdict[str, set[str]](set)
        """What each shard that is at work needs of that."""
        self._rows: list[tuple[str, CompletionRow]] = []
        self._notes: list[str] = []
        self._collected: list[str] = []
        """Batches that the writer is to be told of."""
        self._known_batches = set[str]()
        self._wanted: dict[Key, asyncio.Future[None]] = {}
        self._told: asyncio.Future[None] | None = None
        """For those whose answers wait to be handed over."""
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
        """Hand an answer to the writer; return what is stored of it when that has it: the first of each."""
        shard = ASKED_FOR.get()
        self._keys[shard].add(key)
        self._rows += [(shard, row) for row in list_rows(key, completions, stage=request.stage, usd=usd)]
        told = self._told = self._told or asyncio.get_running_loop().create_future()
        self._send_soon()
        await asyncio.shield(told)
        held = self._held.setdefault(key, {})  # only now, as another worker's answer may have come first
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
        """Return what all workers have spent, as far as the writer told, and what it was not told yet."""
        rows = [row for _, row in self._rows]
        return self._total.model_copy(
            update={
                "prompt_tokens": self._total.prompt_tokens + sum(row.prompt_tokens for row in rows),
                "completion_tokens": self._total.completion_tokens + sum(row.completion_tokens for row in rows),
                "usd": self._total.usd + sum(row.nano_usd for row in rows) / 1e9,
            }
        )

    async def flush(self) -> None:
        """Wait until the writer has acknowledged all that was handed over; forget what only this shard needed."""
        if self._sending or self._rows or self._notes or self._collected:
            told = self._told = self._told or asyncio.get_running_loop().create_future()
            self._send_soon()
            await asyncio.shield(told)
        for key in self._keys.pop(ASKED_FOR.get(), set()).difference(*self._keys.values()):
            self._held.pop(key, None)

    def _send_soon(self) -> None:
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        await asyncio.sleep(0)  # for what comes in the same turn of the event loop
        waiting = list[asyncio.Future[None]]()
        try:
            while self._rows or self._notes or self._collected or self._wanted or self._told:
                wanted, self._wanted = self._wanted, {}
                waiting = [*wanted.values(), *([self._told] if self._told else [])]
                self._told = None
                batch = Batch(tuple(self._rows), tuple(self._notes), tuple(wanted), tuple(self._collected))
                lacked, self._total, self._known_batches = await self._exchange(batch)
                del self._rows[: len(batch.rows)], self._notes[: len(batch.notes)]
                del self._collected[: len(batch.collected)]
                for key, samples in lacked.items():
                    self._held.setdefault(key, {}).update(samples)
                for future in waiting:
                    if not future.done():
                        future.set_result(None)
        except Exception as error:  # whatever it is, as those who wait would wait for ever
            for future in [*waiting, *self._wanted.values(), *([self._told] if self._told else [])]:
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # seen, even if everybody who waited has gone
            self._wanted, self._told = {}, None
            raise
        finally:
            self._sending = None
