"""Resource limits: what every process inside gets, and what each child gets on top. Soft and hard are the same."""

import ctypes
import resource
from typing import Final

from . import kernel

MEBIBYTE: Final = 1 << 20
OPEN_FILES: Final = 64

_SHARED: Final = (
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_FSIZE, 0),
    (resource.RLIMIT_NOFILE, OPEN_FILES),
    (resource.RLIMIT_MEMLOCK, 0),
    (resource.RLIMIT_MSGQUEUE, 0),
    (resource.RLIMIT_NICE, 0),
    (resource.RLIMIT_RTPRIO, 0),
)


def limit_zygote() -> str:
    """Set the limits that children inherit; return them in words. Raises OSError or ValueError if one can't be set."""
    for kind, value in _SHARED:
        resource.setrlimit(kind, (value, value))
    return f"memory and processor time per function, {OPEN_FILES} open files, nothing written"


class ChildLimits:
    """What each child gets on top: bytes of address space, seconds of processor time, no new processes.

    `calls` set them: made ready beforehand, because in a fresh fork every object that has to be made costs page faults.
    """

    def __init__(self) -> None:
        self._address_space = (ctypes.c_uint64 * 2)()
        self._cpu_s = (ctypes.c_uint64 * 2)()
        limits = (
            (resource.RLIMIT_AS, self._address_space),
            (resource.RLIMIT_CPU, self._cpu_s),
            (resource.RLIMIT_NPROC, (ctypes.c_uint64 * 2)(0, 0)),
        )
        self.calls = tuple(kernel.prepare("prlimit64", 0, kind, ctypes.byref(value), 0) for kind, value in limits)

    def set(self, address_space: int, cpu_s: int) -> None:
        """Choose what the next child gets."""
        self._address_space[:] = [address_space, address_space]
        self._cpu_s[:] = [cpu_s, cpu_s + 1]
