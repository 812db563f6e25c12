"""What settling did to functions before cross-validation (docs/method.md, Settling), from the drafts of a run."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from autoif.messages import list_counts
from autoif.records import Draft, RepairOutcome, Ruling
from autoif.report.terminal import print_line
from autoif.runs.contents import read_records
from autoif.runs.store import VERIFICATION
from autoif.vocabulary import fold

_SHOWN_CHARACTERS = 160
_SAYS = {True: "yes", False: "no", None: "unreadable"}


@dataclass(slots=True)
class Settling:
    """What settling did to the drafts of a run."""

    drafts: int = 0
    """Drafts that record whether they are settled."""
    settled: int = 0
    answers: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    """Functions that were put back to the writer, by fault."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """The same functions, by outcome of the repair."""
    reviewed: int = 0
    """Cases that the writer was asked about again."""
    judged: Counter[str] = field(default_factory=Counter)
    """Texts that the judge was asked about, by its answer."""


def read_settling(run: Path) -> Settling:
    """Return what settling did to the functions of a run."""
    found = Settling()
    for row in (each.record for each in read_records(run, VERIFICATION)):
        if not row or "settled" not in row:
            continue
        found.drafts += 1
        found.settled += row["settled"]
        found.answers += len(row["answers"])
        for repair in row.get("repairs", ()):
            found.faults[repair["fault"]] += 1
            found.outcomes[repair["outcome"]] += 1
        for ruling in map(Ruling.model_validate, row.get("rulings", ())):
            if ruling.by == "writer":
                found.reviewed += 1
            else:
                found.judged[_SAYS[ruling.follows].replace("unreadable", "undecided")] += 1
    return found


def describe_settling(found: Settling) -> str:
    """Return the figures in one line; "" if no draft records them."""
    if not found.drafts:
        return ""
    parts = [
        f"settled: {found.settled} of {found.drafts} instructions, with {found.answers / found.drafts:.1f} answers each"
    ]
    if found.faults:
        lost = found.outcomes.total() - found.outcomes[RepairOutcome.REPAIRED]
        unrepaired = Counter({name: count for name, count in found.outcomes.items() if name != RepairOutcome.REPAIRED})
        parts.append(
            f"functions put back {found.faults.total()} ({list_counts(found.faults)}), "
            f"repaired {found.outcomes[RepairOutcome.REPAIRED]}"
            + (f", not {lost} ({list_counts(unrepaired)})" if lost else "")
        )
    if found.reviewed:
        parts.append(f"cases asked about again {found.reviewed}")
    if found.judged:
        parts.append(f"texts judged {found.judged.total()} ({list_counts(found.judged)})")
    return "; ".join(parts)


def print_settling(draft: Draft | None, console: Console) -> None:
    """Print how a draft was made: the function of each answer, the repairs by round, the rulings."""
    if draft is None or draft.settled is None:
        return
    state = "settled" if draft.settled else "not settled"
    console.print(f"\n{state} after {len(draft.answers)} answers", style="bold")
    for answer in draft.answers:
        print_line(f"  answer {answer.index}: {answer.function or f'no function ({answer.loss})'}", console, "dim")
    for repair in draft.repairs:
        became = f" as {repair.made.id}" if repair.made and repair.outcome is RepairOutcome.REPAIRED else ""
        console.print(
            f"\nround {repair.round}: {repair.function.id} {_say(repair.fault)}, {_say(repair.outcome)}{became}"
        )
        for line in (*repair.feedback.split("\n"), *(f"> {line}" for line in repair.explanation.split("\n") if line)):
            print_line(f"  {line}", console, "dim")
        print_line(fold(repair.function.source), console, "dim")
    if draft.rulings:
        console.print("\ndoes the text follow the instruction?")
    for ruling in draft.rulings:
        answers = ", ".join(_SAYS[answer] for answer in ruling.answers)
        text = json.dumps(ruling.text)[:_SHOWN_CHARACTERS]
        print_line(f"  the {ruling.by} of a {ruling.source}: {answers}  {text}", console, "dim")
        for explanation in dict.fromkeys(filter(None, ruling.explanations)):
            print_line(f"    {json.dumps(explanation, ensure_ascii=False)[:_SHOWN_CHARACTERS]}", console, "dim")


def _say(value: str) -> str:
    return value.replace("_", " ")
