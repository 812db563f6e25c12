"""Recovers the answers in a cut or damaged completions file, so that only the others have to be paid for again.

`autoif run --answers FILE` takes such a file. SQLite finds rows by way of index pages, which may be lost. Here all rows
are read directly from the pages that hold them, by SQLite's file format ("B-tree Pages", "Record Format"), and put into
a new file with the same tables.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from autoif.errors import StoreError
from autoif.models.answer_rows import CompletionRow, RowPacker
from autoif.models.answer_tables import open_tables

_FIRST_BYTES = b"SQLite format 3\0"
_LEAF = 0x0D
_PAGE_SIZES = frozenset(1 << power for power in range(9, 16))
"""The page sizes that a header can name as they are; 1 stands for 65,536."""
_OWN_PAGE_SIZE = 8192
"""The page size of completions files (`answer_tables`), for a file whose header is damaged."""
_TABLES = {17: "completions", 9: "stages", 3: "dictionaries"}
"""The tables by their number of columns, which tells whose row it is."""
_INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8)
"""Width of an integer, by its serial type."""
Value = int | str | bytes | None


def is_database(path: Path) -> bool:
    """Tell whether a file is a SQLite database, by its first bytes."""
    with suppress(OSError), path.open("rb") as file:
        return file.read(len(_FIRST_BYTES)) == _FIRST_BYTES
    return False


def salvage_rows(path: Path) -> Iterator[CompletionRow]:
    """Yield the completions that can still be read, in the order in which they were stored.

    Raises StoreError: the file can't be copied.
    """
    with tempfile.TemporaryDirectory(prefix="autoif-", ignore_cleanup_errors=True) as scratch:
        copy, new = Path(scratch) / "cut.sqlite", Path(scratch) / "new.sqlite"
        try:
            for suffix in ("", "-wal"):
                if (found := path.with_name(path.name + suffix)).exists():
                    shutil.copyfile(found, copy.with_name(copy.name + suffix))
        except OSError as error:
            raise StoreError(f"{path} can't be copied to {scratch}: {error.strerror or error}") from None
        with suppress(sqlite3.Error), closing(sqlite3.connect(copy)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # moves the rows of the write-ahead log into the file
        with closing(sqlite3.connect(new, isolation_level=None)) as db:
            open_tables(db, new)
            packer = RowPacker(db)
            db.execute("BEGIN")
            for number, values in _read_records(copy):
                table = _TABLES.get(len(values))
                if table:
                    marks = ", ".join("?" * len(values))
                    db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", (number, *values[1:]))
            for [number] in db.execute("SELECT number FROM completions ORDER BY number"):
                with suppress(sqlite3.DatabaseError, ValueError, TypeError, IndexError):  # the row is damaged
                    yield packer.read(number)


def _read_records(path: Path) -> Iterator[tuple[int, list[Value]]]:
    """Yield (number, columns) of the rows of all tables, page by page; rows that can't be read are left out."""
    content = memoryview(path.read_bytes())
    size = int.from_bytes(content[16:18])
    size = 65536 if size == 1 else size if size in _PAGE_SIZES else _OWN_PAGE_SIZE
    for begin in range(0, len(content) - size + 1, size):
        page = content[begin : begin + size]
        head = 100 if begin == 0 else 0
        if page[head] != _LEAF:
            continue
        for place in range(head + 8, head + 8 + 2 * int.from_bytes(page[head + 3 : head + 5]), 2):
            with suppress(ValueError, IndexError, UnicodeDecodeError):
                yield _read_cell(content, page, int.from_bytes(page[place : place + 2]))


def _read_cell(content: memoryview, page: memoryview, place: int) -> tuple[int, list[Value]]:
    """Return the number and the columns of a row. Raises ValueError or IndexError: a part of it is missing."""
    length, place = _read_number(page, place)
    if length > len(content):
        raise ValueError("no row is longer than its file")  # a cycle of damaged pages would never fill it
    number, place = _read_number(page, place)
    usable = len(page) - content[20]
    least = (usable - 12) * 32 // 255 - 23
    local = length
    if length > usable - 35:
        local = least + (length - least) % (usable - 4)
        local = local if local <= usable - 35 else least
    payload = bytearray(page[place : place + local])
    following = int.from_bytes(page[place + local : place + local + 4]) if local < length else 0
    while len(payload) < length:
        begin = (following - 1) * len(page)
        if begin < 0 or begin + len(page) > len(content):
            raise ValueError("a part of it is missing")
        payload += content[begin + 4 : begin + min(usable, 4 + length - len(payload))]
        following = int.from_bytes(content[begin : begin + 4])
    return number, _read_columns(memoryview(payload))


def _read_columns(payload: memoryview) -> list[Value]:
    head, place = _read_number(payload, 0)
    values, at = list[Value](), head
    while place < head:
        kind, place = _read_number(payload, place)
        if kind < 7:
            width = _INTEGER_BYTES[kind]
            values.append(int.from_bytes(payload[at : at + width], signed=True) if width else None)
        elif kind in {8, 9}:
            width = 0
            values.append(kind - 8)
        elif kind >= 12:
            width = (kind - 12) // 2
            raw = bytes(payload[at : at + width])
            values.append(raw.decode() if kind % 2 else raw)
        else:
            raise ValueError("no value of these tables")
        at += width
    if at != len(payload):
        raise ValueError("a part of it is missing")
    return values


def _read_number(data: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for count in range(8):
        value = value << 7 | data[place + count] & 0x7F
        if data[place + count] < 0x80:
            return value, place + count + 1
    return value << 8 | data[place + 8], place + 9
