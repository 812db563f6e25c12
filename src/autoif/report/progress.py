"""The live view of a run: what each stage kept and dropped, how fast, at what price, how long it will take.

On a terminal a table that is redrawn; elsewhere a plain line now and then, and none while nothing changes.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from autoif.models.cache import CompletionCache, Usage

_REDRAW_S = 0.5
_LINE_S = 10.0
_WINDOW_S = 60.0


@dataclass(slots=True)
class StageCount:
    """Records that entered a stage, and what came out."""

    entered: int = 0
    kept: int = 0
    dropped: int = 0


class Progress:
    """Counts what a run does and shows it. `stage` may be called from any thread."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._counts: dict[str, StageCount] = {}
        self._step = "starting"
        self._stages: tuple[str, ...] = ()
        self._total = 0
        self._begun = time.monotonic()
        self._done_before = 0.0
        self._samples: deque[tuple[float, int, int]] = deque()

    def begin(self, step: str, stages: tuple[str, ...], total: int) -> None:
        """Say that a step begins: its stages' folders, and how many records enter the first."""
        self._step, self._stages, self._total = step, stages, total
        self._begun = time.monotonic()
        self._done_before = 0.0

    def stage(self, folder: str, kept: int, dropped: int) -> None:
        """Count one record (or one finished shard) that left a stage."""
        count = self._counts.setdefault(folder, StageCount())
        count.entered += 1
        count.kept += kept
        count.dropped += dropped

    @contextmanager
    def watching(self, completions: Path, verdicts: Callable[[], int]) -> Iterator[None]:
        """Show the counts, and the speeds read from these sources, until the block ends."""
        if self._quiet:
            yield
            return
        stop = threading.Event()
        show = self._redraw if self._console.is_terminal else self._print_lines
        thread = threading.Thread(target=show, args=(stop, completions, verdicts), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def fraction(self) -> float:
        """Return how much of the step is done, 0 to 1.

        Every record that enters a stage is one unit of work. How many will enter the later stages is extrapolated from
        what the earlier ones have kept of each record so far.
        """
        expected, done, work = float(self._total), 0.0, 0.0
        for folder in self._stages:
            count = self._counts.get(folder, StageCount())
            entered = min(float(count.entered), expected)
            done += entered
            work += expected
            expected *= count.kept / count.entered if count.entered else 1.0
        return done / work if work else 0.0

    def seconds_left(self) -> float | None:
        """Return the estimated seconds to the end of the step, or None while it is too early to tell."""
        done, elapsed = self.fraction(), time.monotonic() - self._begun
        if done < 0.05 or elapsed < 2:
            return None
        return elapsed * (1 - done) / done

    def summary(self, usage: Usage, verdicts: int) -> str:
        """Return one line: tokens and verdicts a second (over the last minute), spend, time left."""
        now = time.monotonic()
        self._samples.append((now, usage.completion_tokens, verdicts))
        while now - self._samples[0][0] > _WINDOW_S and len(self._samples) > 2:
            self._samples.popleft()
        then, tokens, earlier = self._samples[0]
        seconds = max(now - then, 1e-9)
        parts = [
            f"{(usage.completion_tokens - tokens) / seconds:.1f} tokens/s",
            f"{(verdicts - earlier) / seconds:.0f} verdicts/s",
            f"{usage.tokens:,} tokens",
            f"${usage.usd:.2f}",
        ]
        left = self.seconds_left()
        parts.append(f"{self._step}: {self.fraction():.0%}" + (f", {_duration(left)} left" if left is not None else ""))
        return " · ".join(parts)

    def _redraw(self, stop: threading.Event, completions: Path, verdicts: Callable[[], int]) -> None:
        with (
            CompletionCache(completions) as cache,
            Live(console=self._console, auto_refresh=False, transient=True) as live,
        ):
            while True:
                live.update(Group(self._table(), Text(self.summary(cache.total(), verdicts()))), refresh=True)
                if stop.wait(_REDRAW_S):
                    return

    def _print_lines(self, stop: threading.Event, completions: Path, verdicts: Callable[[], int]) -> None:
        shown = ""
        with CompletionCache(completions) as cache:
            while not stop.wait(_LINE_S):
                counts = "  ".join(f"{name} {c.kept}+{c.dropped}" for name, c in sorted(self._counts.items()))
                line = self.summary(cache.total(), verdicts())
                if counts and counts != shown:
                    self._console.print(f"kept+dropped: {counts} · {line}", highlight=False, soft_wrap=True)
                shown = counts

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        table.add_column("stage")
        table.add_column("kept", justify="right", style="green")
        table.add_column("dropped", justify="right", style="yellow")
        for folder, count in sorted(self._counts.items()):
            table.add_row(folder, f"{count.kept:,}", f"{count.dropped:,}")
        return table


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
