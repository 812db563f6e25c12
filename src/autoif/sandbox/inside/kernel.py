"""Makes system calls that Python has no function for, and lists the numbers of all those that the filters name.

Called directly: the `landlock` package is a development release, and `pyseccomp` (last released in 2021) needs
libseccomp.so on the user's machine and is no smaller than the filter written here.
"""

import ctypes
import errno
import os
from collections.abc import Callable
from typing import Final

NO_SUCH = -1
"""The number of a system call that a machine doesn't have."""

MACHINES: Final = ("x86_64", "aarch64")

NUMBERS: Final[dict[str, tuple[int, int]]] = {
    # name: (x86_64, aarch64)
    "read": (0, 63),
    "write": (1, 64),
    "open": (2, NO_SUCH),
    "close": (3, 57),
    "stat": (4, NO_SUCH),
    "fstat": (5, 80),
    "lstat": (6, NO_SUCH),
    "poll": (7, NO_SUCH),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "ioctl": (16, 29),
    "pread64": (17, 67),
    "readv": (19, 65),
    "writev": (20, 66),
    "select": (23, NO_SUCH),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "dup": (32, 23),
    "dup2": (33, NO_SUCH),
    "nanosleep": (35, 101),
    "getpid": (39, 172),
    "socket": (41, 198),
    "connect": (42, 203),
    "clone": (56, 220),
    "fork": (57, NO_SUCH),
    "vfork": (58, NO_SUCH),
    "exit": (60, 93),
    "wait4": (61, 260),
    "kill": (62, 129),
    "uname": (63, 160),
    "fcntl": (72, 25),
    "getcwd": (79, 17),
    "gettimeofday": (96, 169),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "times": (100, 153),
    "getuid": (102, 174),
    "getgid": (104, 176),
    "geteuid": (107, 175),
    "getegid": (108, 177),
    "getppid": (110, 173),
    "capset": (126, 91),
    "rt_sigtimedwait": (128, 137),
    "sigaltstack": (131, 132),
    "prctl": (157, 167),
    "setrlimit": (160, 164),
    "gettid": (186, 178),
    "time": (201, NO_SUCH),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "getdents64": (217, 61),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "waitid": (247, 95),
    "openat": (257, 56),
    "newfstatat": (262, 79),
    "pselect6": (270, 72),
    "ppoll": (271, 73),
    "unshare": (272, 97),
    "set_robust_list": (273, 99),
    "dup3": (292, 24),
    "prlimit64": (302, 261),
    "seccomp": (317, 277),
    "getrandom": (318, 278),
    "statx": (332, 291),
    "rseq": (334, 293),
    "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434),
    "close_range": (436, 436),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
}

NEWEST_NUMBER: Final = 462
"""Higher numbers belong to kernels newer than this table; the C library expects ENOSYS for them, and falls back."""

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_NO_NEW_PRIVS: Final = 38
PR_GET_NO_NEW_PRIVS: Final = 39
PR_SET_CHILD_SUBREAPER: Final = 36

_plain = ctypes.PyDLL(None)
"""The C library without errno, and with the interpreter's lock held: so calls in a fresh fork touch fewer pages."""
call_plainly: Callable[..., int] = _plain.syscall
"""Make a system call with the words of `prepare`; a negative result means that the kernel refused it."""
call_plainly.restype = ctypes.c_long  # type: ignore[attr-defined]

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


def find_fork() -> Callable[[], int]:
    """Return the C library's fork that runs no handlers, or `os.fork` if there is none.

    A process with one thread needs no handlers after a fork, and each page that a handler touches is copied. The C
    library's fork returns -1 where `os.fork` raises OSError.
    """
    return getattr(_plain, "_Fork", os.fork)


def number(name: str) -> int:
    """Return the number of a system call on this machine, `NO_SUCH` if it has none.

    Raises OSError (ENOSYS) on a machine that is not in the table.
    """
    machine = os.uname().machine
    if machine not in MACHINES:
        raise OSError(errno.ENOSYS, f"no system call table for {machine}: use {' or '.join(MACHINES)}")
    return NUMBERS[name][MACHINES.index(machine)]


def prepare(name: str, *arguments: object) -> tuple[object, ...]:
    """Return the words for `call_prepared`. Integers become 64-bit words, ctypes objects and bytes stay as they are."""
    words = (ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments)
    return (ctypes.c_long(number(name)), *words)


def call_prepared(words: tuple[object, ...]) -> int:
    """Make a system call. Raises OSError with its errno."""
    result: int = _syscall(*words)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def call(name: str, *arguments: object) -> int:
    """Make a system call by name; arguments as for `prepare`. Raises OSError with its errno and the name."""
    try:
        return call_prepared(prepare(name, *arguments))
    except OSError as error:
        raise OSError(error.errno, f"{name}: {error.strerror}") from None


def prctl(option: int, argument: int = 0) -> int:
    """Call prctl(2) with one argument and zeros. Raises OSError."""
    return call("prctl", option, argument, 0, 0, 0)
