"""What a notebook shows of a run: its funnel, what it made, and a link to its page. Nothing of a model is markup."""

import html
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from autoif.report.funnel import Funnel, render_funnel_html

REPORT = "report.html"
"""The page of a run, in its folder."""


def render_run_html(folder: Path, status: str, made: Mapping[str, int], funnel: Funnel) -> str:
    """Return a run as HTML.

    Args:
        folder: of the run; its page is linked if it is there.
        status: what run.json says.
        made: how many rows of each kind there are, by what they are called.
        funnel: what each stage kept and dropped.
    """
    counts = ", ".join(f"{count:,} {name}" for name, count in made.items())
    head = f"<p><b>{html.escape(str(folder))}</b>: {html.escape(status)}. {html.escape(counts)}.</p>"
    return f"<div>{head}{render_funnel_html(funnel)}<p>{_link_report(folder)}</p></div>"


def _link_report(folder: Path) -> str:
    """Return the link to the page of a run, from where the notebook runs; how to make the page where there is none."""
    page = folder / REPORT
    if not page.exists():
        return "<code>run.report()</code> makes a page of it, with every instruction and response."
    # Notebooks open paths from where they run; a path with a scheme or a drive would be an address.
    address = quote(Path(os.path.relpath(page)).as_posix())
    return f'<a href="{html.escape(address)}" target="_blank" rel="noopener">Open its report</a>'
