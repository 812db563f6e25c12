"""A download's progress: a bar on a terminal, a plain line for every tenth elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bar


class ShowBytes(Protocol):
    def __call__(self, done_bytes: int) -> None:
        """Show that this many bytes are there."""
        ...


@contextmanager
def show_progress(console: Console, title: str, total_bytes: int) -> Iterator[ShowBytes]:
    """Yield a function that shows how many of the bytes are there."""
    if not console.is_terminal:
        yield _plain_lines(console, title, total_bytes)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console) as bar:
        task = bar.add_task(title, total=total_bytes)
        yield lambda done_bytes: bar.update(task, completed=done_bytes)


def _plain_lines(console: Console, title: str, total_bytes: int) -> ShowBytes:
    shown = -1

    def show(done_bytes: int) -> None:
        nonlocal shown
        tenths = done_bytes * 10 // total_bytes
        if tenths > shown:
            console.print(f"{title}: {tenths * 10} % of {total_bytes / 1e6:,.0f} MB", soft_wrap=True, highlight=False)
        shown = tenths

    return show
