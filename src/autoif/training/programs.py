"""Programs that a training starts and ends: a server of the policy, a launcher of processes.

Each runs in a session of its own, so that Ctrl-C reaches it in one way only: through `running`, which ends it with all
that it has started.
"""

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from autoif.errors import ConfigError

_GRACE_S = 60.0
"""For a program to end by itself once it is told to; then it is killed."""


def split_command(command: str, name: str) -> list[str]:
    """Return the words of a command line, as a shell would read them; no shell is involved.

    Raises:
        ConfigError: unbalanced quotes, or nothing in it; `name` is the option's.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"{name} {command!r} can't be read: {error}") from None
    if not words:
        raise ConfigError(f"{name} is empty: leave it out, or give a command")
    return words


@contextmanager
def running(command: Sequence[str], output: int, name: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a program; it has ended when the block is left.

    Args:
        command: its words.
        output: the descriptor that takes what it says.
        name: the option that it comes from, for errors.

    Raises:
        ConfigError: there is no such program.
    """
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    except OSError as error:
        raise ConfigError(f"{name}: {command[0]} can't be started: {error.strerror}") from None
    try:
        yield process
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
    _signal(process, signal.SIGKILL)  # what it has left in its session, and itself if it didn't hear
    process.wait()


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
