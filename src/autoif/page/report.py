"""Writes the page of a run, for `autoif report RUN`.

Up to 50,000 rows, one file holds everything. Beyond that, instructions, responses and pairs are in files of up to two
thousand rows each, in a folder beside it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from autoif.page.build import Page, PageSection, build_page, pack, pack_bytes
from autoif.page.data import RunData, read_data
from autoif.page.distributions import draw_distributions
from autoif.page.elements import make
from autoif.page.overview import (
    describe_run,
    make_funnel,
    make_instruction_table,
    make_reviewed,
    make_run_notes,
    make_settings,
    make_usage,
)
from autoif.page.sweeps import show_sweeps
from autoif.renewing import PAGE, PAGE_DATA, find_place
from autoif.report.funnel import read_funnel
from autoif.runs.store import FOLDERS, read_run, refuse_run_file
from autoif.runs.whole_files import replace_file, storage_errors

LIMIT = 50_000
"""Most rows in a single file."""
PAGES = {"instructions": 100, "responses": 2_000, "pairs": 500}
"""Records in one packed piece of data."""


def write_report(run: Path, output: Path, limit: int = LIMIT) -> list[Path]:
    """Write the page of a run; return the paths written: the page, and the folder beside it if it needs one.

    Raises:
        StoreError: it is no run folder, one of another version, or damaged; or `output` can't be written.
        ConfigError: a run keeps something else at `output`, or there is a file that is no page of autoif.
    """
    refuse_run_file(output)
    output = find_place(output, PAGE)
    beside = f"{output.stem}-data"
    page, pieces = make_run_page(run, limit, beside)
    made = [output]
    if pieces:
        folder = output.with_name(beside)
        made.append(folder)
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for name, packed in pieces:
                place = find_place(folder / f"{name}.js", PAGE_DATA)
                place.write_text(f'autoif.give("{name}","{packed}")\n', encoding="ascii")
    replace_file(output, [build_page(page)])
    return made


def make_run_page(run: Path, limit: int = LIMIT, beside: str = "") -> tuple[Page, Iterator[tuple[str, str]] | None]:
    """Return the page of a run, and the packed data for files in the folder `beside`; None if the page holds it all.

    Raises:
        StoreError: it is no run folder, one of another version, or damaged.
    """
    manifest: Mapping[str, Any] = read_run(run)
    funnel = read_funnel(run)
    data = read_data(run)
    split = data.rows > limit
    index = make_index(data, manifest, beside if split else "")
    said = (
        f"{data.rows:,} rows are too many for one file: they lie in the folder {beside} beside it; keep them together."
    )
    notes = [*make_run_notes(run, manifest), *([make("p", said, class_="note")] if split else [])]
    sections = [
        PageSection(
            "funnel", "Funnel", [*notes, make_funnel(funnel), *make_reviewed(run, data), *make_usage(manifest, data)]
        ),
        PageSection("instructions", "Instructions", [make_instruction_table(data)]),
        PageSection("prompts", "Prompts", [make("p", f"{len(data.prompts):,} prompts.")]),
        PageSection("responses", "Responses", [make("p", f"{len(data.responses):,} responses.")]),
        PageSection("pairs", "Pairs", [make("p", f"{len(data.pairs):,} preference pairs.")]),
        PageSection("distributions", "Distributions", draw_distributions(data)),
        PageSection("thresholds", "Thresholds", show_sweeps(run, len(data.responses), str(manifest.get("status")))),
        PageSection("settings", "Settings", make_settings(manifest)),
    ]
    pieces = _pack_pieces(data)
    packed = {"index": pack(index), **({} if split else dict(pieces))}
    page = Page(f"{run.resolve().name} – autoif", sections, describe_run(manifest), packed, beside=split)
    return page, pieces if split else None


def make_index(data: RunData, manifest: Mapping[str, Any], beside: str) -> dict[str, JsonValue]:
    """Return the data that the page's tables need at once; records are loaded in pieces (`PAGES`)."""
    columns: dict[str, Any] = asdict(data.columns)
    reasons = sorted(set(columns["reason"]))
    places = {reason: place for place, reason in enumerate(reasons)}
    columns["reason"] = [places[reason] for reason in columns["reason"]]
    return {
        "beside": beside,
        "stages": list(FOLDERS),
        "status": str(manifest.get("status", "")),
        "sizes": dict(PAGES),
        "counts": {name: len(getattr(data, name)) for name in ("instructions", "responses", "pairs")},
        "instructions": [asdict(line) for line in data.instructions],
        "prompts": [asdict(line) for line in data.prompts],
        "reasons": list(reasons),
        "responses": columns,
        "others": list(data.others),
    }


def _pack_pieces(data: RunData) -> Iterator[tuple[str, str]]:
    for name, records in (("instructions", data.records), ("responses", data.responses), ("pairs", data.pairs)):
        for number in range(-(-len(records) // PAGES[name])):
            part = records[number * PAGES[name] : (number + 1) * PAGES[name]]
            yield f"{name}-{number}", pack_bytes(b"[" + b",".join(part) + b"]")
