"""What `autoif audit` found, as tables for a terminal."""

import os
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from autoif.audit.consequences import Consequences, RightShare
from autoif.audit.rates import InstructionRates, Level, LevelRates
from autoif.audit.run import Audit, GoldAudit
from autoif.evaluation.statistics import Interval
from autoif.reading.text_lines import show_beginning, show_in_line
from autoif.report.agreement import print_agreement, print_scores, print_second
from autoif.report.findings import print_findings
from autoif.report.terminal import make_table, print_line, print_notes
from autoif.runs.store import AUDIT

_LEVELS = {
    Level.WRITTEN: "as written",
    Level.CROSS_VALIDATED: "cross-validated",
    Level.BACK_TRANSLATED: "back-translated",
    Level.MAJORITY: "their majority",
}
_RATES = {"tpr": "TPR", "fpr": "FPR", "tnr": "TNR", "fnr": "FNR", "precision": "precision", "j": "J"}
_SHARES = {
    "cases": "cases with the right verdict",
    "sft": "SFT rows that follow",
    "pairs": "pairs that are right on both sides",
    "chosen": "… whose chosen answer follows",
    "rejected": "… whose rejected answer doesn't",
    "rewards": "rewards that are right",
}
_WORST = 5
"""Instructions that are named, those with the lowest J first."""


def print_audit(audit: Audit, run: Path, console: Console) -> None:
    """Print what was measured, what to know of it, and where the whole is."""
    print_line(
        f"{audit.instructions:,} instructions with {audit.functions:,} functions; kept: {audit.kept_instructions:,} "
        f"with {audit.kept_functions:,}",
        console,
    )
    if found := audit.reviewed:
        print_line(
            f"reviewers decided on {found.decided:,} of {found.functions:,} functions that the run kept: by that about "
            f"{found.value:.1%} of them are right [{found.low:.1%}, {found.high:.1%}]",
            console,
        )
    print_findings(audit.findings, audit.kept_functions, console)
    if audit.gold:
        _print_gold(audit.gold, console)
    print_agreement(audit.agreement, console)
    print_scores(audit.scores, console)
    if audit.second:
        print_second(audit.second, console)
    print_notes(audit.notes, console)
    print_line(f"\nwritten: {os.path.relpath(run / AUDIT)}", console)


def _print_gold(gold: GoldAudit, console: Console) -> None:
    for group, levels in groupby(gold.levels, key=lambda each: each.group):
        measured = [each for each in gold.instructions if each.group == group]
        follow = sum(each.followed for each in measured)
        against = sum(each.not_followed for each in measured)
        shown = escape(show_in_line(f"{gold.name}, {group}"))
        console.print(
            f"\n[bold]gold {shown}[/]: {len(measured):,} instructions, "
            f"{follow:,} responses that follow, {against:,} that don't",
            highlight=False,
            soft_wrap=True,
        )
        console.print(_make_level_table(list(levels)))
        _print_worst(measured, console)
    console.print("\nmeans over instructions in %, 95 % intervals in brackets; J = TPR + TNR - 100", style="dim")
    _print_consequences(gold.consequences, console)


def _make_level_table(levels: Sequence[LevelRates]) -> Table:
    """Return a column a level, a line a measure: four columns fit into 80 characters with their intervals."""
    table = make_table("")
    for each in levels:
        table.add_column(_LEVELS[each.level], justify="right", no_wrap=True)
    table.add_row("instructions", *(f"{each.instructions:,}" for each in levels))
    table.add_row("functions", *(f"{each.functions:,}" for each in levels))
    for name, label in _RATES.items():
        table.add_row(label, *(_show_interval(getattr(each, name), 0) for each in levels))
    table.add_row("right", *(f"{each.right:,}" for each in levels))
    table.add_row("refuse all", *(f"{each.refuse_all:,}" for each in levels))
    return table


def _show_interval(interval: Interval | None, digits: int, unit: str = "") -> str:
    """Return a mean with its interval, in rich's markup."""
    if interval is None:
        return "–"
    shown = f"{interval.value:.{digits}f}{unit}"
    if interval.low is None or interval.high is None:
        return shown
    return f"{shown} \\[{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def _print_worst(measured: Iterable[InstructionRates], console: Console) -> None:
    """Name the kept instructions whose functions are most wrong."""
    judged = [(each.majority.j, each) for each in measured if each.majority and each.majority.j is not None]
    wrong = sorted((found for found in judged if found[0] < 50), key=lambda found: (found[0], found[1].instruction_id))
    for j, each in wrong[:_WORST]:
        assert each.majority
        rates = f"J {j:.0f}, TPR {each.majority.tpr:.0f}, TNR {each.majority.tnr:.0f}"
        line = f"  {each.instruction_id}  {rates}: {show_beginning(each.instruction)}"
        print_line(line, console)


def _print_consequences(found: Consequences, console: Console) -> None:
    numbers = ("rows", "known to gold", "right")
    table = make_table("the run's own", *numbers, numbers=numbers)
    for name, label in _SHARES.items():
        share: RightShare = getattr(found, name)
        if share.rows:
            right = _show_interval(share.right, 1, " %")
            table.add_row(label, f"{share.rows:,}", f"{share.known:,}", right)
    if not table.row_count:
        return
    console.print()
    console.print(table)
    if found.unwritten:
        said = f"{found.unwritten:,} of the SFT rows and pairs are in no file: their instructions are a benchmark's"
        print_line(said, console)
    counts = found.responses
    if counts.precision is not None and counts.tpr is not None:
        print_line(
            f"accepted responses that follow: {counts.precision:.1f} %; responses that follow and are accepted: "
            f"{counts.tpr:.1f} %",
            console,
        )
