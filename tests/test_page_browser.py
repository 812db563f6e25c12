"""A run's page in Chromium, opened from the disk with the network off: `make browser`.

With AUTOIF_SCREENSHOTS=docs/report the screenshots of docs/report.md are made anew.
"""

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from autoif.page.report import write_report
from autoif.report.funnel import read_funnel
from page_run import MadeRun, make_run
from support.browser import Opened, count_rows

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

_HOSTILE = (
    '<img src=x onerror="window.hit=1"><script>window.hit=1</script></script></pre><svg onload=window.hit=1>'
    "<a href='javascript:window.hit=1'>x</a><!-- {{data}} ${window.hit=1} ]]> \u202e \ud800 \x00 \x1b[31m"
)
_VIEWS = ("#funnel", "#instructions", "#prompts", "#responses", "#pairs", "#distributions", "#settings", "#response/0",
          "#pair/0")  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser") / "made"
    make_run(folder, MadeRun(instructions=60))
    return folder


@pytest.fixture(scope="module")
def opened(browser: Browser, run: Path) -> Opened:
    write_report(run, run.parent / "report.html")
    return Opened(browser, run.parent / "report.html", viewport={"width": 1200, "height": 900})


def test_each_number_of_the_funnel_leads_to_as_many_records(opened: Opened, run: Path) -> None:
    for row in read_funnel(run):
        for outcome, count in (("kept", row.kept), ("dropped", row.dropped)):
            address = opened.show("#funnel").locator(f'a[href*="stage={row.folder}&outcome={outcome}"]').first
            section = (address.get_attribute("href") or "")[1:].partition("?")[0]
            page = opened.show(address.get_attribute("href") or "")
            assert count_rows(page, section) == count, (row.folder, outcome)


def test_a_search_leaves_the_rows_that_have_the_text_and_pages_show_the_rest(opened: Opened) -> None:
    page = opened.show("#instructions?search=")
    assert count_rows(page, "instructions") == 60
    assert page.locator("#instructions .tabulator-row").count() == 25
    page.get_by_role("button", name="Next Page").click()
    page.wait_for_function("() => document.querySelector('#instructions .tabulator-page.active').textContent === '2'")
    page.fill("#instructions-search", "NO COMMA")
    page.wait_for_function("() => document.querySelector('#instructions [role=status]').textContent === '15 rows'")
    assert all("no comma" in text for text in page.locator("#instructions .tabulator-row").all_inner_texts())


def test_keys_alone_sort_a_table_and_open_an_instruction(opened: Opened) -> None:
    page = opened.show("#instructions?stage=")
    page.locator("#instructions button.sort").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#instructions .tabulator-col[aria-sort=ascending]")
    # The rows are drawn after the sign in the heading.
    page.wait_for_function(
        "() => document.querySelector('#instructions .tabulator-row a')?.textContent.startsWith('Begin with')"
    )
    page.locator("#instructions .tabulator-row a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#opened-title:focus")
    assert "Begin with" in page.locator("#opened blockquote").first.inner_text()


def test_the_matrix_has_a_cell_for_each_function_and_case_and_marks_what_is_not_as_expected(opened: Opened) -> None:
    page = opened.show("#instructions?outcome=kept")
    page.locator("#instructions .tabulator-row a").first.click()
    page.wait_for_selector("#opened-title")
    matrix = page.locator("#opened table", has_text="Functions × cases").first
    assert matrix.locator(".verdict").count() == 3 * 4
    assert matrix.locator(".verdict.no").count() == 2
    assert page.locator("#opened pre.source").first.inner_text().startswith("def evaluate(response):")


def test_a_pair_has_marked_what_only_one_side_has(opened: Opened) -> None:
    page = opened.show("#pair/0")
    assert page.locator("#opened ins").count() and page.locator("#opened del").count()
    sides = [page.locator("#opened .sides pre").nth(side).inner_text() for side in (0, 1)]
    assert sides == page.evaluate(
        "async () => { const pair = await autoif.record('pairs', 0);"
        " return [pair.chosen, pair.rejected].map((side) => side[0].content) }"
    )


def test_nothing_was_said_on_the_console_and_nothing_asked_for(opened: Opened) -> None:
    assert opened.said == []
    assert [url for url in opened.asked if not url.startswith("file:")] == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 320)])
def test_axe_finds_nothing(browser: Browser, opened: Opened, run: Path, scheme: Any, width: int) -> None:
    here = opened if scheme == "light" else Opened(
        browser, run.parent / "report.html", color_scheme=scheme, viewport={"width": width, "height": 800}
    )  # fmt: skip
    faults = {}
    page = here.show("#instructions?outcome=kept")
    first = page.locator("#instructions .tabulator-row a").first.get_attribute("href") or ""
    for address in (*_VIEWS, first):
        here.show(address)
        faults[address] = here.find_faults()
        assert here.measure_overflow() <= 0, f"{address} is wider than the window"
    assert {address: found for address, found in faults.items() if found} == {}


def test_hostile_texts_in_every_field_are_shown_and_nothing_in_them_runs(browser: Browser, tmp_path: Path) -> None:
    make_run(tmp_path / "run", MadeRun(instructions=4, spoil=lambda text: f"{text}{_HOSTILE}"))
    write_report(tmp_path / "run", tmp_path / "report.html")
    here = Opened(browser, tmp_path / "report.html")
    page = here.show("#instructions?outcome=kept")
    first = page.locator("#instructions .tabulator-row a").first.get_attribute("href") or ""
    for address in (*_VIEWS, first):
        page = here.show(address)
    assert "onerror" in page.locator("#opened blockquote").first.inner_text()
    page.wait_for_timeout(300)
    assert page.evaluate("() => window.hit") is None
    assert page.locator("main img, main script, main a[href^=javascript]").count() == 0
    assert here.said == []


def test_without_scripts_the_funnel_figures_and_settings_can_be_read(browser: Browser, run: Path) -> None:
    here = Opened(browser, run.parent / "report.html", java_script_enabled=False)
    text = here.page.locator("body").inner_text()
    assert "07_scoring" in text
    assert "Scripts are off" in text
    assert here.page.locator("svg.chart").count() >= 4


def test_data_beside_the_page_is_read_from_the_disk_and_a_missing_file_is_named(browser: Browser, run: Path) -> None:
    output, folder = write_report(run, run.parent / "large.html", limit=10)
    here = Opened(browser, output)
    assert here.show("#responses").locator("#responses .tabulator-row").count() == 25
    (folder / "pairs-0.js").unlink()
    assert "large-data/pairs-0.js is missing" in here.show("#pair/0").locator("main [role=alert]").inner_text()


@pytest.mark.parametrize(
    ("name", "scheme", "width", "address"),
    [
        ("funnel-light", "light", 1200, "#funnel"),
        ("instruction-dark", "dark", 1200, ""),
        ("instructions-narrow", "light", 420, "#instructions"),
    ],
)
def test_screenshots_are_made(
    browser: Browser, run: Path, tmp_path: Path, name: str, scheme: Any, width: int, address: str
) -> None:
    here = Opened(
        browser, run.parent / "report.html", color_scheme=scheme, viewport={"width": width, "height": 800}
    )  # fmt: skip
    if not address:
        page = here.show("#instructions?outcome=kept")
        address = page.locator("#instructions .tabulator-row a").first.get_attribute("href") or ""
    picture = Path(os.environ.get("AUTOIF_SCREENSHOTS", tmp_path)) / f"{name}.png"
    here.show(address).screenshot(path=picture)
    assert picture.stat().st_size > 10_000
