"""The tables of the completions file: made, and checked without reading them."""

import sqlite3
from pathlib import Path

from autoif.errors import StoreError
from autoif.models.answer_rows import DICTIONARIES

FORMAT = 3
"""Raised when the tables change their meaning."""
_TABLES = f"""
CREATE TABLE IF NOT EXISTS stages ( -- what was spent, but for the completions above `counted`
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
    requests INTEGER NOT NULL, -- 1 for the first completion of each answer of the server, 0 for its others
    nano_usd INTEGER NOT NULL, -- whole numbers, so that sums do not depend on order
    logprobs TEXT NOT NULL,
    detail TEXT NOT NULL,
    dictionary INTEGER NOT NULL, -- what the text is packed with
    thought INTEGER NOT NULL, -- how many bytes of the text, at its end, are the thought
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
"""Which answers are kept in segments elsewhere, of a run whose output is at an address.

Those to one request may be in several: a shard that wants more samples than another one asks for the rest."""
INSERT_ELSEWHERE = "INSERT OR IGNORE INTO elsewhere VALUES (?, ?)"
FIND_ELSEWHERE = "SELECT segment FROM elsewhere WHERE key = ?"
HAS_ELSEWHERE = "SELECT 1 FROM sqlite_master WHERE name = 'elsewhere'"
MAKE_COLLECTED = "CREATE TABLE IF NOT EXISTS collected (batch TEXT PRIMARY KEY) WITHOUT ROWID"
"""Batches of a provider that a run that asks in batches need not read again."""
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
"""Adds what is new to what was spent; `COUNTED` then says so, in the same transaction."""
COUNTED = "UPDATE counted SET number = (SELECT ifnull(max(number), 0) FROM completions)"


def open_tables(db: sqlite3.Connection, path: Path) -> None:
    """Make a connection ready to use, and the tables where there are none.

    Raises:
        StoreError: the file is of another format.
        sqlite3.Error: it is damaged.
    """
    _check_length(db, path)
    # Few large pages waste less on answers that fill a part of one.
    db.execute("PRAGMA page_size = 8192")
    # The next can wait for another process that is creating the same file; the connection's time-out covers that.
    db.execute("PRAGMA journal_mode = WAL")
    # A commit survives the death of the process; only a power cut can undo the last ones, and never damages the file.
    db.execute("PRAGMA synchronous = NORMAL")
    # Each checkpoint waits for the disk, and so does the event loop.
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
    db.execute("SELECT max(number) FROM completions").fetchall()  # a cut file lacks its last pages


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
    """Refuse a file that was cut; one with a log beside it may still lack what is in there.

    Other processes may write meanwhile: what is counted is in the log before it is in the file, and there before it
    leaves the log. So they are looked at in this order.
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
    """Return the statements of a script, which would end a transaction if it were run as one."""
    statements, lines = [], list[str]()
    for line in script.splitlines(keepends=True):
        lines.append(line)
        if sqlite3.complete_statement("".join(lines)):
            statements.append("".join(lines))
            lines = []
    return statements
