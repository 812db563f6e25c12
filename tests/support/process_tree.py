"""Which processes are below another one, zombies included: by /proc, in which a process may end while it is read."""

import os
import time
from contextlib import suppress
from pathlib import Path


def list_parents() -> dict[int, int]:
    """Return process id → that of its parent."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    return parents


def list_children() -> set[int]:
    """Return the children of this process, zombies included, as its threads have them: /proc has all, and is slow."""
    found, threads = set[int](), set[Path]()
    while threads != (now := set(Path("/proc/self/task").iterdir())):  # the children of one that ends go to another
        found, threads = set[int](), now
        for thread in threads:
            with suppress(FileNotFoundError):
                found |= {int(pid) for pid in (thread / "children").read_text().split()}
    if not found:  # or the kernel doesn't tell
        found = {pid for pid, parent in list_parents().items() if parent == os.getpid()}
    return found


def list_descendants(ancestor: int) -> set[int]:
    """Return the children of a process, their children, and so on."""
    parents, found = list_parents(), set[int]()
    while new := {pid for pid, parent in parents.items() if parent in found | {ancestor}} - found:
        found |= new
    return found


def is_there(pid: int) -> bool:
    """Tell whether a process is there, if only as a zombie."""
    return Path(f"/proc/{pid}").exists()


def wait_until_gone(pids: set[int]) -> None:
    """Fail if one of the processes is still there after half a minute."""
    deadline = time.monotonic() + 30
    while left := list(filter(is_there, pids)):
        assert time.monotonic() < deadline, f"left: {left}"
        time.sleep(0.01)
