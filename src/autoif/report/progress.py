"""The live view of a run: counts by stage, the newest sample, speed, cost, a forecast, and the current bottleneck.

Redrawn on a terminal and in a notebook. Elsewhere it prints plain lines now and then, and none while nothing changes.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from autoif.errors import StoreError
from autoif.models.cache import CompletionCache, Usage
from autoif.pipeline import STAGES
from autoif.records import Dropped, Record, Response, VerifiedInstruction
from autoif.report.terminal import print_line
from autoif.vocabulary import fold

_REDRAW_S = 0.5
_LINE_S = 10.0
_WINDOW_S = 60.0
_EARLY = 0.05
_FEW = 20
"""Records that must have entered the last stage before anything is forecast: fewer say little about what is kept."""
_SOURCE_LINES = 8
_CHARS = 160
_MADE = {STAGES["instructions"][-1].folder: "instructions", STAGES["queries"][-1].folder: "rows"}
"""What a run makes, by the folder of its last stage."""

Screen = Callable[[str], None]
"""Shows the state of the run, with a summary line about speed and spend."""


@dataclass(slots=True)
class StageCount:
    """Records that entered a stage, were kept and were dropped."""

    entered: int = 0
    kept: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class NewestSample:
    """The newest result: an instruction with the functions that survived, and an answer that passes them."""

    instruction: str
    functions: tuple[str, ...]
    answer: str = ""
    """"" while no answer has passed."""

    @classmethod
    def of(cls, record: Record) -> "NewestSample | None":
        """Return the sample that a record holds; None if it is of another kind."""
        if isinstance(record, VerifiedInstruction):
            return cls(record.instruction.text, tuple(fold(function.source) for function in record.functions))
        if isinstance(record, Response):
            prompt = record.prompt
            return cls(prompt.instruction, tuple(fold(function.source) for function in prompt.functions), record.text)
        return None

    def lines(self) -> list[str]:
        """Return the sample in short lines: the instruction, its first function, the answer."""
        source = self.functions[0].strip().splitlines()
        cut = [*source[:_SOURCE_LINES], *(["…"] if len(source) > _SOURCE_LINES else [])]
        more = f" (1 of {len(self.functions)})" if len(self.functions) > 1 else ""
        answer = " ".join(self.answer.split())
        return [
            f"instruction  {' '.join(self.instruction.split())}",
            *(f"{f'function{more}' if not number else '':<12} {line[:_CHARS]}" for number, line in enumerate(cut)),
            *([f"passes       {answer[:_CHARS]}{' …' if len(answer) > _CHARS else ''}"] if answer else []),
        ]


class Progress:
    """Counts what a run does and shows it. `watch` may be called from any thread."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._counts: dict[str, StageCount] = {}
        self._stages: tuple[str, ...] = ()
        self._total = 0
        self._started = self._begun = time.monotonic()
        self._speeds: deque[tuple[float, int, int, int]] = deque()
        self._bound: Callable[[], str] = lambda: ""
        self._sample: NewestSample | None = None
        self._printed: tuple[str, NewestSample | None] = "", None
        self._has_row = False

    def restart(self) -> None:
        """Forget all counts: a run, a slice or a merge begins, and counts what its folder already has."""
        self._counts.clear()

    def begin(self, stages: tuple[str, ...], total: int) -> None:
        """Begin a step with the folders of its stages and the number of records that enter the first."""
        self._stages, self._total = stages, total
        self._begun = time.monotonic()

    def say(self, line: str) -> None:
        """Print a line, unless the run is quiet."""
        if not self._quiet:
            print_line(line, self._console)

    def count(self, folder: str, kept: int, dropped: int, entered: int = 1) -> None:
        """Count records that entered a stage, now or in an earlier session, and what it kept and dropped of them."""
        count = self._counts.setdefault(folder, StageCount())
        count.entered += entered
        count.kept += kept
        count.dropped += dropped

    def watch(self, folder: str, kept: Sequence[Record], dropped: Sequence[Dropped], entered: int = 1) -> None:
        """Count records that have just left a stage, and show the newest."""
        self.count(folder, len(kept), len(dropped), entered)
        if kept and (sample := NewestSample.of(kept[-1])):
            self._sample = sample
            if _MADE.get(folder) == "rows" and not self._has_row and not self._quiet:
                self._has_row = True
                print_line(
                    f"first verified row after {describe_duration(time.monotonic() - self._started)}", self._console
                )

    @contextmanager
    def watching(
        self, completions: Path, verdicts: Callable[[], int], bound: Callable[[], str] = lambda: ""
    ) -> Iterator[None]:
        """Show counts and speeds until the block ends.

        Args:
            completions: the database of answers, for tokens and cost.
            verdicts: returns how many verdicts there are so far.
            bound: returns what holds requests back, in words.
        """
        self._bound = bound
        if self._quiet:
            yield
            return
        redrawn = self._console.is_jupyter or self._console.is_terminal
        stop = threading.Event()
        with self._open_screen() as screen:
            arguments = (stop, completions, verdicts, screen, _REDRAW_S if redrawn else _LINE_S)
            thread = threading.Thread(target=self._refresh, args=arguments, daemon=True)
            thread.start()
            try:
                yield
            finally:
                stop.set()
                thread.join()

    def _refresh(
        self,
        stop: threading.Event,
        completions: Path,
        verdicts: Callable[[], int],
        screen: Screen,
        interval_s: float,
    ) -> None:
        # A StoreError is not reported here: the run opens the same file and reports it.
        with suppress(StoreError), CompletionCache(completions) as cache:
            while not stop.wait(interval_s):
                screen(self.summary(cache.total(), verdicts()))
            if self._console.is_jupyter:  # a notebook keeps showing the last state
                screen(self.summary(cache.total(), verdicts()))

    def snapshot(self, usage: Usage) -> dict[str, JsonValue]:
        """Return the state of the run as JSON: counts by stage, usage, share done, and estimates of the rest."""
        stages: dict[str, JsonValue] = {
            name: {"entered": count.entered, "kept": count.kept, "dropped": count.dropped}
            for name, count in sorted(self._counts.items())
        }
        left = self.seconds_left()
        return {
            "stages": stages,
            "usage": usage.model_dump(mode="json"),
            "done": round(self.fraction(), 4),
            "seconds_left": None if left is None else round(left, 1),
            "forecast": self.forecast(usage),
            "bound": self._bound(),
        }

    def fraction(self) -> float:
        """Return how much of the step is done, 0 to 1.

        Every record that enters a stage is one unit of work. How many will enter the later stages is extrapolated from
        the share that earlier ones have kept so far.
        """
        done, work, _ = self._extrapolate()
        return done / work if work else 0.0

    def _extrapolate(self) -> tuple[float, float, float]:
        """Return the units of work done, the expected total, and the expected number that the last stage keeps."""
        expected, done, work = float(self._total), 0.0, 0.0
        for folder in self._stages:
            count = self._counts.get(folder, StageCount())
            entered = min(float(count.entered), expected)
            done += entered
            work += expected
            expected *= count.kept / count.entered if count.entered else 1.0
        return done, work, expected

    def forecast(self, usage: Usage) -> str:
        """Return the expected totals of the run: rows, tokens, cost. "" while it is too early to tell."""
        done, work, made = self._extrapolate()
        stage = self._stages[-1] if self._stages else ""
        if self._is_early() or stage not in _MADE or self._counts[stage].entered < _FEW:
            return ""
        done /= work
        spend = f", ${usage.usd / done:.2f}" if usage.usd else ""
        return f"about {made:,.0f} {_MADE[stage]}, {usage.tokens / done:,.0f} tokens{spend} in the end"

    def seconds_left(self) -> float | None:
        """Return the estimated seconds to the end of the step, or None while it is too early to tell."""
        done, elapsed = self.fraction(), time.monotonic() - self._begun
        if self._is_early() or elapsed < 2:
            return None
        return elapsed * (1 - done) / done

    def _is_early(self) -> bool:
        *before, last = self._stages or ("",)
        entered = self._counts.get(last, StageCount()).entered
        return self.fraction() < _EARLY or (bool(before) and entered < _FEW)

    def summary(self, usage: Usage, verdicts: int) -> str:
        """Return one line: speeds over the last minute, spend, time left, forecast, and what holds requests back."""
        now = time.monotonic()
        self._speeds.append((now, usage.completion_tokens, verdicts, usage.requests))
        while now - self._speeds[0][0] > _WINDOW_S and len(self._speeds) > 2:
            self._speeds.popleft()
        then, tokens, earlier, requests = self._speeds[0]
        seconds = max(now - then, 1e-9)
        parts = [
            f"{(usage.completion_tokens - tokens) / seconds:.1f} tokens/s",
            f"{60 * (usage.requests - requests) / seconds:.0f} requests/min",
            f"{(verdicts - earlier) / seconds:.0f} verdicts/s",
            f"{usage.tokens:,} tokens",
            f"${usage.usd:.2f}",
        ]
        left = self.seconds_left()
        parts.append(f"{self.fraction():.0%}" + (f", {describe_duration(left)} left" if left is not None else ""))
        return " · ".join([*parts, *filter(None, (self.forecast(usage), self._bound()))])

    @contextmanager
    def _open_screen(self) -> Iterator[Screen]:
        """Yield the screen for this console: a notebook's, a terminal's, or plain lines."""
        if self._console.is_jupyter:
            from IPython.display import display  # always there in a notebook

            handle = display(self._view("starting"), display_id=True)
            yield lambda summary: handle.update(self._view(summary))
        elif self._console.is_terminal:
            with Live(console=self._console, auto_refresh=False, transient=True) as live:
                yield lambda summary: live.update(self._view(summary), refresh=True)
        else:
            yield self._print_news

    def _print_news(self, summary: str) -> None:
        """Print what has changed since the last call, if anything."""
        counts = "  ".join(f"{name} {c.kept}+{c.dropped}" for name, c in sorted(self._counts.items()))
        if counts and counts != self._printed[0]:
            print_line(f"kept+dropped: {counts} · {summary}", self._console)
        if self._sample and self._sample != self._printed[1]:
            for line in self._sample.lines():
                print_line(f"    {line}", self._console)
        self._printed = counts, self._sample

    def _view(self, summary: str) -> Panel:
        """Return a panel with the counts of the stages, the summary, and the newest sample."""
        table = Table(box=None, pad_edge=False)
        table.add_column("stage")
        table.add_column("kept", justify="right", style="green")
        table.add_column("dropped", justify="right", style="yellow")
        for folder, count in sorted(self._counts.items()):
            table.add_row(folder, f"{count.kept:,}", f"{count.dropped:,}")
        sample = [Text(""), *map(Text, self._sample.lines())] if self._sample else []
        return Panel(Group(table, Text(summary), *sample), border_style="dim")


def describe_duration(seconds: float) -> str:
    """Return a duration in words, as in "2 h 13 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
