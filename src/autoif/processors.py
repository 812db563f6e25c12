"""How many processors and open files this process may use; the kernel often shows more than it grants.

A container limited to two processors on a machine of 64 sees all 64. A process for each would fill its memory.
"""

import os
from collections.abc import Collection
from math import ceil, inf
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def count_processors() -> int:
    """Return the processors within this process's affinity and its control group's quota; at least one."""
    return _within_quota(len(_allowed()))


def count_cores() -> int:
    """Return the physical cores within this process's affinity and its control group's quota; at least one.

    Threads of one core share its arithmetic, so a second one per core only gets in the way of matrix products.
    """
    # The threads of each CPU's core, as the kernel writes them; the CPU itself where it doesn't say.
    cores = {_read(_CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list") or str(cpu) for cpu in _allowed()}
    return _within_quota(len(cores))


def raise_descriptors(wanted: int) -> int:
    """Raise this process's limit of descriptors to `wanted`, as far as allowed; return how many it can have."""
    try:
        import resource
    except ImportError:  # no such limit on this system
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):  # the system grants less than its limit says
        return soft
    return most


def _allowed() -> Collection[int]:
    try:
        return os.sched_getaffinity(0)
    except AttributeError:  # not Linux
        return range(os.cpu_count() or 1)


def _within_quota(count: int) -> int:
    return max(1, ceil(min(count, _quota())))


def _quota() -> float:
    """Return the CPUs that control groups grant, in either version of their file system; infinite without a limit."""
    limits = [inf]
    for line in _read(_OWN_GROUPS).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            folder = _GROUPS / path.lstrip("/")
            limits += [_limit(*_read(each / "cpu.max").split()) for each in (folder, *folder.parents)]
        elif "cpu" in controllers.split(","):
            folder = _GROUPS / "cpu" / path.lstrip("/")
            limits.append(_limit(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")))
    return min(limits)


def _limit(quota: str = "", period: str = "") -> float:
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else inf


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
