"""The page of trainings and evaluations in Chromium, opened from the disk with the network off: `make browser`."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from autoif.page.measured import build_measured_page
from support.browser import Opened, find_faults, list_tables, measure_overflow
from support.measured_folders import answer_prompts, write_evaluation, write_training

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

_HOSTILE = "</pre></table><script>window.hit=1</script><img src=x onerror=window.hit=1><a href='javascript:1'>"
_BEFORE = {"tea": (0.0,) * 10, "milk": (100.0,) * 10}
_AFTER = {"tea": (100.0,) * 10, "milk": (100.0,) * 5 + (0.0,) * 5}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of two trainings and two evaluations, with a hostile text wherever a stranger's may be."""
    place = tmp_path_factory.mktemp("measured")
    folders = [write_training(place / "first", losses=(3.25, 2, 1.5)), write_training(place / "second", text=_HOSTILE)]
    for name, accepted in (("before", _BEFORE), ("after", _AFTER)):
        rows = [row.model_copy(update={"prompt": f"{row.prompt} {_HOSTILE}"}) for row in answer_prompts(accepted)]
        folders.append(
            write_evaluation(place / name, rows, {row.id: f"{name}: {_HOSTILE}" for row in rows}, text=_HOSTILE)
        )
    (place / "report.html").write_text(build_measured_page(folders), encoding="utf-8")
    return place / "report.html"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 320)])
def test_the_page_is_whole_inert_and_free_of_what_axe_finds(
    browser: Browser, page: Path, scheme: Any, width: int
) -> None:
    here = Opened(browser, page, color_scheme=scheme, viewport={"width": width, "height": 800})
    text = here.page.locator("body").inner_text()
    assert text.count("<img src=x onerror=window.hit=1>") > 20
    assert here.page.evaluate("() => window.hit") is None
    assert here.page.locator("script, main a[href^=javascript], main img[src=x]").count() == 0
    assert find_faults(here.page) == []
    assert measure_overflow(here.page) <= 0
    assert here.said == []
    assert [url for url in here.asked if not url.startswith(("file:", "data:"))] == []


def test_its_numbers_are_those_of_the_files(browser: Browser, page: Path) -> None:
    tables = list_tables(Opened(browser, page).page)
    losses = [json.loads(line)["loss"] for line in (page.parent / "first" / "metrics.jsonl").read_text().splitlines()]
    [curve] = [row for row in tables["Curves in numbers"] if row[0] == "SFT loss: first"]
    assert [float(curve[3]), float(curve[4]), float(curve[5]), float(curve[7])] == [
        losses[0], min(losses), max(losses), losses[-1],
    ]  # fmt: skip
    [changes] = [rows for name, rows in tables.items() if name.endswith("by instruction")]
    assert [row[:4] for row in changes[1:]] == [
        ["Use tea.", "10", "0.0", "100.0"],
        ["Use milk.", "10", "100.0", "50.0"],
    ]
    results = json.loads((page.parent / "after" / "scores.json").read_text())["scores"]["pass_rate"]
    [scores] = [rows for name, rows in tables.items() if name.startswith("Pass rate: scores")]
    assert f"{results['value']:.1f}" in scores[2][2]
