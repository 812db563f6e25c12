"""What each stage kept and dropped, and why: read from a run folder, complete or not."""

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
"""The page of a run, in its folder."""
_WHY_CHARS = 600
"""Of the reasons of a stage in a notebook, where no line is folded."""


@dataclass(slots=True)
class FunnelRow:
    """One stage: records kept, records dropped by reason."""

    folder: str
    kept: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    """What servers said when they refused."""
    off: bool = False
    """Switched off in the config: it passed everything on."""

    @property
    def dropped(self) -> int:
        return self.reasons.total()

    @property
    def why(self) -> str:
        """The reasons by number; a refusal with the server's most frequent sentence."""
        return "off" if self.off else ", ".join(said for _, said in self.list_reasons())

    def list_reasons(self) -> Iterator[tuple[str, str]]:
        """Yield each reason, and with its number what is to be said of it, the most frequent first."""
        for reason, count in self.reasons.most_common():
            refusal = self.refusals.most_common(1) if reason == Reason.REFUSED_BY_MODEL else []
            yield reason, f"{reason.replace('_', ' ')} {count:,}" + (f" ({refusal[0][0]!r})" if refusal else "")


class Funnel(tuple[FunnelRow, ...]):
    """The stages that have begun, in the paper's order; prints as a table."""

    def __rich__(self) -> Table:
        """Return the funnel as a table: a stage a line, reasons in the order of their number."""
        table = make_table("stage", "kept", "dropped", "why", numbers=("kept", "dropped"))
        for row in self:
            table.add_row(row.folder, f"{row.kept:,}", f"{row.dropped:,}", escape(row.why))
        return table

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the table as HTML, in which nothing that a server said is markup."""
        number, words = ' style="text-align: right"', ' style="text-align: left"'
        head = "".join(
            f'<th scope="col"{align}>{name}</th>'
            for name, align in (("stage", words), ("kept", number), ("dropped", number), ("why", words))
        )
        body = "".join(
            f'<tr><th scope="row"{words}>{html.escape(row.folder)}</th><td{number}>{row.kept:,}</td>'
            f"<td{number}>{row.dropped:,}</td><td{words}>{html.escape(show_beginning(row.why, _WHY_CHARS))}</td></tr>"
            for row in self
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def __repr__(self) -> str:
        return print_to_text(lambda console: console.print(self))


@dataclass(slots=True)
class Formats:
    """How the answers to the verification prompt were read: format losses, apart from logic losses."""

    answers: int = 0
    read: int = 0
    repairs: Counter[str] = field(default_factory=Counter)
    """Answers that were read only after this repair."""
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
    """Yield the row of what reviewers decided, where they did: kept are the SFT rows that are left."""
    if (run / REVIEWED).exists() and (run / SFT).exists():
        reviewed = FunnelRow(STAGE, kept=count_rows(run, [SFT])[SFT])
        reviewed.reasons.update(each.reason for each in read_reviewed(run))
        if reviewed.dropped:
            yield reviewed


def read_formats(run: Path) -> Formats:
    """Return how the answers of the verification stage were read."""
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
    """Return one line about what parsing took: "48 answers, 47 read (5 repaired: …), 1 lost to format (…)"."""
    repaired = f" (repairs: {list_counts(formats.repairs)})" if formats.repairs else ""
    lost = f", {formats.losses.total()} lost to format: {list_counts(formats.losses)}" if formats.losses else ""
    return f"answers with functions: {formats.answers}, read {formats.read}{repaired}{lost}"


def render_run_html(folder: Path, status: str, made: Mapping[str, int], funnel: Funnel) -> str:
    """Return a run as HTML: how many rows of each kind were made, what each stage kept and dropped, and a link to its
    page if there is one.
    """
    counts = ", ".join(f"{count:,} {name}" for name, count in made.items())
    head = f"<p><b>{html.escape(str(folder))}</b>: {html.escape(status)}. {html.escape(counts)}.</p>"
    return f"<div>{head}{funnel._repr_html_()}<p>{_link_report(folder)}</p></div>"


def _link_report(folder: Path) -> str:
    """Return the link to the page of a run, from where the notebook runs; how to make the page where there is none."""
    page = folder / REPORT
    if not page.exists():
        return "<code>run.report()</code> makes a page of it, with every instruction and response."
    # Notebooks open paths from where they run; a path with a scheme or a drive would be an address.
    address = quote(Path(os.path.relpath(page)).as_posix())
    return f'<a href="{html.escape(address)}" target="_blank" rel="noopener">Open its report</a>'
