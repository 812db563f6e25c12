"""`events.jsonl` of a run folder: what a run did and when, one JSON line per event, for `autoif status` and programs.

    {"event": "began", "at": …, "host": …, "pid": …, …}     a process starts to work on the run
    {"event": "progress", "at": …, "stages": …, "usage": …}  every few seconds, which is also a sign of life
    {"event": "shard", "at": …, "step": …, "index": …}       a shard is on disk
    {"event": "ended", "at": …, "status": …, "error": …}     the process stopped without being killed

`at` is the time in UTC. Lines are only appended. A line that was cut off by a kill is ignored.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from autoif.errors import AutoIFError, StoreError
from autoif.reading.json_text import parse_json
from autoif.runs.claims import Holder
from autoif.runs.run_folder import RunFolder
from autoif.runs.store import EVENTS, is_usage, reading_errors
from autoif.runs.whole_files import storage_errors

BEAT_S = 10.0
_TAIL_BYTES = 1 << 20
"""How much of the end of the file is read to find the state of a run."""

Snapshot = Callable[[], dict[str, JsonValue]]
"""Returns the current counts of a run."""


class Events:
    """Adds lines to a run's events. May be used from any thread."""

    def __init__(self, folder: RunFolder, is_overtaken: Callable[[], bool] = lambda: False) -> None:
        """Nothing is added once `is_overtaken` returns True: another process has the run, and writes its own events."""
        self._folder = folder
        self._is_overtaken = is_overtaken
        self._lock = threading.Lock()

    def add(self, event: str, **more: JsonValue) -> None:
        """Append an event with the current time. Raises StoreError: the disk refuses it."""
        if self._is_overtaken():
            return
        line = json.dumps({"event": event, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), **more})
        with self._lock, storage_errors(self._folder.path / EVENTS):
            self._folder.append(EVENTS, line + "\n")


@contextmanager
def recording_events(events: Events, snapshot: Snapshot) -> Iterator[None]:
    """Record that this process begins, its progress every few seconds while the block runs, and how it ends."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(BEAT_S):
            with suppress(StoreError):  # the run itself reports a full disk, and progress is recorded again later
                events.add("progress", **snapshot())

    events.add("began", **asdict(Holder.here()))
    thread = threading.Thread(target=beat, name="autoif-events", daemon=True)
    thread.start()
    status, error = "complete", ""
    try:
        yield
    except BaseException as failure:
        status = "failed" if isinstance(failure, Exception) else "interrupted"
        if isinstance(failure, Exception):
            error = str(failure) if isinstance(failure, AutoIFError) else type(failure).__name__
        raise
    finally:
        stop.set()
        thread.join()
        with suppress(StoreError) if status != "complete" else nullcontext():
            events.add("ended", status=status, error=error, **snapshot())


@dataclass(frozen=True, slots=True)
class LastSeen:
    """What the events of a run say about the last process that worked on it."""

    holder: Holder | None = None
    began: datetime | None = None
    seen: datetime | None = None
    """Its last sign of life."""
    counts: dict[str, Any] | None = None
    ended: str = ""
    """"complete", "failed" or "interrupted"; "" while the process is at work, or if it was killed."""
    error: str = ""


def read_last(folder: Path) -> LastSeen:
    """Return what the events of a run say about its last process; an empty `LastSeen` if there are no events.
    Raises StoreError: they can't be read."""
    found = LastSeen()
    for line in _read_tail(folder / EVENTS):
        try:
            row = parse_json(line.decode("utf-8"))
            at = datetime.fromisoformat(row["at"]).astimezone(UTC)
            if not is_usage({**row.get("stages", {}), "": row.get("usage", {})}):
                continue
            if not all(isinstance(row.get(name) or 0, int | float) for name in ("done", "seconds_left")):
                continue
            match row["event"]:
                case "began":
                    holder = Holder(row["host"], row["pid"], row["kernel"], row["started"])
                    found = LastSeen(holder, at, at, found.counts)
                case "progress":
                    found = LastSeen(found.holder, found.began, at, row)
                case "shard":
                    found = LastSeen(found.holder, found.began, at, found.counts)
                case "ended":
                    found = LastSeen(found.holder, found.began, at, row, row["status"], row["error"])
        except (ValueError, TypeError, KeyError, AttributeError):  # damaged, or cut off by a kill or by `_read_tail`
            continue
    return found


def read_recent(folder: Path) -> bytes:
    """Return the few lines that `read_last` needs: the one that begins the last process, and the last three."""
    lines = _read_tail(folder / EVENTS)
    began = max((at for at, line in enumerate(lines) if b'"began"' in line), default=0)
    return b"".join(line + b"\n" for line in (*lines[began : began + 1], *lines[max(began + 1, len(lines) - 3) :]))


def _read_tail(path: Path) -> list[bytes]:
    """Return the last lines of a file; if none of them begins a process, put the last line that does before them."""
    try:
        with reading_errors(path), path.open("rb") as file:
            size = file.seek(0, 2)
            begin = max(0, size - _TAIL_BYTES)
            file.seek(begin)
            lines = file.read().splitlines()
            if begin and not any(b'"began"' in line for line in lines):
                file.seek(0)
                lines = [*[line for line in file if b'"began"' in line][-1:], *lines]
            return lines
    except FileNotFoundError:
        return []
