"""Every model answer of a run in one SQLite file: the only state that a run resumes from.

An answer is stored under the hash of its request and its sample index. It has been handed to the operating system when
`insert` returns, so killing the process loses nothing that was paid for. Several processes of one machine may use the
file at once; if two of them ask the same thing, the first answer stays. Prompts and API keys are not stored.

Made for ten million answers: texts are compressed (`answer_rows`), rows are stored in order of arrival, the index
holds half of each hash, and opening the file reads only a few pages. A damaged page is noticed when it is read.
"""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Self

from autoif.errors import StoreError
from autoif.models import answer_tables
from autoif.models.answer_rows import (
    ENDINGS,
    INSERT,
    REFUSED,
    SELECT,
    CompletionRow,
    RowPacker,
    read_logprobs,
    shorten_key,
    split_key,
)
from autoif.models.disks import explain_full_disk, refuse_network_disk
from autoif.models.requests import Completion, FinishReason, Request, Samples
from autoif.records import Record

__all__ = ["CompletionCache", "CompletionRow", "Usage", "read_logprobs", "request_key"]

_COUNT_EVERY = 512
"""Completions between two updates of each stage's usage sums; an update writes a page."""
_REFUSALS = f"FROM completions WHERE ending > 1 AND ending = {REFUSED}"
"""Includes `ending > 1` so that SQLite uses the partial index `by_ending`."""
_ROWS_AT_ONCE = 1000
_KEY_FORMAT = 1
"""Increase it when the meaning of request hashes changes: recordings are keyed by them."""


class Usage(Record):
    """What was asked of the models, and what it cost."""

    requests: int = 0
    """Answered requests; one answer may hold several completions."""
    completions: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    """Includes reasoning tokens."""
    reasoning_tokens: int = 0
    """How many of the completion tokens were reasoning."""
    estimated: int = 0
    """Completions whose token counts are estimates, as the server reported none."""
    usd: float = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @classmethod
    def sum(cls, several: Collection["Usage"]) -> "Usage":
        return cls(**{name: sum(getattr(each, name) for each in several) for name in cls.model_fields})


def request_key(request: Request, model_identity: str) -> str:
    """Return the 32 hexadecimal digits under which the answers to this request are stored.

    The key depends on everything that shapes an answer, including the order of a JSON schema's keys. It doesn't depend
    on role, stage and number of samples.
    """
    identity = (
        _KEY_FORMAT,
        model_identity,
        request.messages,
        request.prompt,
        request.temperature,
        request.top_p,
        request.max_tokens,
        request.seed,
        request.stop,
        request.json_schema,
        request.top_logprobs,
        *(["plain"] if request.plain else []),
    )
    return hashlib.sha256(json.dumps(identity, separators=(",", ":")).encode("ascii")).hexdigest()[:32]


class CompletionCache:
    """The completions of one run folder; close it, or use it in a `with` statement."""

    def __init__(
        self,
        path: Path,
        keep: Callable[[list[CompletionRow]], None] = lambda rows: None,
        fetch: Callable[[str], list[CompletionRow]] | None = None,
    ) -> None:
        """Open or create the file; raise `StoreError` if it is damaged, of another format, or can't be written.

        `keep` is called with rows before they are stored, to write them elsewhere too. `fetch` returns the answers of a
        segment named by `note_elsewhere`.
        """
        self._path = path
        self._keep = keep
        self._fetching = threading.Lock()
        self._uncounted = 0
        refuse_network_disk(path)
        with self._storage_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            # The live display reads usage from its own thread; SQLite itself serialises the calls.
            self._db = sqlite3.connect(path, timeout=60.0, isolation_level=None, check_same_thread=False)
            self._rows = RowPacker(self._db)
        try:
            with self._storage_errors():
                answer_tables.open_tables(self._db, path)
                self._fetch = fetch if fetch and self._db.execute(answer_tables.HAS_ELSEWHERE).fetchone() else None
        except StoreError:
            self._db.close()
            raise

    def get(self, key: str, samples: int) -> Samples:
        """Return the stored completions with an index below `samples`, by index."""
        with self._storage_errors():
            found: dict[int, Completion] = {}
            for row in self._db.execute(SELECT, (*split_key(key), samples)):
                sample, ending, prompt_tokens, completion_tokens, logprobs, thoughts, estimated, detail, *packed = row
                text, reasoning = self._rows.unpack(*packed)
                found[sample] = Completion(
                    text=text,
                    finish_reason=ENDINGS[ending],
                    prompt_tokens=prompt_tokens,
                    completion_tokens=completion_tokens,
                    logprobs=read_logprobs(logprobs) if logprobs else (),
                    reasoning=reasoning,
                    reasoning_tokens=thoughts,
                    estimated=bool(estimated),
                    detail=detail,
                )
        return found

    def is_elsewhere(self, key: str) -> bool:
        """Return whether the answers to a request are kept elsewhere; `recall` fetches them."""
        return bool(self._find_segments(key))

    def recall(self, key: str) -> bool:
        """Fetch the answers to a request if they are kept elsewhere; return False if nothing is kept elsewhere."""
        with self._fetching:
            for segment in self._find_segments(key):
                assert self._fetch
                rows = self._fetch(segment)
                with CompletionCache(self._path) as cache:  # its own connection, as this one may be in a transaction
                    cache.insert_spent(rows, segment)
        return self._fetch is not None

    def _find_segments(self, key: str) -> list[str]:
        if self._fetch is None:
            return []
        with self._storage_errors():
            return [segment for (segment,) in self._db.execute(answer_tables.FIND_ELSEWHERE, (shorten_key(key),))]

    def note_elsewhere(self, segment: str, keys: Iterable[int]) -> None:
        """Note that a segment kept elsewhere has answers to the requests with these shortened keys."""
        with self._storage_errors(), self._transaction():
            self._db.execute(answer_tables.MAKE_ELSEWHERE)
            self._db.executemany(answer_tables.INSERT_ELSEWHERE, ((key, segment) for key in keys))

    def insert_spent(self, rows: list[CompletionRow], segment: str) -> None:
        """Store the answers of a segment that was kept elsewhere. Their cost is not counted again."""
        with self._storage_errors(), self._transaction():
            self._db.execute(answer_tables.COUNT)
            self._db.executemany(INSERT, [self._rows.pack(row) for row in rows])
            self._db.execute(answer_tables.COUNTED)
            self._db.execute("DELETE FROM elsewhere WHERE segment = ?", (segment,))

    def pick(self, key: str, completions: Samples) -> Samples:
        """Return the stored completions with these sample indices; another process may have stored its own first."""
        found = self.get(key, max(completions, default=0) + 1)
        return {index: found[index] for index in completions}

    def insert(self, rows: list[CompletionRow]) -> int:
        """Store rows in one transaction, except those already stored; return how many were new."""
        self._keep(rows)
        with self._storage_errors():
            packed = [self._rows.pack(row) for row in rows]
            if len(packed) == 1:
                inserted = self._db.execute(INSERT, packed[0]).rowcount
            else:
                with self._transaction():
                    inserted = self._db.executemany(INSERT, packed).rowcount
            self._uncounted += len(packed)
            if self._uncounted >= _COUNT_EVERY:
                self._uncounted = 0
                with self._transaction():
                    self._db.execute(answer_tables.COUNT)
                    self._db.execute(answer_tables.COUNTED)
        return inserted

    def insert_all(self, rows: Iterator[CompletionRow]) -> int:
        """Store rows in batches, except those already stored; return how many were given."""
        count = 0
        while batch := list(islice(rows, _ROWS_AT_ONCE)):
            self.insert(batch)
            count += len(batch)
        return count

    def rows(self) -> Iterator[CompletionRow]:
        """Yield every row, ordered by key and sample index."""
        with self._storage_errors():
            # Sort the row numbers only: SQLite would write the texts to a temporary file to sort them.
            for number in self._db.execute("SELECT number FROM completions ORDER BY high, low, sample"):
                yield self._rows.read(*number)

    def answer_refused(self, rows: Iterable[CompletionRow]) -> None:
        """Replace stored refusals by the answers in `rows`; the cost of the refusals stays counted.

        `rows` isn't read if no refusal is stored.
        """
        with self._storage_errors(), self._transaction():
            refused = {*self._db.execute(f"SELECT high, low, sample {_REFUSALS}")}
            answers = dict[tuple[int, int, int], CompletionRow]()
            for row in rows if refused else ():
                place = (*split_key(row.key), row.sample)
                if row.finish_reason != "refused" and place in refused:
                    answers.setdefault(place, row)
            self._db.execute(answer_tables.COUNT)
            self._db.executemany("DELETE FROM completions WHERE high = ? AND low = ? AND sample = ?", [*answers])
            self._db.execute(answer_tables.COUNTED)
            self._db.executemany(INSERT, [self._rows.pack(row) for row in answers.values()])

    def empty_log(self) -> None:
        """Checkpoint the write-ahead log into the file so that it can be copied; others may have it open."""
        with self._storage_errors():
            [(busy, *_)] = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if busy:
            raise StoreError(f"{self._path} is being read by another process: run the same command again after that")

    def endings(self) -> Iterator[tuple[str, FinishReason, str, int]]:
        """Yield (stage, finish reason, detail, count) of the completions refused or with an unknown end, most first."""
        with self._storage_errors():
            for stage, ending, detail, count in self._db.execute(
                "SELECT name, ending, detail, COUNT(*) AS number FROM completions JOIN stages ON stages.id = stage "
                "WHERE ending > 1 GROUP BY 1, 2, 3 ORDER BY number DESC, 1, 2, 3"
            ):
                yield stage, ENDINGS[ending], detail, count

    def note(self, sentence: str) -> None:
        """Store a sentence to show at the end of the run; the same sentence is stored once."""
        with self._storage_errors():
            self._db.execute("INSERT OR IGNORE INTO notes (sentence) VALUES (?)", (sentence,))

    def notes(self) -> list[str]:
        with self._storage_errors():
            return [sentence for (sentence,) in self._db.execute("SELECT sentence FROM notes ORDER BY number")]

    def note_collected(self, batch: str) -> None:
        """Note that all answers of a provider's batch are stored."""
        with self._storage_errors():
            self._db.execute(answer_tables.MAKE_COLLECTED)
            self._db.execute("INSERT OR IGNORE INTO collected VALUES (?)", (batch,))

    def collected(self) -> set[str]:
        """Return the batches named by `note_collected`."""
        with self._storage_errors():
            has_any = self._db.execute(answer_tables.HAS_COLLECTED).fetchone()
            return {batch for (batch,) in self._db.execute("SELECT batch FROM collected")} if has_any else set()

    @property
    def has_refused(self) -> bool:
        """Whether any stored completion is a server's refusal."""
        with self._storage_errors():
            return self._db.execute(f"SELECT 1 {_REFUSALS} LIMIT 1").fetchone() is not None

    def forget_refused(self) -> int:
        """Delete the refusals, so that their requests are made again; return how many there were."""
        with self._storage_errors(), self._transaction():
            self._db.execute(answer_tables.COUNT)  # their cost stays counted
            forgotten = self._db.execute(f"DELETE {_REFUSALS}").rowcount
            self._db.execute(answer_tables.COUNTED)
        return forgotten

    def usage(self) -> dict[str, Usage]:
        """Return the usage of each stage over all processes and resumptions, sorted by stage name."""
        with self._storage_errors():
            rows = self._db.execute(answer_tables.USAGE).fetchall()
        return {
            stage: Usage(
                requests=requests,
                completions=completions,
                prompt_tokens=prompt,
                completion_tokens=completion,
                reasoning_tokens=thoughts,
                estimated=estimated,
                usd=nano_usd / 1e9,
            )
            for stage, requests, completions, prompt, completion, nano_usd, thoughts, estimated in rows
            if completions
        }

    def add_spent(self, spent: Mapping[str, Usage]) -> None:
        """Add the usage of answers that are kept elsewhere and not here."""
        with self._storage_errors(), self._transaction():
            for stage, each in spent.items():
                added = {**each.model_dump(exclude={"usd"}), "nano_usd": round(each.usd * 1e9)}
                self._db.execute("INSERT INTO stages (name) VALUES (?) ON CONFLICT DO NOTHING", (stage,))
                sums = ", ".join(f"{name} = {name} + ?" for name in added)
                self._db.execute(f"UPDATE stages SET {sums} WHERE name = ?", (*added.values(), stage))

    def total(self) -> Usage:
        """Return the usage of all stages together."""
        return Usage.sum(self.usage().values())

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(self._explain_error(error)) from error

    def _explain_error(self, error: sqlite3.Error | OSError) -> str:
        if full := explain_full_disk(error, self._path):
            return full
        if isinstance(error, sqlite3.OperationalError | OSError):
            return f"{self._path} can't be used ({error}); check that the folder is there, writable and not locked"
        return (
            f"{self._path} is damaged ({error}); bring it back from a copy, or move it elsewhere and name it in "
            "--answers: only what can't be read of it is asked again"
        )
