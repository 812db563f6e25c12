"""How a long command is stopped: Ctrl-C and a scheduler's SIGTERM alike, with a word on how it goes on."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Let a scheduler's SIGTERM do what Ctrl-C does; in the background jobs of scripts, which ignore Ctrl-C, too."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    if handlers[signal.SIGINT] is signal.SIG_IGN:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the terminal's is still not for it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None:  # it is not Python's
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _interrupt(_: int, frame: FrameType | None) -> None:
    handle = signal.getsignal(signal.SIGINT)  # of an event loop, where one runs
    if callable(handle):
        handle(signal.SIGINT, frame)


@contextmanager
def interruptible(how_to_go_on: str) -> Iterator[None]:
    """Turn both signals into click's Abort, after one line on standard error."""
    try:
        with interrupted_by_sigterm():
            yield
    except KeyboardInterrupt:
        click.echo(f"interrupted; {how_to_go_on}", err=True)
        raise click.exceptions.Abort from None
