"""Landlock: after `restrict`, this process and all its children read what is allowed and touch no other file.

The kernel must offer ABI 1 (Linux 5.13). Every right and scope of later ABIs is handled, hence denied, where the kernel
knows it. The system call filter refuses what ABI 1 and 2 don't cover (truncate, device ioctl).
"""

import ctypes
import errno
import os
from collections.abc import Iterable
from typing import Final

from . import kernel

READ_FILE: Final = 1 << 2
READ_DIR: Final = 1 << 3

_FILE_RIGHTS: Final = ((1, 13), (2, 14), (3, 15), (5, 16))
"""(ABI, how many file rights it has)."""
_NET_RIGHTS: Final = ((4, 0b11),)
"""Bind and connect of TCP."""
_SCOPES: Final = ((6, 0b11),)
"""Abstract UNIX sockets and signals don't leave the sandbox."""
_QUERY_ABI: Final = 1
_RULE_PATH_BENEATH: Final = 1


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


_WHAT_TO_DO: Final = {
    errno.ENOSYS: "this kernel has no Landlock: use Linux 5.13 or newer",
    errno.EOPNOTSUPP: "Landlock is switched off: add landlock to the kernel's lsm= boot parameter",
    errno.EPERM: "the container forbids Landlock: allow its system calls in the container's seccomp profile",
}


def query_abi() -> int:
    """Return the kernel's Landlock ABI. Raises OSError, saying what to do, if there is none."""
    try:
        return kernel.call("landlock_create_ruleset", 0, 0, _QUERY_ABI)
    except OSError as error:
        raise OSError(error.errno, _WHAT_TO_DO.get(error.errno or 0, str(error))) from None


def handled(abi: int) -> tuple[int, int, int]:
    """Return the masks (file rights, network rights, scopes) that an ABI can deny."""
    files = max(count for since, count in _FILE_RIGHTS if since <= abi)
    network = max((mask for since, mask in _NET_RIGHTS if since <= abi), default=0)
    scopes = max((mask for since, mask in _SCOPES if since <= abi), default=0)
    return (1 << files) - 1, network, scopes


def restrict(paths: Iterable[str]) -> int:
    """Deny every file access except reading `paths`: files, or folders with everything below them.

    Returns the ABI in force. Raises OSError if the kernel refuses; then nothing is restricted. The process must have
    set no_new_privs.
    """
    abi = query_abi()
    ruleset = _Ruleset(*handled(abi))
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    descriptor = kernel.call("landlock_create_ruleset", ctypes.byref(ruleset), size, 0)
    try:
        for path in paths:
            _allow(descriptor, path, READ_FILE | READ_DIR if os.path.isdir(path) else READ_FILE)
        kernel.call("landlock_restrict_self", descriptor, 0)
    finally:
        os.close(descriptor)
    return abi


def _allow(ruleset: int, path: str, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _PathBeneath(rights, descriptor)
        kernel.call("landlock_add_rule", ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)
