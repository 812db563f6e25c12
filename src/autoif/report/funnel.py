"""The funnel of a run, complete or not: what each stage kept and dropped, and why."""

import html
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.markup import escape
from rich.table import Table

from autoif.datasets.reviewing import STAGE
from autoif.messages import list_counts, show_beginning
from autoif.records import Reason
from autoif.report.terminal import make_table, print_to_text
from autoif.runs.contents import read_records, read_reviewed
from autoif.runs.counts import count_rows, count_stage, read_notes
from autoif.runs.store import FOLDERS, REVIEWED, SFT, VERIFICATION, read_run

REPORT = "report.html"
"""Name of a run's page in its folder."""
_WHY_CHARS = 600
"""Longest list of reasons in a notebook, which doesn't fold lines."""


@dataclass(slots=True)
class FunnelRow:
    """One stage: records kept, records dropped by reason."""

    folder: str
    kept: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    """The messages of servers that refused."""
    off: bool = False
    """Whether the config switches the stage off, so that it passes everything on."""

    @property
    def dropped(self) -> int:
        return self.reasons.total()

    @property
    def why(self) -> str:
        """The reasons, most frequent first; a refusal with the server's most frequent message."""
        return "off" if self.off else ", ".join(description for _, description in self.list_reasons())

    def list_reasons(self) -> Iterator[tuple[str, str]]:
        """Yield each reason with its description, as in ("wrong_language", "wrong language 12"), by frequency."""
        for reason, count in self.reasons.most_common():
            refusal = self.refusals.most_common(1) if reason == Reason.REFUSED_BY_MODEL else []
            yield reason, f"{reason.replace('_', ' ')} {count:,}" + (f" ({refusal[0][0]!r})" if refusal else "")


class Funnel(tuple[FunnelRow, ...]):
    """The stages that have begun, in the paper's order. Prints as a table."""

    def __rich__(self) -> Table:
        """Return the funnel as a table with a row for each stage; reasons are listed most frequent first."""
        table = make_table("stage", "kept", "dropped", "why", numbers=("kept", "dropped"))
        for row in self:
            table.add_row(row.folder, f"{row.kept:,}", f"{row.dropped:,}", escape(row.why))
        return table

    def _repr_html_(self) -> str:
        """Return the table as HTML for a notebook; messages of servers are escaped."""
        right, left = ' style="text-align: right"', ' style="text-align: left"'
        head = "".join(
            f'<th scope="col"{align}>{name}</th>'
            for name, align in (("stage", left), ("kept", right), ("dropped", right), ("why", left))
        )
        body = "".join(
            f'<tr><th scope="row"{left}>{html.escape(row.folder)}</th><td{right}>{row.kept:,}</td>'
            f"<td{right}>{row.dropped:,}</td><td{left}>{html.escape(show_beginning(row.why, _WHY_CHARS))}</td></tr>"
            for row in self
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def __repr__(self) -> str:
        return print_to_text(lambda console: console.print(self))


@dataclass(slots=True)
class Formats:
    """How the answers to the verification prompt were parsed: losses to format, as opposed to logic."""

    answers: int = 0
    read: int = 0
    repairs: Counter[str] = field(default_factory=Counter)
    """Answers that could be read only after a repair, by repair."""
    losses: Counter[str] = field(default_factory=Counter)
    cases_lost: int = 0


def read_funnel(run: Path) -> Funnel:
    """Return the stages that have begun, in the paper's order.

    Raises:
        StoreError: this is no run folder, or one of another version.
    """
    config: Any = read_run(run).get("config", {})
    notes, rows = read_notes(run), []
    for name in FOLDERS:
        if (run / name).is_dir():
            off = config.get(name.partition("_")[2], {}).get("enabled") is False
            kept, dropped = count_stage(run, name, "kept", notes), count_stage(run, name, "dropped", notes)
            rows.append(FunnelRow(name, kept.rows, dropped.reasons, dropped.refusals, off))
    return Funnel([*rows, *_read_reviewed(run)])


def _read_reviewed(run: Path) -> Iterator[FunnelRow]:
    """Yield the row of the reviewers' decisions, if they dropped anything; it keeps the SFT rows that are left."""
    if (run / REVIEWED).exists() and (run / SFT).exists():
        reviewed = FunnelRow(STAGE, kept=count_rows(run, [SFT])[SFT])
        reviewed.reasons.update(each.reason for each in read_reviewed(run))
        if reviewed.dropped:
            yield reviewed


def read_formats(run: Path) -> Formats:
    """Return how the answers of the verification stage were parsed."""
    formats = Formats()
    for draft in (each.record for each in read_records(run, VERIFICATION)):
        for answer in draft["answers"] if draft else ():
            formats.answers += 1
            formats.read += answer["loss"] is None
            formats.repairs.update(answer["repairs"])
            formats.losses.update([answer["loss"]] if answer["loss"] else [])
            formats.cases_lost += answer["cases_lost"]
    return formats


def describe_formats(formats: Formats) -> str:
    """Return how parsing went in one line: "answers with functions: 48, read 47 (repairs: …), 1 lost to format: …"."""
    repaired = f" (repairs: {list_counts(formats.repairs)})" if formats.repairs else ""
    lost = f", {formats.losses.total()} lost to format: {list_counts(formats.losses)}" if formats.losses else ""
    return f"answers with functions: {formats.answers}, read {formats.read}{repaired}{lost}"


def render_run_html(folder: Path, status: str, made: Mapping[str, int], funnel: Funnel) -> str:
    """Return a run as HTML: the rows of each kind that it made, its funnel, and a link to its page if there is one."""
    counts = ", ".join(f"{count:,} {name}" for name, count in made.items())
    head = f"<p><b>{html.escape(str(folder))}</b>: {html.escape(status)}. {html.escape(counts)}.</p>"
    return f"<div>{head}{funnel._repr_html_()}<p>{_link_report(folder)}</p></div>"


def _link_report(folder: Path) -> str:
    """Return a link to the page of a run, relative to the working directory; without a page, how to make it."""
    page = folder / REPORT
    if not page.exists():
        return "<code>run.report()</code> makes a page of it, with every instruction and response."
    # Notebooks resolve a relative path from where they run; a path with a scheme or a drive would be a URL.
    address = quote(Path(os.path.relpath(page)).as_posix())
    return f'<a href="{html.escape(address)}" target="_blank" rel="noopener">Open its report</a>'
