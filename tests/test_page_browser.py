"""A run's page in Chromium, opened from the disk with the network off: `make browser`.

With AUTOIF_SCREENSHOTS=docs/report the screenshots of docs/report.md are made anew.
"""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from autoif.page.data import read_data
from autoif.page.report import PAGES, write_report
from autoif.records import Dropped, Reason
from autoif.report.funnel import read_funnel
from autoif.runs.store import DIGESTS, REJECTION_SAMPLING
from page_run import MadeRun, make_run
from support.browser import Opened, count_rows, list_tables

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

_HOSTILE = (
    '<img src=x onerror="window.hit=1"><script>window.hit=1</script></script></pre><svg onload=window.hit=1>'
    "<a href='javascript:window.hit=1'>x</a><!-- {{data}} ${window.hit=1} ]]> \u202e \ud800 \x00 \x1b[31m"
)
_VIEWS = ("#funnel", "#instructions", "#prompts", "#responses", "#pairs", "#distributions", "#thresholds", "#settings",
          "#response/0", "#pair/0")  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser") / "made"
    make_run(folder, MadeRun(instructions=60))
    write_report(folder, folder.parent / "report.html")
    return folder


@pytest.fixture(scope="module")
def opened(browser: Browser, run: Path) -> Opened:
    return Opened(browser, run.parent / "report.html", viewport={"width": 1200, "height": 900})


def test_each_number_of_the_funnel_leads_to_as_many_records(opened: Opened, run: Path) -> None:
    for row in read_funnel(run):
        for outcome, count in (("kept", row.kept), ("dropped", row.dropped)):
            address = opened.show("#funnel").locator(f'a[href*="stage={row.folder}&outcome={outcome}"]').first
            section = (address.get_attribute("href") or "")[1:].partition("?")[0]
            page = opened.show(address.get_attribute("href") or "")
            assert count_rows(page, section) == count, (row.folder, outcome)


def test_each_reason_of_a_real_run_leads_to_as_many_records(browser: Browser, replayed: Path, tmp_path: Path) -> None:
    write_report(replayed, tmp_path / "report.html")
    here = Opened(browser, tmp_path / "report.html")
    seen = 0
    for row in read_funnel(replayed):
        for reason, count in row.reasons.items():
            page = here.show("#funnel")
            address = page.locator(f'a.reason[href*="stage={row.folder}&"][href$="reason={reason}"]').get_attribute(
                "href"
            )
            page = here.show(address or "")
            section = (address or "")[1:].partition("?")[0]
            beside = page.locator(f"#{section} p", has_text="dropped without a record").all_inner_texts()
            others = sum(int(text.split()[2].replace(",", "")) for text in beside)
            assert count_rows(page, section) + others == count, (row.folder, reason)
            seen += 1
    assert seen >= 8
    assert here.said == []


def test_what_was_dropped_without_a_record_is_listed_beside_the_table(
    browser: Browser, run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / DIGESTS).unlink()
    lost = [
        Dropped(stage="rejection_sampling", reason=Reason.REFUSED_BY_MODEL, record_id=f"{n:016}", detail="<b>no</b>")
        for n in range(3)
    ]
    with (folder / REJECTION_SAMPLING / "dropped-0000.jsonl").open("a", encoding="utf-8") as rows:
        rows.writelines(f"{each.model_dump_json()}\n" for each in lost)
    write_report(folder, tmp_path / "report.html")
    here = Opened(browser, tmp_path / "report.html")
    address = here.page.locator("a.reason", has_text="refused by model 3").get_attribute("href") or ""
    page = here.show(address)
    assert count_rows(page, "responses") == 0
    assert "Beside them 3 were dropped" in page.locator("#responses").inner_text()
    assert list_tables(page)["Dropped without a record"][1] == ["0000000000000000", "refused by model", "<b>no</b>"]


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
    assert here.page.locator("svg.chart:visible").count() >= 4 + 6
    for title in ("Instructions, ", "What scoring: mean leaves", "Model calls, tokens, cost and time", "All settings"):
        assert here.page.locator("caption:visible", has_text=title.strip(", ")).count(), title


def test_on_paper_all_parts_are_there_and_none_is_cut(browser: Browser, run: Path) -> None:
    here = Opened(browser, run.parent / "report.html", viewport={"width": 700, "height": 900}, color_scheme="dark")
    here.show("#instructions")
    here.show("#responses")
    assert here.page.locator("main .paper:visible").count() == 0
    here.page.emulate_media(media="print")
    shown = here.page.locator("main > section:visible").evaluate_all("all => all.map((each) => each.id)")
    assert shown == [
        "funnel",
        "instructions",
        "prompts",
        "responses",
        "pairs",
        "distributions",
        "thresholds",
        "settings",
    ]
    assert here.page.locator("nav:visible, .controls:visible, .pages:visible").count() == 0
    assert here.page.locator("#instructions tbody tr:visible").count() == 60
    assert here.page.locator("#instructions .tabulator:visible").count() == 0
    assert here.page.locator("#responses .tabulator-row:visible").count() == 25
    assert here.page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert here.measure_overflow() <= 0
    assert here.page.pdf(format="A4").count(b"/Type /Page\n") >= 3


def test_at_200_percent_nothing_is_cut_and_axe_finds_nothing(browser: Browser, run: Path) -> None:
    here = Opened(
        browser, run.parent / "report.html", viewport={"width": 640, "height": 450}, device_scale_factor=2
    )  # fmt: skip
    for address in ("#funnel", "#instructions", "#distributions", "#thresholds"):
        here.show(address)
        assert here.measure_overflow() <= 0, address
        assert here.find_faults() == [], address


def test_a_search_answers_while_texts_are_read_and_ends_with_all(
    browser: Browser, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PAGES, "responses", 4)
    write_report(run, run.parent / "slow.html", limit=10)
    here = Opened(browser, run.parent / "slow.html")
    said = here.show("#responses").evaluate(
        """async () => {
            const search = document.getElementById("responses-search");
            search.value = "river";
            search.dispatchEvent(new Event("input"));
            const said = [];
            while (said.length < 2 || !/rows$/.test(said.at(-1))) {
                const status = document.querySelector("#responses [role=status]")?.textContent;
                if (status && status !== said.at(-1)) said.push(status);
                await new Promise((resolve) => setTimeout(resolve, 1));
            }
            return said;
        }"""
    )
    assert any(re.fullmatch(r"\d+ rows so far: \d+ of 320 texts are searched", each) for each in said)
    texts = [json.loads(text)["text"] for text in read_data(run).responses]
    assert said[-1] == f"{sum('river' in text.lower() for text in texts)} rows"
    assert here.said == []


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
