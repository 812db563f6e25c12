"""The tables of the completions file: creates them, and checks an existing file without reading all of it."""

import sqlite3
from pathlib import Path

from autoif.errors import StoreError
from autoif.models.answer_rows import DICTIONARIES

FORMAT = 3
"""Increase it when the meaning of the tables changes."""
_TABLES = f"""
CREATE TABLE IF NOT EXISTS stages ( -- usage, without the completions whose number is above `counted`
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    requests INTEGER NOT NULL DEFAULT 0,
    completions INTEGER NOT NULL DEFAULT 0,
    prompt_tokens INTEGER NOT NULL DEFAULT 0,
    completion_tokens INTEGER NOT NULL DEFAULT 0,
    nano_usd INTEGER NOT NULL DEFAULT 0,
    reasoning_tokens INTEGER NOT NULL DEFAULT 0,
    estimated INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS completions (
    number INTEGER PRIMARY KEY,
    high INTEGER NOT NULL, -- the key's first half
    low INTEGER NOT NULL,
    sample INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    ending INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    estimated INTEGER NOT NULL, -- 1 if the server counted no tokens
    requests INTEGER NOT NULL, -- 1 for the first completion of a server's answer, 0 for the others
    nano_usd INTEGER NOT NULL, -- whole numbers, so that sums do not depend on order
    logprobs TEXT NOT NULL,
    detail TEXT NOT NULL,
    dictionary INTEGER NOT NULL, -- with which the text is compressed
    thought INTEGER NOT NULL, -- how many bytes at the end of `text` are the reasoning
    text BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS by_key ON completions (high, sample);
CREATE INDEX IF NOT EXISTS by_ending ON completions (ending) WHERE ending > 1;
{DICTIONARIES};
CREATE TABLE IF NOT EXISTS notes (number INTEGER PRIMARY KEY, sentence TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS counted (number INTEGER NOT NULL);
INSERT INTO counted VALUES (0);
"""
MAKE_ELSEWHERE = """
CREATE TABLE IF NOT EXISTS elsewhere (key INTEGER NOT NULL, segment TEXT NOT NULL, PRIMARY KEY (key, segment))
WITHOUT ROWID
"""
"""Which answers are kept in segments elsewhere, for a run whose output is at an address.

The answers to one request may be in several segments: a shard that wants more samples than another
asks for the rest."""
INSERT_ELSEWHERE = "INSERT OR IGNORE INTO elsewhere VALUES (?, ?)"
FIND_ELSEWHERE = "SELECT segment FROM elsewhere WHERE key = ?"
HAS_ELSEWHERE = "SELECT 1 FROM sqlite_master WHERE name = 'elsewhere'"
MAKE_COLLECTED = "CREATE TABLE IF NOT EXISTS collected (batch TEXT PRIMARY KEY) WITHOUT ROWID"
"""Batches of a provider whose answers are all stored, so that a run need not read them again."""
HAS_COLLECTED = "SELECT 1 FROM sqlite_master WHERE name = 'collected'"

_SPENT = ("requests", "completions", "prompt_tokens", "completion_tokens", "nano_usd", "reasoning_tokens", "estimated")
_NEW = """
SELECT stage, sum(requests) AS requests, count(*) AS completions, sum(prompt_tokens) AS prompt_tokens,
    sum(completion_tokens) AS completion_tokens, sum(nano_usd) AS nano_usd, sum(reasoning_tokens) AS reasoning_tokens,
    sum(estimated) AS estimated
FROM completions WHERE number > (SELECT number FROM counted) GROUP BY stage
"""
USAGE = f"""
SELECT name, {", ".join(f"stages.{each} + ifnull(new.{each}, 0)" for each in _SPENT)}
FROM stages LEFT JOIN ({_NEW}) AS new ON new.stage = stages.id ORDER BY name
"""
COUNT = f"""
UPDATE stages SET {", ".join(f"{each} = stages.{each} + new.{each}" for each in _SPENT)}
FROM ({_NEW}) AS new WHERE new.stage = stages.id
"""
"""Adds the usage of new completions to the stages; execute `COUNTED` after it, in the same transaction."""
COUNTED = "UPDATE counted SET number = (SELECT ifnull(max(number), 0) FROM completions)"


def open_tables(db: sqlite3.Connection, path: Path) -> None:
    """Set up a connection, and create the tables of a new file.

    Raises:
        StoreError: the file is of another format.
        sqlite3.Error: the file is damaged.
    """
    _check_length(db, path)
    # Large pages waste less space on partly filled ones.
    db.execute("PRAGMA page_size = 8192")
    # This may have to wait for another process that is creating the same file; the connection's time-out covers that.
    db.execute("PRAGMA journal_mode = WAL")
    # Commits survive the death of the process. A power cut can undo the last ones, but never damages the file.
    db.execute("PRAGMA synchronous = NORMAL")
    # Fewer checkpoints: each waits for the disk, and the event loop with it.
    db.execute("PRAGMA wal_autocheckpoint = 8192")
    version = _version(db)
    if version not in {0, FORMAT}:
        raise StoreError(
            f"{path} is of format {version}, this version of autoif writes {FORMAT}: use another run folder"
        )
    if version != FORMAT:
        db.execute("BEGIN IMMEDIATE")
        try:
            _make_tables(db)
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
    # Fails if the file was cut, as its last pages are missing then.
    db.execute("SELECT max(number) FROM completions").fetchall()


def _make_tables(db: sqlite3.Connection) -> None:
    if _version(db) == FORMAT:  # another process was quicker
        return
    for statement in _split_statements(_TABLES):
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {FORMAT}")


def _version(db: sqlite3.Connection) -> int:
    [(version,)] = db.execute("PRAGMA user_version").fetchall()
    return int(version)


def _check_length(db: sqlite3.Connection, path: Path) -> None:
    """Raise `sqlite3.DatabaseError` for a file that was cut.

    A file with a write-ahead log is not checked, as its last pages may still be in the log. Other processes may write
    meanwhile: a page is in the log before it counts, and in the file before it leaves the log. So the log is looked at
    both before and after the page count is read, and the file last.
    """
    log = path.with_name(f"{path.name}-wal")
    if not path.stat().st_size or (log.exists() and log.stat().st_size):
        return
    [(pages,)] = db.execute("PRAGMA page_count").fetchall()
    [(size,)] = db.execute("PRAGMA page_size").fetchall()
    if log.exists() and log.stat().st_size:
        return
    if path.stat().st_size < pages * size:
        raise sqlite3.DatabaseError("its end is missing")


def _split_statements(script: str) -> list[str]:
    """Return the statements of a script one by one, as `executescript` would end the transaction."""
    statements, lines = [], list[str]()
    for line in script.splitlines(keepends=True):
        lines.append(line)
        if sqlite3.complete_statement("".join(lines)):
            statements.append("".join(lines))
            lines = []
    return statements
