"""Resource limits: what every process inside gets, and what each child gets on top. Soft and hard are the same."""

import resource
from typing import Final

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


def limit_child(address_space: int, cpu_s: int) -> None:
    """Set the limits of this child: bytes of address space, seconds of processor time, no new processes."""
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
