"""Stops a long command cleanly on Ctrl-C, SIGHUP or SIGTERM, and says how to resume it.

Ctrl-C    exit code 130
SIGHUP    exit code 129: the terminal was closed. Ignored under nohup.
SIGTERM   exit code 143. A run ends within eight seconds, as batch systems and containers send SIGKILL after ten. If it
          is still working then, the process exits as if killed; nothing that is stored is lost.
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
"""Seconds from SIGTERM to the end of a run."""


class Interrupted(click.exceptions.Abort):
    """A signal has stopped the command."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number
        """Exit code from which shells and batch systems recognise the signal."""


@contextmanager
def interruptible(how_to_go_on: str, grace_s: float | None = None) -> Iterator[None]:
    """Turn these signals into `Interrupted`, after a message on standard error.

    Also works in background jobs of scripts, which start with SIGINT ignored.

    Args:
        how_to_go_on: how to resume, for the message.
        grace_s: end the process if it still runs this many seconds after SIGTERM or SIGHUP.
    """
    message, received = f"interrupted; {how_to_go_on}", list[int]()

    def end() -> None:
        click.echo(message, err=True)
        sys.stderr.flush()
        os._exit(128 + received[0])

    def terminate(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if grace_s is not None and not timers:
            timer = threading.Timer(grace_s, end)
            timer.daemon = True
            timer.start()
            timers.append(timer)
        handle = signal.getsignal(signal.SIGINT)  # the event loop's, if one runs
        if callable(handle):
            handle(signal.SIGINT, frame)

    timers = list[threading.Timer]()
    try:
        with _signals_handled(terminate):
            yield
    except KeyboardInterrupt:
        click.echo(message, err=True)
        raise Interrupted(received[0] if received else signal.SIGINT) from None
    finally:
        for timer in timers:
            timer.cancel()


@contextmanager
def _signals_handled(terminate: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Raise `KeyboardInterrupt` on SIGINT, call `terminate` on SIGTERM and SIGHUP; restore the handlers at the end."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    if handlers[signal.SIGINT] is signal.SIG_IGN:
        signal.pthread_sigmask(
            signal.SIG_BLOCK, {signal.SIGINT}
        )  # a background job still ignores the terminal's Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, terminate)
    if handlers[signal.SIGHUP] is signal.SIG_DFL:  # nohup ignores it
        signal.signal(signal.SIGHUP, terminate)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None:  # None: installed by C code, can't be restored from Python
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
