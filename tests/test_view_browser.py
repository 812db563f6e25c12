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
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from autoif.decisions import read_review
from support.exported_run import export, rows_of

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


def show(page: Page, name: str, folder: Path) -> None:
    """Make a picture for docs/view.md, at the top of what is opened."""
    picture = Path(os.environ.get("AUTOIF_SCREENSHOTS", folder)) / f"{name}.png"
    page.screenshot(path=picture, clip={"x": 0, "y": 0, "width": 900, "height": 840})
    assert picture.stat().st_size > 10_000


@contextmanager
def viewing(run: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "autoif", "view", str(run), "--port", "0", "--author", "ada"]
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


def test_a_rejection_survives_a_restart_and_is_missing_from_the_export(
    browser: Browser, replayed: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(replayed, tmp_path / "run"))
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
