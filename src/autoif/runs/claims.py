"""Locks between machines: a claim says which process works on something in a place that several machines see.

A claim is a folder's file `claim-0001`, `claim-0002`, …: whoever creates the next number holds it, and a file system,
or an object store with conditional writes, creates a name once. The holder lengthens its file every few seconds. The
claim may be taken over after a minute without growth, by the clock of whoever waits, or at once if the holder ran on
this machine and is dead. A holder that was only held up finds the next number there, and stops.
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
"""The claims that this process holds. One that it could not mark as released is not among them, and is free for it."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""On Linux the clock that goes on while the machine sleeps."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process somewhere."""

    host: str
    pid: int
    kernel: str = ""
    """Boot id and pid namespace: only a process that shares both can look up `pid`."""
    started: str = ""
    """When the process began, in clock ticks since boot: a pid may be reused."""

    @classmethod
    def here(cls) -> "Holder":
        return cls(socket.gethostname(), os.getpid(), _kernel(), _started(os.getpid()))

    @property
    def is_dead(self) -> bool:
        """True if it ran on this machine and has ended; False on another machine, where nobody can tell."""
        return bool(self.kernel) and self.kernel == _kernel() and _started(self.pid) != self.started

    @property
    def lives_here(self) -> bool:
        return bool(self.kernel) and self.kernel == _kernel() and not self.is_dead

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a claim looked like."""

    number: int = 0
    holder: Holder | None = None
    size: int = -1
    released: bool = False


class ClaimPlace(Protocol):
    """Where the files of a claim are."""

    def find_last(self) -> int:
        """Return the highest number that was taken; 0 for none."""
        ...

    def read(self, number: int) -> bytes | None:
        """Return the file of a number; None if there is none, or it can't be read at the moment."""
        ...

    def create(self, number: int, content: bytes) -> bool:
        """Make the file of a number; tell whether there was none."""
        ...

    def add(self, content: bytes) -> None:
        """Lengthen the file that was made."""
        ...


class FolderPlace:
    """Claims in a folder of a disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mine = folder

    def __str__(self) -> str:
        return str(self._folder.resolve())

    def find_last(self) -> int:
        return max((int(path.name[-4:]) for path in self._folder.glob("claim-[0-9][0-9][0-9][0-9]")), default=0)

    def read(self, number: int) -> bytes | None:
        try:  # opened anew: a network disk shows new content only to files opened after it
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
    """Claims at an address; the holder's is written anew to lengthen it."""

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
    """One thing that one process at a time may do, among all that see a place. Hold it by `holding`."""

    def __init__(self, place: Path | ClaimPlace, what: str) -> None:
        """`what` names it in messages."""
        self.number = 0
        """Of this process's turn; files that it alone writes may be named by it."""
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
        """Who held it when it was last looked at."""
        return self._seen.holder

    @property
    def is_sure(self) -> bool:
        """True as long as nobody can have taken it over: its last sign of life is not old enough."""
        return self._held and time.clock_gettime(_CLOCK) - self._confirmed < STALE_S / 2

    async def take(self) -> None:
        """Take the claim; wait for a sign of life of a holder on another machine. Raises StoreError: it lives."""
        while not self._held and not await asyncio.to_thread(self.try_to_take):
            if holder := await find_living_holder(self._place):
                raise StoreError(f"{self.what} is in use by {holder}: wait for it")

    def try_to_take(self) -> bool:
        """Take the claim if nobody holds it or its holder is dead, as far as calls of this method have seen."""
        seen = _look(self._place)
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
        ended = seen.holder == Holder.here() and (str(self._place), seen.number) not in _HELD
        gone = seen.released or ended or (seen.holder and seen.holder.is_dead)
        dead = gone or time.monotonic() - self._since > STALE_S
        if seen.number and not dead:
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
                continue  # a full disk, a store that is away: whoever waits may take over, and is seen later
            if lost:
                self._held = False
                _HELD.discard((str(self._place), self.number))
                self.on_lost()
                return
            self._confirmed = began


@asynccontextmanager
async def holding(claim: Claim) -> AsyncIterator[Claim]:
    """Hold a claim, taken already or not, while the block runs; stop the block if another process takes it over."""
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
        with suppress(StoreError):  # it is free in a minute, or at once if its process is dead
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
    """Return who holds a claim, in words; "" if nobody does, or one who is dead.

    For a sign of life of a process on another machine it waits a minute, by the clock of this one.
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
        await asyncio.sleep(0.5)  # not in the thread, as a user who wants out would have to wait for that
    return "" if now.released else named


def is_overtaken(folder: Path, number: int) -> bool:
    """Tell whether the claim of a folder has a later holder than that of a number."""
    return (folder / _name(number + 1)).exists()


def _name(number: int) -> str:
    return f"claim-{number:04d}"


def _kernel() -> str:
    """Return what is the same for processes that see each other's pids; "" where it can't be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
