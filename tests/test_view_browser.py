"""Decisions by mouse and keys in Chromium, on the server that `autoif view` starts: `make browser`.

With AUTOIF_SCREENSHOTS=docs/report the pictures of docs/view.md are made anew.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from autoif.decisions import Decision, Target, add_decisions, read_decisions, read_review
from autoif.runs.store import INSTRUCTIONS
from support.browser import find_faults, measure_overflow
from support.exported_run import export, rows_of

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


def show(page: Page, name: str, folder: Path) -> None:
    """Make a picture for docs/view.md, at the top of what is opened."""
    picture = Path(os.environ.get("AUTOIF_SCREENSHOTS", folder)) / f"{name}.png"
    page.screenshot(path=picture, clip={"x": 0, "y": 0, "width": 900, "height": 840})
    assert picture.stat().st_size > 10_000


@contextmanager
def viewing(*runs: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "autoif", "view", *map(str, runs), "--port", "0", "--author", "ada"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGTERM)


@contextmanager
def opened(browser: Browser, url: str, address: str) -> Iterator[Page]:
    """Open a page of a server at an address; nothing may go wrong on its console."""
    page, said = browser.new_page(viewport={"width": 900, "height": 840}), list[str]()
    page.set_default_timeout(120_000)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{url}/0/#{address}", wait_until="commit")
    page.wait_for_selector("body[data-ready]")
    page.wait_for_selector("body[data-status=complete]")
    yield page
    page.close()
    assert said == []


def wait_for_text(page: Page, selector: str, text: str) -> None:
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector)?.textContent.includes(text)", arg=[selector, text]
    )


def go(page: Page, address: str) -> None:
    page.evaluate("address => { location.hash = address }", address)
    page.wait_for_function("address => document.body.dataset.shown === address", arg=address)


def decide(run: Path, target: Target, item: str, decision: str, author: str, comment: str = "") -> None:
    """Decide as somebody else who reviews the same run does."""
    fields = {"target": target, "id": item, "decision": decision, "author": author, "comment": comment}
    add_decisions(run, [Decision.model_validate({**fields, "time": datetime.now(UTC)})])


@pytest.fixture
def run(replayed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(replayed, tmp_path / "run"))


def test_keys_decide_on_what_is_opened_and_on_nothing_that_is_no_longer_shown(browser: Browser, run: Path) -> None:
    verified = json.loads((run / INSTRUCTIONS).read_text(encoding="utf-8").splitlines()[0])
    function = verified["matrix"]["functions"][verified["kept_functions"][0]]["id"]
    with viewing(run) as url, opened(browser, url, "responses") as page:
        decided = "name => document.body.dataset.decided === name"
        for table, kind in (("responses", "response"), ("pairs", "pair")):
            go(page, f"#{table}")
            page.locator(f"#{table} .tabulator-row a").first.click()
            page.wait_for_selector("#opened .review[data-chosen]")
            item = page.url.rpartition("/")[2]
            page.keyboard.press("r")
            page.wait_for_function(decided, arg=f"reject {kind}/{item}")
            assert read_review(run).rejects(kind, item)
        go(page, "#responses")
        page.keyboard.press("a")
        go(page, f"#instruction/0/{verified['instruction']['id']}")
        page.locator("#opened article.function", has_text=function).locator("pre").first.click()
        wait_for_text(page, "#review-status", f"Keys now decide on function {function}")
        page.keyboard.press("c")
        page.keyboard.type("counts <b>words</b>")
        page.keyboard.press("Control+Enter")
        page.wait_for_function(decided, arg=f"comment function/{function}")
        wait_for_text(page, f"[aria-label='Decision on function {function}']", "comment by ada: counts <b>words</b>")
        page.keyboard.press("a")
        page.wait_for_function(decided, arg=f"accept function/{function}")
    assert [each.decision for each in read_decisions(run).decisions] == ["reject", "reject", "comment", "accept"]


def test_what_the_queue_shows_stays_while_others_decide_and_what_was_decided_is_listed_and_taken_back(
    browser: Browser, run: Path
) -> None:
    with viewing(run) as url, opened(browser, url, "review") as page:
        page.wait_for_selector("#review-queue pre.source")
        first = page.evaluate("document.body.dataset.queued")
        page.keyboard.press("c")
        page.keyboard.type("half a thought")
        decide(run, "function", first, "accept", "<i>bo</i>")
        wait_for_text(page, "#review-decided", "accepted by <i>bo</i>")
        wait_for_text(page, "#review-precision", "by 1 decisions")
        assert page.evaluate("document.body.dataset.queued") == first
        assert page.input_value("#review-queue textarea") == "half a thought"
        assert page.locator("#review-decided button").count() == 0
        page.keyboard.press("Escape")
        page.keyboard.press("r")
        page.wait_for_function("name => document.body.dataset.queued !== name", arg=first)
        wait_for_text(page, "#review-decided", "rejected by ada")
        assert page.locator("main i").count() == 0
        needed = page.locator("#review-precision").inner_text()
        page.select_option("#review-within", label="± 10 points")
        page.wait_for_function("said => document.getElementById('review-precision').innerText !== said", arg=needed)
        assert "to ± 10 points" in page.locator("#review-precision").inner_text()
        page.locator("#review-decided a").first.click()
        page.wait_for_selector("#opened article.function:focus-within")
        assert first in page.locator("#opened article.function:focus-within").inner_text()
        go(page, "#review")
        page.click(f"[aria-label='Take back function {first}']")
        page.wait_for_function("() => !document.getElementById('review-decided').textContent.includes('ada')")
    assert read_review(run).accepts("function", first)


def test_a_run_that_goes_on_disturbs_nobody_who_reads_or_writes(browser: Browser, run: Path, tmp_path: Path) -> None:
    verified = json.loads((run / INSTRUCTIONS).read_text(encoding="utf-8").splitlines()[0])
    function = verified["matrix"]["functions"][verified["kept_functions"][0]]["id"]
    with viewing(run) as url, opened(browser, url, f"instruction/0/{function}") as page:
        page.wait_for_selector(f"[aria-label='Decision on function {function}'][data-chosen]")
        top = page.evaluate("window.scrollY")
        assert top > 0
        for count, status in enumerate(("another", "complete"), 1):
            manifest = json.loads((run / "run.json").read_text(encoding="utf-8"))
            (tmp_path / "new.json").write_text(json.dumps({**manifest, "status": status}), encoding="utf-8")
            (tmp_path / "new.json").replace(run / "run.json")
            page.wait_for_selector(f"body[data-renewed='{count}']")
        assert page.evaluate("window.scrollY") == top
        page.wait_for_selector(f"[aria-label='Decision on function {function}'][data-chosen]")
        page.keyboard.press("c")
        page.keyboard.type("half a thought")
        decide(run, "function", function, "accept", "bo")
        wait_for_text(page, f"[aria-label='Decision on function {function}']", "accepted by bo")
        with (run / "sft.jsonl").open("a", encoding="utf-8") as file:
            file.write("\n")
        page.wait_for_selector("body[data-renewed='3']")
        assert page.input_value("#opened textarea") == "half a thought"


def test_axe_finds_nothing_in_the_parts_for_reviewers_and_in_two_runs_side_by_side(
    browser: Browser, run: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    item = json.loads((run / INSTRUCTIONS).read_text(encoding="utf-8").splitlines()[0])["instruction"]["id"]
    decide(run, "instruction", item, "reject", "bo", "too vague")
    with viewing(run, other) as url, opened(browser, url, "review") as page:
        page.wait_for_selector("#review-decided table")
        for width, scheme in ((900, "light"), (320, "dark")):
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme)
            for address in ("#review", f"#instruction/0/{item}"):
                go(page, address)
                page.wait_for_selector(".review button:visible")
                page.keyboard.press("c")
                assert find_faults(page) == [], (address, scheme)
                assert measure_overflow(page) <= 0, (address, scheme)
                page.keyboard.press("Escape")
        page.goto(f"{url}/compare")
        assert find_faults(page) == []
        assert measure_overflow(page) <= 0


def test_a_rejection_survives_a_restart_and_is_missing_from_the_export(
    browser: Browser, run: Path, tmp_path: Path
) -> None:
    instruction = json.loads((run / "sft.jsonl").read_text(encoding="utf-8").splitlines()[0])["constraints"][0]
    item, address = instruction["instruction_id"], f"instruction/0/{instruction['instruction_id']}"
    with viewing(run) as url, opened(browser, url, "review") as page:
        page.wait_for_selector("body[data-queued]")
        queued = page.evaluate("document.body.dataset.queued")
        show(page, "review-queue", tmp_path)
        assert page.locator("#review-queue pre.source").first.inner_text().startswith("def evaluate(response")
        page.keyboard.press("r")
        page.wait_for_function("name => document.body.dataset.queued !== name", arg=queued)
        page.evaluate("address => { location.hash = address }", address)
        page.click(f"[aria-label='Decision on instruction {item}'] button[data-decision=reject]")
        page.wait_for_function("name => document.body.dataset.decided === name", arg=f"reject instruction/{item}")
    review = read_review(run)
    assert review.rejects("function", queued)
    assert review.rejects("instruction", item)
    exported = rows_of(export("trl", tmp_path / "out", run) / "sft.jsonl")
    assert exported
    assert instruction["instruction"] not in json.dumps([row["prompt"] for row in exported])
    with viewing(run) as url, opened(browser, url, address) as page:
        bar = page.locator(f"[aria-label='Decision on instruction {item}'] .standing")
        page.wait_for_function("place => document.querySelector(place)?.textContent.endsWith('rejected')",
                               arg=f"[aria-label='Decision on instruction {item}'] .standing")  # fmt: skip
        assert bar.text_content() == "instruction rejected"
        show(page, "review-decided", tmp_path)
        page.keyboard.press("u")
        page.wait_for_function("name => document.body.dataset.decided === name", arg=f"revoke instruction/{item}")
        assert bar.text_content() == "instruction undecided"
        page.locator("#review-keys").uncheck()
        page.keyboard.press("r")
    assert not read_review(run).rejects("instruction", item)
