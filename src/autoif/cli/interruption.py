"""How a long command is stopped: Ctrl-C, a terminal that is closed and a scheduler's SIGTERM alike, with a word on how
it goes on.

Ctrl-C    exit code 130
SIGHUP    exit code 129: the terminal is closed; not under nohup
SIGTERM   exit code 143, where a run is concerned within eight seconds: batch systems and containers send SIGKILL ten
          seconds after it. What isn't done by then is left as that would leave it, and nothing of it is lost.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import click

RUN_GRACE_S = 8.0
"""For a run, from SIGTERM to its end."""


class Interrupted(click.exceptions.Abort):
    """A signal has stopped the command."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number
        """The exit code by which shells and batch systems know the signal."""


@contextmanager
def interruptible(how_to_go_on: str, grace_s: float | None = None) -> Iterator[None]:
    """Turn these signals into `Interrupted`, after a word on standard error.

    In the background jobs of scripts, which ignore Ctrl-C, too.

    Args:
        how_to_go_on: what is said then.
        grace_s: end the process if it is still there so long after SIGTERM or SIGHUP.
    """
    said, came = f"interrupted; {how_to_go_on}", list[int]()

    def end() -> None:
        click.echo(said, err=True)
        sys.stderr.flush()
        os._exit(128 + came[0])

    def terminate(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if grace_s is not None and not timers:
            timer = threading.Timer(grace_s, end)
            timer.daemon = True
            timer.start()
            timers.append(timer)
        handle = signal.getsignal(signal.SIGINT)  # of an event loop, where one runs
        if callable(handle):
            handle(signal.SIGINT, frame)

    timers = list[threading.Timer]()
    try:
        with _signals_handled(terminate):
            yield
    except KeyboardInterrupt:
        click.echo(said, err=True)
        raise Interrupted(came[0] if came else signal.SIGINT) from None
    finally:
        for timer in timers:
            timer.cancel()


@contextmanager
def _signals_handled(terminate: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let Ctrl-C be heard, and SIGTERM and SIGHUP do this; leave the signals as they were."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    if handlers[signal.SIGINT] is signal.SIG_IGN:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the terminal's is still not for it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, terminate)
    if handlers[signal.SIGHUP] is signal.SIG_DFL:  # nohup ignores it
        signal.signal(signal.SIGHUP, terminate)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None:  # it is not Python's
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
