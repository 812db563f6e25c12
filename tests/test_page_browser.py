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
from autoif.runs.store import AUDIT, DIGESTS, MANIFEST, REJECTION_SAMPLING
from page_run import MadeRun, make_run
from support.browser import Opened, count_rows, find_faults, list_tables, measure_overflow

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
        for outcome, count in (("kept", row.kept), ("dropped", row.dropped), ("all", row.kept + row.dropped)):
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


def test_the_address_has_what_a_table_shows_and_leads_there_again(browser: Browser, run: Path, opened: Opened) -> None:
    page = opened.show("#instructions?stage=")
    page.fill("#instructions-search", "comma")
    page.select_option("#instructions-outcome", "dropped")
    page.locator("#instructions button.sort", has_text="Agreement").click()
    page.locator("#instructions button.sort", has_text="Agreement").click()
    page.wait_for_function("() => location.hash === '#instructions?search=comma&outcome=dropped&sort=-agreement'")
    rows = page.locator("#instructions .tabulator-row").all_inner_texts()
    assert rows
    page.locator("#instructions .tabulator-row a").first.click()
    page.wait_for_selector("#opened-title:focus")
    page.go_back()
    page.wait_for_function("() => !document.getElementById('instructions').hidden")
    assert page.locator("#instructions .tabulator-row").all_inner_texts() == rows
    other = Opened(browser, run.parent / "report.html")
    page = other.show("#instructions?search=comma&outcome=dropped&sort=-agreement")
    page.wait_for_selector("#instructions .tabulator-col[aria-sort=descending]")
    assert page.locator("#instructions .tabulator-row").all_inner_texts() == rows
    assert page.input_value("#instructions-search") == "comma"
    assert other.said == []


def test_another_order_begins_with_its_first_page_and_who_comes_back_finds_the_page_they_left(opened: Opened) -> None:
    page = opened.show("#instructions?outcome=")
    active = "number => document.querySelector('#instructions .tabulator-page.active').textContent === number"
    page.get_by_role("button", name="Next Page").click()
    page.wait_for_function(active, arg="2")
    page.locator("#instructions .tabulator-row a").first.click()
    page.wait_for_selector("#opened-title:focus")
    page.get_by_text("Back to all instructions").click()
    page.wait_for_function("() => !document.getElementById('instructions').hidden")
    page.wait_for_function(active, arg="2")
    page.locator("#instructions button.sort").first.click()
    page.wait_for_function(active, arg="1")


def test_an_address_names_a_response_or_pair_by_its_id_wherever_it_is_and_a_function_leads_to_its_instruction(
    opened: Opened, run: Path
) -> None:
    data = read_data(run)
    response, pair = json.loads(data.responses[7]), json.loads(data.pairs[3])
    page = opened.show(f"#response/0/{response['id']}")
    assert page.locator("#opened pre").nth(1).inner_text() == response["text"]
    page = opened.show(f"#pair/99999/{pair['id']}")
    assert page.locator("#opened .sides pre").first.inner_text() == pair["chosen"][0]["content"]
    page = opened.show("#response/0/0123456789abcdef")
    assert "no such response" in page.locator("#opened").inner_text()
    record = json.loads(data.records[5])["record"]
    function = record["matrix"]["functions"][1]
    page = opened.show(f"#instruction/0/{function['id']}")
    assert page.locator("#opened blockquote").first.inner_text() == record["instruction"]["text"]
    assert page.evaluate("() => document.activeElement.id") == "function-1"
    for address in ("#responses?stage=", "#pairs?level="):
        link = opened.show(address).locator("main .tabulator-row a:visible").first.get_attribute("href") or ""
        assert re.fullmatch(r"#(response|pair)/0/[0-9a-f]{16}", link)


def test_who_skips_to_the_content_stays_in_the_part_that_is_shown(opened: Opened) -> None:
    page = opened.show("#instructions?outcome=kept")
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#instructions-title:focus")
    assert page.locator("#instructions").is_visible()


def test_an_opened_instruction_has_back_translations_and_the_audit_with_the_texts_that_show_it(
    browser: Browser, run: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    record = json.loads(read_data(run).records[0])["record"]
    found = {"reason": "accepts_all", "detail": "9 of 10 probes", "texts": ["<b>an odd text</b>"]}
    function = {
        "function_id": record["matrix"]["functions"][0]["id"], "kept": True, "findings": [found], "mutants": 8,
        "killed": 3, "accepted_probes": 0.9, "accepted_own": 0.75, "accepted_others": None,
    }  # fmt: skip
    audited = {"instruction_id": record["instruction"]["id"], "functions": [function], "findings": []}
    audit = {"findings": {"instructions": [audited]}, "scores": {"instructions": []}, "gold": None}
    (folder / AUDIT).write_text(json.dumps(audit), encoding="utf-8")
    write_report(folder, tmp_path / "report.html")
    here = Opened(browser, tmp_path / "report.html")
    page = here.show("#instructions?finding=accepts_all")
    assert count_rows(page, "instructions") == 1
    page.locator("#instructions .tabulator-row a").first.click()
    page.wait_for_selector("#opened-title:focus")
    page.locator("#opened .findings summary").first.click()
    said = page.locator("#opened article.function").first.inner_text()
    for part in (
        "Says in words: ", "Says no.", "(neutral, 0.5, by judge)", "Accepts 90% of the probes, 75% of the answers",
        "notice 3 of 8", "accepts all: 9 of 10 probes", "<b>an odd text</b>",
    ):  # fmt: skip
        assert part in said
    assert here.said == []


def test_an_opened_response_says_what_each_function_says_its_quality_and_why_it_was_dropped(
    opened: Opened, run: Path
) -> None:
    data = read_data(run)
    for reason in ("low_quality", "failed_functions", ""):
        place = next(place for place, found in enumerate(data.columns.reason) if found == reason)
        response = json.loads(data.responses[place])
        page = opened.show(f"#response/{place}/{response['id']}")
        said = list_tables(page)["What each function says"][1:]
        assert [row[1].split()[-1] for row in said] == response["verdicts"]
        assert all("def evaluate(response)" in row[2] for row in said)
        line = page.locator("#opened p", has_text="pass rate").inner_text()
        assert line.startswith(reason.replace("_", " ") or "kept")
        assert f"pass rate {round(100 * (data.columns.pass_rate[place] or 0))}%" in line
        quality = data.columns.quality[place]
        assert f"quality {'–' if quality is None else f'{quality:g}'}, {len(response['text'])} characters" in line
        assert page.locator("#opened summary", has_text="The judge's").count() == (quality is not None)


def test_a_text_from_right_to_left_is_set_so_and_turns_nothing_beside_it_round(
    browser: Browser, tmp_path: Path
) -> None:
    make_run(tmp_path / "run", MadeRun(instructions=4, spoil=lambda text: f"\u0634\u0643\u0631\u0627 {text}"))
    write_report(tmp_path / "run", tmp_path / "report.html")
    here = Opened(browser, tmp_path / "report.html")
    page = here.show("#response/0")
    starts = """selector => [...document.querySelectorAll(selector)].filter((each) => each.offsetParent).map((each) => {
        const [range, box] = [document.createRange(), each.getBoundingClientRect()];
        range.setStart(each.firstChild, 0);
        range.setEnd(each.firstChild, 1);
        return (range.getBoundingClientRect().right - box.left) / box.width;
    })"""
    assert min(page.evaluate(starts, "#opened pre.text")) > 0.9
    page = here.show("#pair/0")
    assert max(page.evaluate(starts, "#opened h3")) < 0.9


def test_a_difference_is_marked_in_long_texts_and_in_those_without_spaces(opened: Opened) -> None:
    marked = """([first, second]) => autoif.markDifference(first, second)
        .map((side) => [side.map(([text]) => text).join(""), side.filter(([, only]) => only).map(([text]) => text)])"""
    words = [f"word{number}" for number in range(2_400)]
    first, second = " ".join(words), " ".join(["other", *words[1:1_200], "new", *words[1_200:-1], "end"])
    assert opened.page.evaluate(marked, [first, second]) == [
        [first, ["word0", "word2399"]],
        [second, ["other", "new ", "end"]],
    ]
    assert opened.page.evaluate(marked, ["\u6211\u6765\u4e86", "\u6211\u53bb\u4e86"]) == [
        ["\u6211\u6765\u4e86", ["\u6765"]],
        ["\u6211\u53bb\u4e86", ["\u53bb"]],
    ]
    long = [f"line {number}\n" * 2 for number in range(2_000)]
    first, second = "".join(long), "".join([*long[:10], "only here\n", *long[10:-1], "last"])
    [[whole, gone], [other, came]] = opened.page.evaluate(marked, [first, second])
    assert (whole, other) == (first, second)
    assert ("".join(gone), "".join(came)) == (long[-1], "only here\nlast")


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
        faults[address] = find_faults(here.page)
        assert measure_overflow(here.page) <= 0, f"{address} is wider than the window"
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


def test_a_run_of_one_instruction_that_kept_nothing_has_a_whole_page(browser: Browser, tmp_path: Path) -> None:
    make_run(tmp_path / "run", MadeRun(instructions=1))
    write_report(tmp_path / "run", tmp_path / "report.html")
    here = Opened(browser, tmp_path / "report.html")
    for address in _VIEWS:
        page = here.show(address)
        assert find_faults(page) == [], address
        assert page.locator("[role=alert]").count() == 0
    assert count_rows(here.show("#instructions"), "instructions") == 1
    assert "no such response" in here.show("#response/0").locator("#opened").inner_text()
    assert here.said == []


def test_very_long_words_and_texts_stay_within_a_narrow_window(browser: Browser, tmp_path: Path) -> None:
    make_run(tmp_path / "run", MadeRun(instructions=4, prompts_each=1, spoil=lambda text: text + "x" * 20_000))
    write_report(tmp_path / "run", tmp_path / "report.html")
    here = Opened(browser, tmp_path / "report.html", viewport={"width": 320, "height": 800})
    page = here.show("#instructions?outcome=kept")
    first = page.locator("#instructions .tabulator-row a").first.get_attribute("href") or ""
    for address in (*_VIEWS, first):
        assert measure_overflow(here.show(address)) <= 0, address
    page.emulate_media(media="print")
    assert measure_overflow(page) <= 0
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
    assert measure_overflow(here.page) <= 0
    assert (
        min(here.page.locator("#settings details pre").evaluate_all("all => all.map((each) => each.clientHeight)")) > 0
    )
    assert here.page.pdf(format="A4").count(b"/Type /Page\n") >= 3


def test_at_200_percent_nothing_is_cut_and_axe_finds_nothing(browser: Browser, run: Path) -> None:
    here = Opened(
        browser, run.parent / "report.html", viewport={"width": 640, "height": 450}, device_scale_factor=2
    )  # fmt: skip
    for address in ("#funnel", "#instructions", "#distributions", "#thresholds"):
        here.show(address)
        assert measure_overflow(here.page) <= 0, address
        assert find_faults(here.page) == [], address


def test_a_search_answers_while_texts_are_read_and_ends_with_all(
    browser: Browser, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PAGES, "responses", 4)
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    # Of a run that goes on texts are read as somebody looks for them, and no sooner.
    (folder / MANIFEST).write_text(json.dumps({**manifest, "status": "running"}), encoding="utf-8")
    write_report(folder, tmp_path / "slow.html", limit=10)
    here = Opened(browser, tmp_path / "slow.html")
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


def test_texts_are_read_before_anybody_looks_for_them(
    browser: Browser, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PAGES, "responses", 40)
    output, folder = write_report(run, run.parent / "ahead.html", limit=10)
    here = Opened(browser, output)
    wanted = {path.name for path in folder.iterdir() if not path.name.startswith("instructions")}
    assert len(wanted) == 9
    for _ in range(300):
        if wanted <= {url.rpartition("/")[2] for url in here.asked}:
            break
        here.page.wait_for_timeout(100)
    assert wanted <= {url.rpartition("/")[2] for url in here.asked}
    assert here.page.locator("#funnel").is_visible()
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
