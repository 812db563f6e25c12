"""Who works on what, on a disk that several machines share: locks of files that hold wherever files can be created.

A claim is a folder's file `claim-0001`, `claim-0002`, …: creating the next number takes the claim, and a file system
creates a name once. Nothing is renamed or deleted, so no two processes can both win. The holder lengthens its file
every few seconds; whoever waits takes the claim over when it has seen no growth for a minute, by its own clock, or at
once if the holder ran on this machine and is dead. A holder that was only held up finds the next number there, and
stops.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from autoif.errors import StoreError
from autoif.reading.text_lines import parse_json
from autoif.runs.store import storage_errors

BEAT_S = 5.0
STALE_S = 60.0
"""Without a sign of life: many times the seconds for which a network disk may show an old state."""
_RELEASED = "."


@dataclass(frozen=True, slots=True)
class Holder:
    """A process somewhere."""

    host: str
    pid: int
    kernel: str = ""
    """The boot of the machine and the space of its process numbers: only where it is ours, a pid tells anything."""
    started: str = ""
    """The clock ticks at which the process began: a pid may be given again."""

    @classmethod
    def here(cls) -> "Holder":
        """Return this process."""
        return cls(socket.gethostname(), os.getpid(), _kernel(), _started(os.getpid()))

    @property
    def is_dead(self) -> bool:
        """True if it ran on this machine and does no more; of another machine nobody knows."""
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


class Claim:
    """One thing that one process at a time may do, among all that see a folder. Use it in a `with` statement."""

    def __init__(self, folder: Path, what: str, on_lost: Callable[[], None] = lambda: None) -> None:
        """`what` names it in messages; `on_lost` is called, from a thread, if another process took the claim over."""
        self.number = 0
        """Of this process's turn; files that it alone writes may be named by it."""
        self._folder = folder
        self._what = what
        self._on_lost = on_lost
        self._file = -1
        self._stop = threading.Event()
        self._beating: threading.Thread | None = None
        self._seen, self._since = Seen(), time.monotonic()

    @property
    def holder(self) -> Holder | None:
        """Who held it when it was last looked at."""
        return self._seen.holder

    def take(self) -> None:
        """Take the claim; wait for a sign of life of a holder on another machine. Raises StoreError: it lives."""
        while not self.try_to_take():
            alive = self._seen.holder and self._seen.holder.lives_here
            first, end = self._seen, self._since + STALE_S + BEAT_S
            while not alive and look_at(self._folder) == first and time.monotonic() < end:
                time.sleep(0.5)
            if alive or time.monotonic() < end:
                raise StoreError(f"{self._what} is in use by {first.holder or 'another process'}: wait for it")

    def try_to_take(self) -> bool:
        """Take the claim if nobody holds it or its holder is dead, as far as calls of this method have seen."""
        seen = look_at(self._folder)
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
        dead = seen.released or (seen.holder and seen.holder.is_dead) or time.monotonic() - self._since > STALE_S
        if seen.number and not dead:
            return False
        with storage_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                path = _name(self._folder, seen.number + 1)
                self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o644)
            except FileExistsError:
                return False
            os.write(self._file, json.dumps(asdict(Holder.here())).encode() + b"\n")
            os.fsync(self._file)
        self.number = seen.number + 1
        self._beating = threading.Thread(target=self._beat, name="autoif-claim", daemon=True)
        self._beating.start()
        return True

    def release(self) -> None:
        """Let the next one have it."""
        if self._file < 0:
            return
        self._stop.set()
        if self._beating:
            self._beating.join()
        with storage_errors(self._folder):
            os.write(self._file, _RELEASED.encode())
            os.close(self._file)
        self._file = -1

    def __enter__(self) -> "Claim":
        if self._file < 0:
            self.take()
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_S):
            try:
                os.write(self._file, b"\n")
                os.fsync(self._file)
            except OSError:
                continue  # a full disk: whoever waits may take over, and is seen below
            if _name(self._folder, self.number + 1).exists():
                self._on_lost()
                return


def look_at(folder: Path) -> Seen:
    """Return the state of a folder's claim."""
    number = max((int(path.name[-4:]) for path in folder.glob("claim-[0-9][0-9][0-9][0-9]")), default=0)
    if not number:
        return Seen()
    try:
        content = _name(folder, number).read_bytes()  # opened anew, as a network disk shows what is new to those alone
    except OSError:
        return Seen(number)
    try:
        line, _, beats = content.decode("utf-8").partition("\n")
        return Seen(number, Holder(**parse_json(line)), len(content), beats.endswith(_RELEASED))
    except (ValueError, TypeError):  # its first line is being written, or never was
        return Seen(number, None, len(content))


def find_holder(folder: Path) -> Holder | None:
    """Return who holds a folder's claim, as far as can be told at once: not one that let go, or is dead here."""
    seen = look_at(folder)
    return None if seen.released or (seen.holder and seen.holder.is_dead) else seen.holder


def _name(folder: Path, number: int) -> Path:
    return folder / f"claim-{number:04d}"


def _kernel() -> str:
    """Return what is the same for processes that see each other's pids; "" where it can't be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return when a process began; "" if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
