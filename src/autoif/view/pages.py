"""The pages that `autoif view` serves: that of `autoif report`, with a part for reviewers, and two runs compared."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree.ElementTree import Element

from autoif.page.build import Page, PageSection, build_page
from autoif.page.elements import make, make_table
from autoif.page.report import make_run_page
from autoif.view.difference import OutcomeChange, RunDifference

SCRIPT = "review.js"
BESIDE = "data"
"""The folder of the address under which a large run's data lies."""
_LONGEST_SHOWN = 400


@dataclass(frozen=True, slots=True)
class ServedPage:
    """A page, and the packed data that lies beside it."""

    html: str
    pieces: dict[str, str]


def make_view_page(run: Path, runs: Sequence[Path]) -> ServedPage:
    """Return the page of a run, one of those that are viewed.

    Raises:
        StoreError: it is no run folder, one of another version, or damaged.
    """
    page, pieces = make_run_page(run, beside=BESIDE)
    first, *rest = page.sections
    review = PageSection("review", "Review", [*_link_runs(runs), make("div", id="review-queue")])
    page = replace(page, sections=[first, review, *rest], scripts=(*page.scripts, SCRIPT), connects=True)
    return ServedPage(_encode(page), dict(pieces or ()))


def make_difference_page(found: RunDifference) -> str:
    """Return the page that shows two runs side by side; it needs no script."""
    both = (found.first, found.second)
    sections = [
        PageSection("settings", "Settings", _show_settings(found, both)),
        PageSection("funnel", "Funnel", [_show_stages(found, both)]),
        PageSection("instructions", "Instructions", _show_instructions(found, both)),
        PageSection("verdicts", "Verdicts", _show_verdicts(found, both)),
        PageSection("responses", "Responses", _show_responses(found, both)),
    ]
    return _encode(
        Page(f"{found.first} and {found.second} – autoif", sections, "What differs between two runs.", {}, ())
    )


def _encode(page: Page) -> str:
    return build_page(page).encode("utf-8", "xmlcharrefreplace").decode("utf-8")


def _link_runs(runs: Sequence[Path]) -> list[Element]:
    if len(runs) < 2:
        return []
    links = [make("a", each.resolve().name, href=f"../{number}/") for number, each in enumerate(runs)]
    parts: list[Element | str] = ["Runs: "]
    for link in links:
        parts += [link, " "]
    return [make("p", *parts, make("a", "compare the first two", href="../compare"))]


def _show_settings(found: RunDifference, both: tuple[str, str]) -> list[Element]:
    rows = [(each.key, _shown(each.first), _shown(each.second)) for each in found.settings]
    return [make_table("Settings that differ", ("setting", *both), rows) if rows else make("p", "No setting differs.")]


def _show_stages(found: RunDifference, both: tuple[str, str]) -> Element:
    def say(counts: tuple[int, int] | None) -> str:
        return f"{counts[0]:,} kept, {counts[1]:,} dropped" if counts else "–"

    rows = [(each.stage, say(each.first), say(each.second)) for each in found.stages]
    return make_table("What each stage kept and dropped", ("stage", *both), rows, numbers=2)


def _show_instructions(found: RunDifference, both: tuple[str, str]) -> list[Element]:
    return [
        *_show_outcomes(f"Only in {both[0]}", found.only_first, both),
        *_show_outcomes(f"Only in {both[1]}", found.only_second, both),
        *_show_outcomes("In both, with another outcome", found.outcomes, both),
    ]


def _show_outcomes(caption: str, changes: Iterable[OutcomeChange], both: tuple[str, str]) -> list[Element]:
    rows = [(_shown(each.text), _shown(each.first), _shown(each.second)) for each in changes]
    if not rows:
        return [make("p", f"{caption}: none.")]
    return [make_table(f"{caption}: {len(rows):,}", ("text", *both), rows)]


def _show_verdicts(found: RunDifference, both: tuple[str, str]) -> list[Element]:
    said = (
        f"Of {found.verdicts_compared:,} verdicts of the same function on the same text "
        f"{found.verdicts_changed:,} differ{_cut(len(found.verdicts), found.verdicts_changed)}."
    )
    rows = [
        (_shown(each.instruction), each.function_id, _shown(each.text), each.first, each.second)
        for each in found.verdicts
    ]
    columns = ("instruction", "function", "text", *both)
    return [make("p", said), *([make_table("Verdicts that differ", columns, rows)] if rows else [])]


def _show_responses(found: RunDifference, both: tuple[str, str]) -> list[Element]:
    said = (
        f"Of {found.responses_compared:,} responses that both runs have {found.responses_changed:,} came to something "
        f"else{_cut(len(found.responses), found.responses_changed)}."
    )
    return [make("p", said), *_show_outcomes("Responses with another outcome", found.responses, both)]


def _cut(shown: int, whole: int) -> str:
    return f"; the first {shown:,} are shown" if shown < whole else ""


def _shown(text: str | None) -> str:
    if text is None:
        return "–"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
