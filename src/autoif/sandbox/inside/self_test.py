"""An ordinary function that tries what its sandbox must forbid. Every zygote runs it before its first request."""

import os


def evaluate(act: str) -> bool:
    """Return True if every form of the act was refused; raise or return False if one was not.

    The act "memory BYTES" must not return: it has to run out of memory.
    """
    name, _, size = act.partition(" ")
    if name == "memory":
        # Requested and never touched: without a limit it costs nothing.
        return len(bytes(int(size))) == 0
    acts = {"landlock": read_outside, "seccomp": call_the_kernel, "rlimits": open_too_much}
    return acts[name]()


def read_outside() -> bool:
    """Try to list the root and the standard library and to read a device, which everyone outside may do."""
    return (
        refused(PermissionError, os.listdir, "/")
        and refused(PermissionError, os.listdir, os.path.dirname(os.__file__))
        and refused(PermissionError, os.open, "/dev/zero", os.O_RDONLY)
    )


def call_the_kernel() -> bool:
    return (
        refused(PermissionError, os.fork)
        and refused(PermissionError, os.kill, os.getpid(), 0)
        and refused(PermissionError, os.pipe)
        and refused(PermissionError, os.setsid)
        and refused(PermissionError, os.chmod, "/", 0o755)
    )


def open_too_much() -> bool:
    try:
        for _ in range(1000):
            os.open(os.__file__, os.O_RDONLY)
    except OSError as error:
        return "Too many open files" in str(error)
    return False


def refused(error, act, *arguments) -> bool:  # type: ignore[no-untyped-def]
    try:
        act(*arguments)
    except error:
        return True
    return False
