"""The pages that `autoif view` serves: the page of `autoif report` with a part for reviewers, and the comparison."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree.ElementTree import Element

from autoif.messages import cut_text, name_folders
from autoif.page.build import Page, PageSection, build_page
from autoif.page.elements import make, make_table
from autoif.page.report import make_run_page
from autoif.view.difference import Change, RunDifference

SCRIPT = "review.js"
BESIDE = "data"
"""The path segment under which a large run's data is served."""
_LONGEST_SHOWN = 400
_MOST = 200
"""Most rows of a table of differences."""


@dataclass(frozen=True, slots=True)
class ServedPage:
    """A page, and the packed data that is served beside it."""

    html: str
    pieces: dict[str, str]


def make_view_page(run: Path, runs: Sequence[Path]) -> ServedPage:
    """Return the page of one of the viewed runs.

    Raises:
        StoreError: it is no run folder, one of another version, or damaged.
    """
    page, pieces = make_run_page(run, beside=BESIDE)
    first, *rest = page.sections
    review = PageSection("review", "Review", [*_link_runs(runs), make("div", id="review-queue")])
    page = replace(page, sections=[first, review, *rest], scripts=(*page.scripts, SCRIPT), connects=True)
    return ServedPage(build_page(page), dict(pieces or ()))


def make_difference_page(found: RunDifference) -> str:
    """Return the page that shows two runs side by side; it needs no script."""

    def tabulate(caption: str, columns: Sequence[str], changes: Sequence[Change]) -> Element:
        if not changes:
            return make("p", f"{caption}: none.")
        cut = f", the first {_MOST:,} are shown" if len(changes) > _MOST else ""
        rows = [list(map(_show, (*shown, first, second))) for shown, first, second in changes[:_MOST]]
        return make_table(f"{caption}: {len(changes):,}{cut}", (*columns, found.first, found.second), rows)

    verdicts, responses = found.verdicts, found.responses
    sections = [
        PageSection("settings", "Settings", [tabulate("Settings that differ", ["setting"], found.settings)]),
        PageSection("funnel", "Funnel", [tabulate("What each stage kept and dropped", ["stage"], found.stages)]),
        PageSection("instructions", "Instructions", [
            tabulate(f"Only in {found.first}", ["text"], found.only_first),
            tabulate(f"Only in {found.second}", ["text"], found.only_second),
            tabulate("In both, with another outcome", ["text"], found.outcomes),
        ]),
        PageSection("verdicts", "Verdicts", [
            make("p", f"{verdicts.compared:,} verdicts of the same function on the same text."),
            tabulate("Verdicts that differ", ["instruction", "function", "text"], verdicts.changed),
        ]),
        PageSection("responses", "Responses", [
            make("p", f"{responses.compared:,} responses that both runs have."),
            tabulate("Responses with another outcome", ["text"], responses.changed),
        ]),
    ]  # fmt: skip
    title = f"{found.first} and {found.second} – autoif"
    return build_page(Page(title, sections, "What differs between two runs.", {}, ()))


def _link_runs(runs: Sequence[Path]) -> list[Element]:
    if len(runs) < 2:
        return []
    links = [make("a", name, href=f"../{number}/") for number, name in enumerate(name_folders(runs))]
    spaced = [part for link in links for part in (link, " ")]
    return [make("p", "Runs: ", *spaced, make("a", "compare the first two", href="../compare"))]


def _show(text: str | None) -> str:
    return "–" if text is None else cut_text(text, _LONGEST_SHOWN)
