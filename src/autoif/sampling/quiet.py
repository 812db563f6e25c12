"""Silence around what libraries do with a model: their bars and their notes; errors are still raised."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO


@contextmanager
def keep_quiet() -> Iterator[None]:
    """Swallow what `datasets`, `transformers` and whatever calls them say of their work."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    notes = sys.modules.get("transformers.utils.logging")  # an endpoint does without
    before = (notes.get_verbosity(), notes.is_progress_bar_enabled()) if notes else None
    datasets.disable_progress_bars()
    if notes:
        notes.set_verbosity_error()
        notes.disable_progress_bar()
    try:
        with redirect_stderr(StringIO()):
            yield
    finally:
        if shown:
            datasets.enable_progress_bars()
        if notes and before:
            notes.set_verbosity(before[0])
            if before[1]:
                notes.enable_progress_bar()
