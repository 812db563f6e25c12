"""What each stage kept and dropped, and why: read from a run folder, complete or not."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.table import Table

from autoif.errors import StoreError
from autoif.pipeline import FOLDERS

VERIFICATION = "02_verification"


@dataclass(slots=True)
class FunnelRow:
    """One stage: records kept, records dropped by reason."""

    folder: str
    kept: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    off: bool = False
    """Switched off in the config: it passed everything on."""

    @property
    def dropped(self) -> int:
        return self.reasons.total()


@dataclass(slots=True)
class Formats:
    """How the answers to the verification prompt were read: format losses, apart from logic losses."""

    answers: int = 0
    read: int = 0
    repairs: Counter[str] = field(default_factory=Counter)
    """Answers that were read only after this repair."""
    losses: Counter[str] = field(default_factory=Counter)
    cases_lost: int = 0


def read_funnel(run: Path) -> list[FunnelRow]:
    """Return the stages that have begun, in the paper's order.

    Raises:
        StoreError: this is no run folder.
    """
    if not (run / "run.json").exists():
        raise StoreError(f"{run} is no run folder (it has no run.json): name one that `autoif run` made")
    try:
        config = json.loads((run / "run.json").read_text(encoding="utf-8")).get("config", {})
    except ValueError:
        raise StoreError(f"{run / 'run.json'} is damaged: bring it back from a copy") from None
    rows = []
    for name in FOLDERS:
        if (run / name).is_dir():
            kept = sum(1 for _ in read_lines(run / name, "kept"))
            reasons = Counter(str(row["reason"]) for row in read_lines(run / name, "dropped"))
            off = config.get(name.partition("_")[2], {}).get("enabled") is False
            rows.append(FunnelRow(name, kept, reasons, off))
    return rows


def read_formats(run: Path) -> Formats:
    """Return how the answers of the verification stage were read."""
    formats = Formats()
    for kind in ("kept", "dropped"):
        for row in read_lines(run / VERIFICATION, kind):
            for answer in (row["record"] if kind == "dropped" else row)["answers"]:
                formats.answers += 1
                formats.read += answer["loss"] is None
                formats.repairs.update(answer["repairs"])
                formats.losses.update([answer["loss"]] if answer["loss"] else [])
                formats.cases_lost += answer["cases_lost"]
    return formats


def read_lines(folder: Path, kind: str) -> Iterator[dict]:  # type: ignore[type-arg]
    """Yield the rows of a stage's kept or dropped files, shard by shard."""
    for path in sorted(folder.glob(f"{kind}-*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                yield json.loads(line)
            except ValueError:
                raise StoreError(f"{path}, line {number} is damaged: run the same command again to repair it") from None


def funnel_table(rows: list[FunnelRow]) -> Table:
    """Return the funnel as a table: a stage a line, reasons in the order of their number."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stage")
    table.add_column("kept", justify="right")
    table.add_column("dropped", justify="right")
    table.add_column("why", overflow="fold")
    for row in rows:
        why = ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in row.reasons.most_common())
        table.add_row(row.folder, f"{row.kept:,}", f"{row.dropped:,}", "off" if row.off else why)
    return table


def describe_formats(formats: Formats) -> str:
    """Return one line about what parsing took: "48 answers, 47 read (5 repaired: …), 1 lost to format (…)"."""

    def listed(counter: Counter[str]) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counter.most_common())

    repaired = f" (repairs: {listed(formats.repairs)})" if formats.repairs else ""
    lost = f", {formats.losses.total()} lost to format: {listed(formats.losses)}" if formats.losses else ""
    return f"answers with functions: {formats.answers}, read {formats.read}{repaired}{lost}"
