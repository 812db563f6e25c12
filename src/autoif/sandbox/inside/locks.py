"""The short layers: limits on resources, no new privileges, no capabilities, and namespaces.

Limits for every process inside come first, then those that each child gets on top. Soft and hard limits are equal,
except for processor time, whose hard limit is a second higher. Namespaces give a user without rights, and hide the
processes, network and IPC of others. A kernel or a container may forbid them; then Landlock and the system call filter
contain the process alone.
"""

import ctypes
import errno
import os
import resource
from typing import Final

from . import kernel

MEBIBYTE: Final = 1 << 20
OPEN_FILES: Final = 64
NOBODY: Final = 65534
KINDS: Final = {"user": 0x10000000, "pid": 0x20000000, "net": 0x40000000, "ipc": 0x08000000}
_AF_INET, _SOCK_STREAM = 2, 1

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


def refuse_new_privileges() -> str:
    """Set no_new_privs, so that no program started here gains rights. Raises OSError."""
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    if kernel.prctl(kernel.PR_GET_NO_NEW_PRIVS) != 1:
        raise OSError("it did not stay set")
    return "set"


def drop_capabilities() -> str:
    """Drop every capability, then try one. Raises OSError."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    kernel.call("capset", ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))
    try:
        os.chroot("/")
    except PermissionError:
        return "none left"
    raise OSError("chroot still works")


class ChildLimits:
    """The limits of each child: bytes of address space, seconds of processor time, no new processes.

    The system calls in `calls` set them. They are prepared beforehand: creating objects in a fresh fork costs page
    faults.
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
        """Choose the limits of the next child."""
        self._address_space[:] = [address_space, address_space]
        self._cpu_s[:] = [cpu_s, cpu_s + 1]


def enter_namespaces() -> dict[str, str]:
    """Enter new namespaces (the PID namespace takes effect at the next fork).

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


def try_namespace(kind: str, outsider: int, outer_ipc: int) -> str:
    """Try what the namespace forbids; must run before the system call filter forbids it too.

    `outsider` is the id of a process outside, `outer_ipc` the inode of the parent's IPC namespace. Returns "" if the
    act was refused as it should be, else what happened.
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
    """Raises OSError: ENETUNREACH in a separate network namespace, ECONNREFUSED at most in a shared one."""
    descriptor = kernel.call("socket", _AF_INET, _SOCK_STREAM, 0)
    try:
        address = _AF_INET.to_bytes(2, "little") + (9).to_bytes(2, "big") + bytes((127, 0, 0, 1)) + bytes(8)
        kernel.call("connect", descriptor, address, len(address))
    finally:
        os.close(descriptor)
