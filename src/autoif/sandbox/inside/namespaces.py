"""Namespaces, where the kernel permits them: a user without rights, and no processes, network or IPC of others.

A kernel or a container may forbid them; then Landlock and the system call filter carry the load alone.
"""

import errno
import os
from typing import Final

from . import kernel

NOBODY: Final = 65534
KINDS: Final = {"user": 0x10000000, "pid": 0x20000000, "net": 0x40000000, "ipc": 0x08000000}
_AF_INET, _SOCK_STREAM = 2, 1


def enter() -> dict[str, str]:
    """Move into new namespaces (that of processes counts from the next fork on).

    Returns kind → "" if entered, else why not. Never raises OSError.
    """
    states = {}
    user, group = os.geteuid(), os.getegid()
    for kind, flag in KINDS.items():
        try:
            kernel.call("unshare", flag)
            if kind == "user":
                _become_nobody(user, group)
            states[kind] = ""
        except OSError as error:
            states[kind] = f"the kernel does not permit it here ({errno.errorcode.get(error.errno or 0, '?')})"
    return states


def _become_nobody(user: int, group: int) -> None:
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{NOBODY} {user} 1"),
        ("gid_map", f"{NOBODY} {group} 1"),
    ):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


def prove(kind: str, outsider: int, outer_ipc: int) -> str:
    """Try what the namespace forbids; must run before the system call filter forbids it too.

    `outsider` is the id of a process outside, `outer_ipc` the inode of the parent's IPC namespace. Returns "" if it
    was refused as it should, else what happened.
    """
    if kind == "ipc":
        return "" if os.stat("/proc/self/ns/ipc").st_ino != outer_ipc else "shares the parent's"
    try:
        if kind == "user":
            os.seteuid(0)
        elif kind == "pid":
            os.kill(outsider, 0)
        else:
            _connect_to_loopback()
    except OSError as error:
        wanted = {"user": errno.EINVAL, "pid": errno.ESRCH, "net": errno.ENETUNREACH}[kind]
        return "" if error.errno == wanted else f"refused for another reason ({error.strerror})"
    return "what it forbids succeeded"


def _connect_to_loopback() -> None:
    """Raises OSError: ENETUNREACH in a network of one's own, ECONNREFUSED at most in a shared one."""
    descriptor = kernel.call("socket", _AF_INET, _SOCK_STREAM, 0)
    try:
        address = _AF_INET.to_bytes(2, "little") + (9).to_bytes(2, "big") + bytes((127, 0, 0, 1)) + bytes(8)
        kernel.call("connect", descriptor, address, len(address))
    finally:
        os.close(descriptor)
