"""Locks between machines: a claim says which process works on something in a place that several machines see.

A claim is a series of files in a folder, `claim-0001`, `claim-0002`, …: the process that creates the next number holds
the claim, and a file system, or an object store with conditional writes, creates each name only once. The holder
appends to its file every few seconds. Another process may take the claim over when the file hasn't grown for a minute
by its own clock, or at once if the holder ran on the same machine and is dead. A holder that was only held up finds
that the next number exists, and stops.
"""

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from autoif.errors import StoreError
from autoif.reading.json_text import parse_json
from autoif.runs.remote import Remote
from autoif.runs.whole_files import storage_errors

BEAT_S = 5.0
STALE_S = 60.0
"""Seconds without a sign of life: many times as long as a network disk may show an old state."""
_RELEASED = "."
_HELD = set[tuple[str, int]]()
"""The claims that this process holds. A claim that it gave up but could not mark as released is not among them, so it
can take that one again at once."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""On Linux, the clock that also runs while the machine sleeps."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process on this machine or another."""

    host: str
    pid: int
    kernel: str = ""
    """Boot id and pid namespace: only a process that has the same can look up `pid`."""
    started: str = ""
    """When the process began, in clock ticks since boot: a pid may be reused."""

    @classmethod
    def here(cls) -> "Holder":
        return cls(socket.gethostname(), os.getpid(), _kernel(), _started(os.getpid()))

    @property
    def is_dead(self) -> bool:
        """True if it ran on this machine and has ended; False if it runs, or is on another machine: we can't tell."""
        return bool(self.kernel) and self.kernel == _kernel() and _started(self.pid) != self.started

    @property
    def lives_here(self) -> bool:
        return bool(self.kernel) and self.kernel == _kernel() and not self.is_dead

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}"


@dataclass(frozen=True, slots=True)
class Seen:
    """The state of a claim when it was looked at."""

    number: int = 0
    holder: Holder | None = None
    size: int = -1
    released: bool = False


class ClaimPlace(Protocol):
    """The place of a claim's files."""

    def find_last(self) -> int:
        """Return the highest number that was taken; 0 if none was."""
        ...

    def read(self, number: int) -> bytes | None:
        """Return the content of the file with this number; None if there is none, or it can't be read at the moment."""
        ...

    def create(self, number: int, content: bytes) -> bool:
        """Create the file with this number; return False if it exists already."""
        ...

    def add(self, content: bytes) -> None:
        """Append to the file that `create` made."""
        ...


class FolderPlace:
    """Claims in a folder on a disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mine = folder

    def __str__(self) -> str:
        return str(self._folder.resolve())

    def find_last(self) -> int:
        return max((int(path.name[-4:]) for path in self._folder.glob("claim-[0-9][0-9][0-9][0-9]")), default=0)

    def read(self, number: int) -> bytes | None:
        try:  # opened anew each time: a network disk shows new content only to files opened after it was written
            return (self._folder / _name(number)).read_bytes()
        except OSError:
            return None

    def create(self, number: int, content: bytes) -> bool:
        with storage_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                self._mine = self._folder / _name(number)
                self._write(content, os.O_CREAT | os.O_EXCL)
            except FileExistsError:
                return False
        return True

    def add(self, content: bytes) -> None:
        with storage_errors(self._folder):
            self._write(content)

    def _write(self, content: bytes, how: int = 0) -> None:
        file = os.open(self._mine, how | os.O_WRONLY | os.O_APPEND, 0o644)
        try:
            os.write(file, content)
            os.fsync(file)
        finally:
            os.close(file)


class RemotePlace:
    """Claims at an address. Objects can't be appended to, so the holder writes its whole file anew."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._mine, self._content = "", b""

    def __str__(self) -> str:
        return str(self._remote)

    def find_last(self) -> int:
        names = self._remote.list_names("claims")
        return max((int(name[-4:]) for name in names if name[:-4] == "claim-" and name[-4:].isdecimal()), default=0)

    def read(self, number: int) -> bytes | None:
        return self._remote.get(f"claims/{_name(number)}")

    def create(self, number: int, content: bytes) -> bool:
        self._mine, self._content = f"claims/{_name(number)}", content
        return self._remote.create(self._mine, content)

    def add(self, content: bytes) -> None:
        self._content += content
        self._remote.put(self._mine, self._content)


class Claim:
    """A lock that one process at a time holds, among all that see a place. Use it with `holding`."""

    def __init__(self, place: Path | ClaimPlace, what: str) -> None:
        """`what` names the claimed thing in messages."""
        self.number = 0
        """Number of the claim file that this process holds. It is unique, so it may name files that only the holder
        writes."""
        self.what = what
        self.on_lost: Callable[[], None] = lambda: None
        """Called, from a thread, if another process took the claim over."""
        self._place = FolderPlace(place) if isinstance(place, Path) else place
        self._held = False
        self._confirmed = 0.0
        self._stop = threading.Event()
        self._beating: threading.Thread | None = None
        self._seen, self._since = Seen(), time.monotonic()

    @property
    def holder(self) -> Holder | None:
        """The process that held the claim when it was last looked at."""
        return self._seen.holder

    @property
    def is_sure(self) -> bool:
        """True as long as nobody can have taken the claim over, because its last sign of life is too recent."""
        return self._held and time.clock_gettime(_CLOCK) - self._confirmed < STALE_S / 2

    async def take(self) -> None:
        """Take the claim. If a process on another machine holds it, wait to see whether that is alive.
        Raises StoreError: the holder is alive."""
        while not self._held and not await asyncio.to_thread(self.try_to_take):
            if holder := await find_living_holder(self._place):
                raise StoreError(f"{self.what} is in use by {holder}: wait for it")

    def try_to_take(self) -> bool:
        """Take the claim if nobody holds it or its holder is dead; return whether it was taken.

        A holder on another machine is dead if calls of this method have seen no sign of life for a minute.
        """
        seen = _look(self._place)
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
        given_up_here = seen.holder == Holder.here() and (str(self._place), seen.number) not in _HELD
        gone = seen.released or given_up_here or (seen.holder and seen.holder.is_dead)
        is_free = gone or time.monotonic() - self._since > STALE_S
        if seen.number and not is_free:
            return False
        began = time.clock_gettime(_CLOCK)
        if not self._place.create(seen.number + 1, json.dumps(asdict(Holder.here())).encode() + b"\n"):
            return False
        self.number, self._held, self._confirmed = seen.number + 1, True, began
        _HELD.add((str(self._place), self.number))
        self._beating = threading.Thread(target=self._beat, name="autoif-claim", daemon=True)
        self._beating.start()
        return True

    def release(self) -> None:
        if not self._held:
            return
        self._stop.set()
        if self._beating:
            self._beating.join()
        self._held = False
        _HELD.discard((str(self._place), self.number))
        self._place.add(_RELEASED.encode())

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_S):
            began = time.clock_gettime(_CLOCK)
            try:
                self._place.add(b"\n")
                lost = self._place.read(self.number + 1) is not None
            except StoreError:
                continue  # full disk or store out of reach: another process may take over, which a later beat notices
            if lost:
                self._held = False
                _HELD.discard((str(self._place), self.number))
                self.on_lost()
                return
            self._confirmed = began


@asynccontextmanager
async def holding(claim: Claim) -> AsyncIterator[Claim]:
    """Hold a claim while the block runs; take it first if it isn't taken yet.
    Raises StoreError: a living process holds it; or another one took it over, and the block was cancelled."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task
    lost: list[bool] = []

    def stop() -> None:
        lost.append(True)
        loop.call_soon_threadsafe(task.cancel)

    claim.on_lost = stop
    try:
        await claim.take()
        yield claim
    except asyncio.CancelledError:
        if lost:
            raise StoreError(
                f"{claim.what} was taken over, as this process showed no sign of life for a minute"
            ) from None
        raise
    finally:
        with suppress(StoreError):  # otherwise it becomes free in a minute, or at once when this process has ended
            await asyncio.to_thread(claim.release)


def _look(place: ClaimPlace) -> Seen:
    number = place.find_last()
    content = place.read(number) if number else None
    if content is None:
        return Seen(number)
    try:
        line, _, beats = content.decode("utf-8").partition("\n")
        return Seen(number, Holder(**parse_json(line)), len(content), beats.endswith(_RELEASED))
    except (ValueError, TypeError):  # its first line is being written, or never was
        return Seen(number, None, len(content))


async def find_living_holder(place: ClaimPlace) -> str:
    """Return a description of the living process that holds a claim; "" if there is none.

    If the holder is on another machine, wait up to a minute for its next sign of life.
    """
    first, end = await asyncio.to_thread(_look, place), time.monotonic() + STALE_S + BEAT_S
    if not first.number or first.released or (first.holder and first.holder.is_dead):
        return ""
    named = str(first.holder or "another process")
    if first.holder and first.holder.lives_here:
        return named
    while (now := await asyncio.to_thread(_look, place)) == first:
        if time.monotonic() > end:
            return ""
        await asyncio.sleep(0.5)  # not in the thread, which a user who stops the command would have to wait for
    return "" if now.released else named


def is_overtaken(folder: Path, number: int) -> bool:
    """Tell whether another process has taken a folder's claim since the one that holds `number`."""
    return (folder / _name(number + 1)).exists()


def _name(number: int) -> str:
    return f"claim-{number:04d}"


def _kernel() -> str:
    """Return an id of the machine's boot and pid namespace, the same for all processes that see each other's pids; ""
    where the system doesn't tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return when a process began, in clock ticks since boot; "" if it has ended or the system doesn't tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
