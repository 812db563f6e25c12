"""Every model answer of a run in one SQLite file: the only state that a run resumes from.

An answer is stored under the hash of its request and its sample index, and is in the operating system's hands when
`put` returns, so killing the process loses nothing that was paid for. Several processes of one machine may use the
file at once; where two of them asked the same thing, the first answer stays. Prompts and keys are not stored.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from autoif.errors import StoreError
from autoif.models.requests import Completion, FinishReason, Request
from autoif.reading.text_lines import parse_json
from autoif.records import Record

_FORMAT = 2
"""Raised when the tables change their meaning."""
_KEY_FORMAT = 1
"""Raised when request hashes change their meaning: recordings are keyed by them."""

_TABLES = """
CREATE TABLE IF NOT EXISTS completions (
    key TEXT NOT NULL,
    sample INTEGER NOT NULL,
    text TEXT NOT NULL,
    finish_reason TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    logprobs TEXT NOT NULL,
    stage TEXT NOT NULL,
    requests INTEGER NOT NULL, -- 1 for the first completion of each answer of the server, 0 for its others
    nano_usd INTEGER NOT NULL, -- whole numbers, so that sums do not depend on order
    reasoning TEXT NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    estimated INTEGER NOT NULL, -- 1 if the server counted no tokens
    detail TEXT NOT NULL,
    PRIMARY KEY (key, sample)
);
CREATE TABLE IF NOT EXISTS spent (
    stage TEXT PRIMARY KEY,
    requests INTEGER NOT NULL,
    completions INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    nano_usd INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    estimated INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (number INTEGER PRIMARY KEY, sentence TEXT NOT NULL UNIQUE);
CREATE TRIGGER IF NOT EXISTS spend AFTER INSERT ON completions BEGIN
    INSERT INTO spent VALUES (
        NEW.stage, NEW.requests, 1, NEW.prompt_tokens, NEW.completion_tokens, NEW.nano_usd, NEW.reasoning_tokens,
        NEW.estimated
    )
    ON CONFLICT (stage) DO UPDATE SET
        requests = requests + excluded.requests,
        completions = completions + 1,
        prompt_tokens = prompt_tokens + excluded.prompt_tokens,
        completion_tokens = completion_tokens + excluded.completion_tokens,
        nano_usd = nano_usd + excluded.nano_usd,
        reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
        estimated = estimated + excluded.estimated;
END;
"""

# ON CONFLICT and not OR IGNORE: the latter would reach into the trigger and lose its update.
_INSERT = "INSERT INTO completions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"

_SELECT = """
SELECT sample, text, finish_reason, prompt_tokens, completion_tokens, logprobs, reasoning, reasoning_tokens, estimated,
    detail
FROM completions WHERE key = ? AND sample < ?
"""


class CompletionRow(NamedTuple):
    """One row of `completions`, in the order of its columns."""

    key: str
    sample: int
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    logprobs: str
    stage: str
    requests: int
    nano_usd: int
    reasoning: str = ""
    reasoning_tokens: int = 0
    estimated: int = 0
    detail: str = ""


class Usage(Record):
    """What was asked of the models, and what it cost."""

    requests: int = 0
    """Answers of a server; one answer may hold several completions."""
    completions: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    """Thoughts included."""
    reasoning_tokens: int = 0
    """How many of them were thoughts."""
    estimated: int = 0
    """Completions whose tokens the server didn't count: theirs are estimates."""
    usd: float = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


def request_key(request: Request, model_identity: str) -> str:
    """Return the 32 hexadecimal digits under which the answers to this request are stored.

    Everything that shapes an answer is part of it; role, stage and number of samples are not. The JSON schema counts
    with the order of its keys, because servers write the properties of an answer in that order.
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

    def __init__(self, path: Path, keep: Callable[[list[CompletionRow]], None] = lambda rows: None) -> None:
        """Open or create the file; raise `StoreError` if it is damaged, of another format, or can't be written.

        `keep` is called with rows before they are stored, to put them somewhere else, too.
        """
        self._path = path
        self._keep = keep
        with self._errors_named():
            path.parent.mkdir(parents=True, exist_ok=True)
            # The live display reads usage from its own thread; SQLite itself serialises the calls.
            self._db = sqlite3.connect(path, timeout=60.0, isolation_level=None, check_same_thread=False)
        try:
            with self._errors_named():
                self._prepare()
        except StoreError:
            self._db.close()
            raise

    def get(self, key: str, samples: int) -> dict[int, Completion]:
        """Return the stored completions with an index below `samples`, by index."""
        with self._errors_named():
            rows = self._db.execute(_SELECT, (key, samples)).fetchall()
        return {
            sample: Completion(
                text=text,
                finish_reason=finish_reason,
                prompt_tokens=prompt_tokens,
                completion_tokens=completion_tokens,
                logprobs=read_logprobs(logprobs) if logprobs else (),
                reasoning=reasoning,
                reasoning_tokens=reasoning_tokens,
                estimated=bool(estimated),
                detail=detail,
            )
            for (
                sample,
                text,
                finish_reason,
                prompt_tokens,
                completion_tokens,
                logprobs,
                reasoning,
                reasoning_tokens,
                estimated,
                detail,
            ) in rows
        }

    async def recall(self, key: str, samples: int) -> None:
        """Do nothing: what this file lacks is kept nowhere else."""

    def put(self, key: str, completions: Mapping[int, Completion], *, request: Request, usd: float) -> None:
        """Store the completions of one answer of the server, by sample index: all of them, or none.

        `usd` is the price of the whole answer. A completion that is already there stays as it is.
        """
        first = min(completions, default=0)
        self.insert(
            [
                CompletionRow(
                    key=key,
                    sample=index,
                    text=each.text,
                    finish_reason=each.finish_reason,
                    prompt_tokens=each.prompt_tokens,
                    completion_tokens=each.completion_tokens,
                    logprobs=json.dumps(each.logprobs) if each.logprobs else "",
                    stage=request.stage,
                    requests=int(index == first),
                    nano_usd=round(usd * 1e9) if index == first else 0,
                    reasoning=each.reasoning,
                    reasoning_tokens=each.reasoning_tokens,
                    estimated=int(each.estimated),
                    detail=each.detail,
                )
                for index, each in completions.items()
            ]
        )

    def insert(self, rows: list[CompletionRow]) -> None:
        """Store rows in one transaction, leaving those that are already there."""
        self._keep(rows)
        with self._errors_named():
            if len(rows) == 1:
                self._db.execute(_INSERT, rows[0])
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany(_INSERT, rows)
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def rows(self) -> Iterator[CompletionRow]:
        """Yield every row, ordered by key and sample index."""
        with self._errors_named():
            yield from map(CompletionRow._make, self._db.execute("SELECT * FROM completions ORDER BY key, sample"))

    def endings(self) -> Iterator[tuple[str, FinishReason, str, int]]:
        """Yield (stage, finish reason, detail, completions) for all that didn't end as they should, most first."""
        with self._errors_named():
            yield from self._db.execute(
                "SELECT stage, finish_reason, detail, COUNT(*) AS number FROM completions "
                "WHERE finish_reason IN ('refused', 'unknown') GROUP BY 1, 2, 3 ORDER BY number DESC, 1, 2, 3"
            )

    def note(self, sentence: str) -> None:
        """Store what should be said at the end of the run; a sentence that is there already is said once."""
        with self._errors_named():
            self._db.execute("INSERT OR IGNORE INTO notes (sentence) VALUES (?)", (sentence,))

    def notes(self) -> list[str]:
        """Return the sentences, in the order in which they came."""
        with self._errors_named():
            return [sentence for (sentence,) in self._db.execute("SELECT sentence FROM notes ORDER BY number")]

    def forget_refused(self) -> int:
        """Delete the completions that servers refused, so that they are asked for again; return how many."""
        with self._errors_named():
            return self._db.execute("DELETE FROM completions WHERE finish_reason = 'refused'").rowcount

    def usage(self) -> dict[str, Usage]:
        """Return what each stage has spent, over all processes and resumptions, by stage name in sorted order."""
        with self._errors_named():
            rows = self._db.execute("SELECT * FROM spent ORDER BY stage").fetchall()
        return {
            stage: Usage(
                requests=requests,
                completions=completions,
                prompt_tokens=prompt_tokens,
                completion_tokens=completion_tokens,
                reasoning_tokens=reasoning_tokens,
                estimated=estimated,
                usd=nano_usd / 1e9,
            )
            for (
                stage,
                requests,
                completions,
                prompt_tokens,
                completion_tokens,
                nano_usd,
                reasoning_tokens,
                estimated,
            ) in rows
        }

    def total(self) -> Usage:
        """Return what all stages together have spent."""
        stages = list(self.usage().values())
        return Usage(
            requests=sum(each.requests for each in stages),
            completions=sum(each.completions for each in stages),
            prompt_tokens=sum(each.prompt_tokens for each in stages),
            completion_tokens=sum(each.completion_tokens for each in stages),
            reasoning_tokens=sum(each.reasoning_tokens for each in stages),
            estimated=sum(each.estimated for each in stages),
            usd=sum(each.usd for each in stages),
        )

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self) -> None:
        # Small pages, as each commit writes a few whole ones.
        self._db.execute("PRAGMA page_size = 2048")
        # The first three can wait for another process that is creating the same file; the time-out above covers that.
        self._db.execute("PRAGMA journal_mode = WAL")
        # A commit survives the death of the process; only a power cut can undo the last ones, and never damages the
        # file.
        self._db.execute("PRAGMA synchronous = NORMAL")
        # Each checkpoint waits for the disk, and so does the event loop.
        self._db.execute("PRAGMA wal_autocheckpoint = 32768")
        [(verdict,)] = self._db.execute("PRAGMA quick_check(1)").fetchall()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        [(version,)] = self._db.execute("PRAGMA user_version").fetchall()
        if version not in {0, _FORMAT}:
            raise StoreError(
                f"{self._path} is of format {version}, this version of autoif writes {_FORMAT}: use another run folder"
            )
        if version == 0:
            self._db.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {_FORMAT}; COMMIT;")

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(self._explain_error(error)) from error

    def _explain_error(self, error: sqlite3.Error | OSError) -> str:
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_FULL:
            return f"no space left for {self._path}; free some and run the same command again"
        if isinstance(error, sqlite3.OperationalError | OSError):
            return f"{self._path} can't be used ({error}); check that the folder is there, writable and not locked"
        return f"{self._path} is damaged ({error}); bring it back from a copy, or delete it to ask the model again"


def read_logprobs(stored: str) -> tuple[tuple[str, float], ...]:
    """Return (token, log-probability) pairs from their stored form. Raises ValueError."""
    try:
        return tuple((str(token), float(value)) for token, value in parse_json(stored))
    except (TypeError, OverflowError):
        raise ValueError("log-probabilities of another form") from None
