"""Silences the progress bars and notes of libraries; errors are still raised."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO


@contextmanager
def keep_quiet() -> Iterator[None]:
    """Hide progress bars, notes and standard error of `datasets`, `transformers` and the code that calls them."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    notes = sys.modules.get("transformers.utils.logging")  # not imported where an endpoint samples
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
