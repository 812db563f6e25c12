"""How a long command is stopped: Ctrl-C and a scheduler's SIGTERM alike, with a word on how it goes on."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import click


@contextmanager
def interruptible(how_to_go_on: str) -> Iterator[None]:
    """Turn both signals into click's Abort, after one line on standard error."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"interrupted; {how_to_go_on}", err=True)
        raise click.exceptions.Abort from None
    finally:
        signal.signal(signal.SIGTERM, before)
