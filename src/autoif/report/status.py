"""The state of a run, read from its files, on any machine that sees them, during the run or after it."""

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape

from autoif.errors import StoreError
from autoif.messages import show_in_line
from autoif.report.progress import describe_duration
from autoif.report.terminal import make_table, print_line
from autoif.runs.counts import count_rows
from autoif.runs.events import BEAT_S, LastSeen, read_last
from autoif.runs.remote import Remote
from autoif.runs.segments import fetch_state
from autoif.runs.slices import find_slices, read_spent
from autoif.runs.store import DATA_SETS, INSTRUCTIONS, MANIFEST, read_manifest, read_run

State = Literal["running", "complete", "interrupted", "failed", "in slices", "not begun"]
_SILENT = timedelta(seconds=12 * BEAT_S)
"""A process on another machine without a sign of life for this long counts as gone."""
_USAGE = ("requests", "completions", "prompt_tokens", "completion_tokens", "usd")


@dataclass(slots=True)
class RunStatus:
    """The state of a run, or of a slice of one."""

    run: str
    state: State
    holder: str = ""
    """The process that works on the run, or did last."""
    seconds: float | None = None
    """How long that process has been running, or ran until its last sign of life."""
    silent_seconds: float | None = None
    """Time since its last sign of life."""
    stages: dict[str, dict[str, int]] = field(default_factory=dict)
    """Counts by stage: "entered", "kept" and "dropped"."""
    usage: dict[str, float] = field(default_factory=dict)
    done: float | None = None
    """Share of the work that is done, 0 to 1."""
    seconds_left: float | None = None
    forecast: str = ""
    bound: str = ""
    """What holds requests back."""
    error: str = ""
    """Why the last process stopped."""
    rows: dict[str, int] = field(default_factory=dict)
    """Rows of each data file that exists."""
    slices: dict[str, int] = field(default_factory=dict)
    """How many slices are in each state."""


def read_status(run: Path) -> RunStatus:
    """Return the state of a run, its slices included.

    Raises:
        StoreError: this is no run folder, or one of another version, or a file can't be read.
    """
    manifest = read_run(run)
    status = _read_part(run, manifest)
    slices = [_read_part(each.folder(run), read_manifest(each.folder(run))) for each in find_slices(run)]
    status.rows = count_rows(run, (INSTRUCTIONS, *DATA_SETS))
    if not slices or status.state == "complete":
        return status
    status.slices = dict(Counter(each.state for each in slices))
    if status.state == "running":  # a process works on the whole run or merges it: its counts include the slices
        return status
    spent, inherited = read_spent(run)
    counted = {folder for each in slices for folder in each.stages}
    status.stages = {folder: counts for folder, counts in status.stages.items() if folder not in counted}
    status.usage = {name: float(spent[name]) for name in _USAGE}
    for each in slices:
        for folder, counts in each.stages.items():
            into = status.stages.setdefault(folder, dict.fromkeys(counts, 0))
            into.update({name: into.get(name, 0) + count for name, count in counts.items()})
        new = {name: max(0.0, each.usage.get(name, 0) - inherited[name]) for name in _USAGE}
        status.usage = {name: status.usage[name] + new[name] for name in _USAGE}
        status.error = status.error or (f"{Path(each.run).name}: {each.error}" if each.error else "")
    left = [each.seconds_left for each in slices if each.state == "running" and each.seconds_left is not None]
    status.done = sum(1.0 if each.state == "complete" else each.done or 0.0 for each in slices) / len(slices)
    status.seconds_left = max(left, default=None) if not status.slices.get("not begun") else None
    if status.slices.get("running"):
        status.state = "running"
    return status


def read_status_at(remote: Remote) -> RunStatus:
    """Return the state of a run whose output is at an address; only small files are fetched.

    Raises:
        StoreError: as `read_status`.
    """
    with tempfile.TemporaryDirectory(prefix="autoif-") as scratch:
        rows = fetch_state(remote, Path(scratch))
        if not (Path(scratch) / MANIFEST).exists():
            raise StoreError(f"{remote} is no run (it has no {MANIFEST}): name the --output of one")
        status = read_status(Path(scratch))
    status.run, status.rows = str(remote), {name: rows[name] for name in (INSTRUCTIONS, *DATA_SETS) if name in rows}
    return status


def _read_part(folder: Path, manifest: Mapping[str, Any]) -> RunStatus:
    """Return the state of one run folder, without its slices."""
    last = read_last(folder)
    state = _find_state(manifest, last)
    status = RunStatus(str(folder), state, error=last.error, holder=str(last.holder or ""))
    if last.began and last.seen:
        now = datetime.now(UTC)
        status.silent_seconds = max(0.0, (now - last.seen).total_seconds())
        status.seconds = max(0.0, ((now if state == "running" else last.seen) - last.began).total_seconds())
    usage = manifest.get("usage") or {}
    status.usage = {name: sum(stage.get(name, 0) for stage in usage.values()) for name in _USAGE}
    if counts := last.counts:
        status.stages = counts.get("stages", {})
        status.usage = {name: counts.get("usage", {}).get(name, 0) for name in _USAGE}
        status.done = counts.get("done")
        if state == "running":
            status.seconds_left, status.bound = counts.get("seconds_left"), counts.get("bound", "")
            status.forecast = counts.get("forecast", "")
    return status


def _find_state(manifest: Mapping[str, Any], last: LastSeen) -> State:
    if not manifest:
        return "not begun"
    if last.holder and not last.ended:
        silent = last.seen is None or datetime.now(UTC) - last.seen > _SILENT
        alive = last.holder.lives_here or not (last.holder.is_dead or silent)
        return "running" if alive else "interrupted"
    status = manifest.get("status")
    if status == "complete":
        return "complete"
    if status == "in slices" and last.ended == "complete":
        return "in slices"
    return "failed" if last.ended == "failed" else "interrupted"


def print_status(status: RunStatus, console: Console) -> None:
    for line in _list_lines(status):
        print_line(line, console)
    if status.stages:
        numbers = ("entered", "kept", "dropped")
        table = make_table("stage", *numbers, numbers=numbers)
        for folder, counts in sorted(status.stages.items()):
            table.add_row(escape(folder), *(f"{counts.get(name, 0):,}" for name in numbers))
        console.print(table)


def _list_lines(status: RunStatus) -> list[str]:
    """Return everything but the table of stages, in lines."""
    lines = [f"{status.run}: {status.state}"]
    if status.holder and status.seconds is not None and status.silent_seconds is not None:
        what = "held by" if status.state == "running" and not status.slices else "last held by"
        lines[0] += f", {what} {status.holder} for {describe_duration(status.seconds)}"
        lines[0] += f", last sign of life {describe_duration(status.silent_seconds)} ago"
    if status.slices:
        lines.append("slices   " + ", ".join(f"{count:,} {state}" for state, count in sorted(status.slices.items())))
    if status.done is not None and status.state != "complete":
        left = f", {describe_duration(status.seconds_left)} left" if status.seconds_left is not None else ""
        lines.append(
            "done     " + " · ".join(filter(None, (f"{status.done:.0%}{left}", status.forecast, status.bound)))
        )
    usage = status.usage
    tokens = usage["prompt_tokens"] + usage["completion_tokens"]
    lines.append(
        f"answers  {usage['completions']:,.0f} to {usage['requests']:,.0f} requests, {tokens:,.0f} tokens"
        + (f", ${usage['usd']:.2f}" if usage["usd"] else "")
    )
    if status.rows:
        lines.append("rows     " + ", ".join(f"{name} {count:,}" for name, count in status.rows.items()))
    if status.error and status.state != "complete":
        lines.append(f"stopped  {show_in_line(status.error)}")
    return lines
