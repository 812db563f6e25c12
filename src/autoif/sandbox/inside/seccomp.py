"""The system call filters: an allow-list for the zygote, and a second filter that takes `ZYGOTE_ONLY` from the child.

A call that is not on the list fails with EPERM (ENOSYS if it is newer than the table). A call through a foreign
architecture or the x32 table kills the process. The child has both filters: the stricter answer counts.
"""

import ctypes
import errno
import os
import struct
from typing import Final, NamedTuple

from . import kernel

ALLOWED: Final = (
    "read", "write", "readv", "writev", "pread64", "lseek", "close", "close_range", "dup", "dup2", "dup3",
    "stat", "fstat", "lstat", "newfstatat", "statx", "getdents64", "getcwd", "uname",
    "mmap", "mprotect", "munmap", "mremap", "brk",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall",
    "poll", "ppoll", "select", "pselect6", "sched_yield", "nanosleep",
    "gettimeofday", "time", "times", "getrusage", "getrlimit",
    "getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid",
    "getrandom", "set_robust_list", "rseq", "exit", "exit_group",
)  # fmt: skip
"""Calls that are harmless with any arguments once Landlock and the limits hold."""

BY_ARGUMENT: Final = (
    "open", "openat", "fcntl", "ioctl", "prlimit64", "sched_getaffinity", "madvise", "futex",
    "clock_gettime", "clock_getres", "clock_nanosleep",
)  # fmt: skip
"""Calls that are allowed with some arguments only: see `zygote_program`."""

ZYGOTE_ONLY: Final = (
    "clone", "fork", "vfork", "wait4", "waitid", "kill", "pidfd_send_signal", "rt_sigtimedwait",
    "prctl", "seccomp", "setrlimit",
)  # fmt: skip
"""Calls that the zygote needs to create, watch and kill children; the child loses them."""

_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | (os.O_TMPFILE & ~os.O_DIRECTORY)
_FCNTL_COMMANDS: Final = (0, 1, 2, 3, 1030)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC. No leases, locks, owners or notifications; and no setting of
flags, which would stay on the descriptors 0 to 2 that all children share."""
_IOCTL_REQUESTS: Final = (0x5401, 0x5413, 0x541B, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONCLEX, FIOCLEX."""
_ADVICE: Final = (0, 1, 2, 3, 4, 8, 9, 14, 15)
"""How memory will be read, DONTNEED, FREE, REMOVE, HUGEPAGE, NOHUGEPAGE. Not MERGEABLE, whose timing lets a process
guess at the memory of others, and nothing that moves pages in use by others."""
_FUTEX_COMMANDS: Final = tuple(
    command | private | realtime
    for command in (0, 1, 3, 4, 5, 9, 10)
    for private in (0, 0x80)
    for realtime in (0, 0x100)
)
"""WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAKE_OP, WAIT_BITSET, WAKE_BITSET. Not the commands of locks that name their owner,
which may be a thread of another process."""
_LAST_CLOCK: Final = 15
"""Higher numbers, and negative ones, are processor clocks of other processes, or devices."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_ALLOW, _FAIL, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_AUDIT_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT: Final = 0x40000000
_SET_MODE_FILTER: Final = 1

Instruction = tuple[int, int, int, int]
"""(code, jump if true, jump if false, constant): one `struct sock_filter`."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class Filter(NamedTuple):
    """A filter ready to be installed. Prepared before the fork: creating objects in a fresh child costs page faults."""

    arguments: tuple[object, ...]
    storage: tuple[object, ...]
    """The objects that the arguments point to."""

    def install(self) -> None:
        """Install the filter on this thread and all its future children, for good. Raises OSError."""
        kernel.call_prepared(self.arguments)


def assemble(instructions: list[Instruction]) -> Filter:
    """Return a program as a filter."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    storage = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(instructions), ctypes.addressof(storage))
    return Filter(kernel.prepare("seccomp", _SET_MODE_FILTER, 0, ctypes.byref(program)), (program, storage))


def zygote_program(machine: str) -> list[Instruction]:
    """Return the allow-list of zygote and child."""
    program = _preamble(machine)
    for name in (*ALLOWED, *ZYGOTE_ONLY):
        program += _when(machine, name, [_give(_ALLOW)])
    program += _when(machine, "openat", _unless_bits(2, _WRITING, errno.EACCES))
    program += _when(machine, "open", _unless_bits(1, _WRITING, errno.EACCES))
    program += _when(machine, "fcntl", _only(1, _FCNTL_COMMANDS, errno.EPERM))
    program += _when(machine, "ioctl", _only(1, _IOCTL_REQUESTS, errno.ENOTTY))
    program += _when(machine, "prlimit64", _only(0, (0,), errno.EPERM))
    program += _when(machine, "sched_getaffinity", _only(0, (0,), errno.EPERM))
    program += _when(machine, "madvise", _only(2, _ADVICE, errno.EPERM))
    program += _when(machine, "futex", _only(1, _FUTEX_COMMANDS, errno.EPERM))
    for name in ("clock_gettime", "clock_getres", "clock_nanosleep"):
        program += _when(machine, name, _unless_bits(0, ~_LAST_CLOCK & 0xFFFFFFFF, errno.EPERM))
    return [
        *program,
        (_AT_LEAST, 0, 1, kernel.NEWEST_NUMBER + 1),
        _give(_FAIL | errno.ENOSYS),
        _give(_FAIL | errno.EPERM),
    ]


def child_program(machine: str) -> list[Instruction]:
    """Return the filter that forbids the child `ZYGOTE_ONLY` and changing its own limits."""
    program = _preamble(machine)
    for name in ZYGOTE_ONLY:
        program += _when(machine, name, [_give(_FAIL | errno.EPERM)])
    # Both halves of the pointer to new limits must be zero: reading one's limits stays allowed.
    low, high = _ARGUMENTS_AT + 2 * 8, _ARGUMENTS_AT + 2 * 8 + 4
    no_new_limits = [
        (_LOAD, 0, 0, low),
        (_EQUAL, 0, 2, 0),
        (_LOAD, 0, 0, high),
        (_EQUAL, 1, 0, 0),
        _give(_FAIL | errno.EPERM),
        _give(_ALLOW),
    ]
    return [*program, *_when(machine, "prlimit64", no_new_limits), _give(_ALLOW)]


def _preamble(machine: str) -> list[Instruction]:
    check = [(_LOAD, 0, 0, _ARCHITECTURE_AT), (_EQUAL, 1, 0, _AUDIT_ARCH[machine]), _give(_KILL)]
    check += [(_LOAD, 0, 0, _NUMBER_AT)]
    if machine == "x86_64":
        check += [(_ANY_BIT, 0, 1, _X32_BIT), _give(_KILL)]
    return check


def _give(answer: int) -> Instruction:
    return (_RETURN, 0, 0, answer)


def _when(machine: str, name: str, block: list[Instruction]) -> list[Instruction]:
    """Run `block`, which must end in a return on every path, when the call is `name`."""
    number = kernel.NUMBERS[name][kernel.MACHINES.index(machine)]
    return [] if number == kernel.NO_SUCH else [(_EQUAL, 0, len(block), number), *block]


def _unless_bits(argument: int, bits: int, code: int) -> list[Instruction]:
    return [
        (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument),
        (_ANY_BIT, 0, 1, bits),
        _give(_FAIL | code),
        _give(_ALLOW),
    ]


def _only(argument: int, values: tuple[int, ...], code: int) -> list[Instruction]:
    # Only the low half is compared: the kernel itself takes these arguments as 32-bit integers.
    block = [(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument)]
    for value in values:
        block += [(_EQUAL, 0, 1, value), _give(_ALLOW)]
    return [*block, _give(_FAIL | code)]
