"""Debian's Chromium through playwright: one browser for all tests that open a page, and a page without a network."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, sync_playwright

_ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
_AXE = Path(__file__).parents[1] / "data" / "axe" / "axe.min.js"


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start Chromium; the tests of pages need it, and are left out unless they are asked for."""
    chromium = shutil.which("chromium")
    assert chromium, "the browser tests need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS, timeout=120_000)
        yield opened
        opened.close()


class Opened:
    """A page from the disk without a network, and all that it says on its console or asks for."""

    def __init__(self, browser: Browser, path: Path, **options: Any) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        context = browser.new_context(**options)
        context.set_offline(True)
        context.set_default_timeout(120_000)
        self.page: Page = context.new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri(), wait_until="commit")
        scripts = options.get("java_script_enabled", True) and "<script>" in path.read_text(encoding="utf-8")
        self.page.wait_for_selector("body[data-ready]") if scripts else self.page.wait_for_load_state("load")

    def show(self, address: str) -> Page:
        """Go to a place in the page, and wait until it is drawn."""
        self.page.evaluate("address => { location.hash = address }", address)
        self.page.wait_for_function("address => document.body.dataset.shown === address", arg=address)
        return self.page


def find_faults(page: Page) -> list[str]:
    """Return what axe finds of what is shown."""
    page.evaluate(_AXE.read_text(encoding="utf-8"))
    found = page.evaluate("() => axe.run()")["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found]


def measure_overflow(page: Page) -> int:
    """Return by how many pixels a page is wider than its window."""
    return int(page.evaluate("() => document.documentElement.scrollWidth - innerWidth"))


def count_rows(page: Page, section: str) -> int:
    """Return how many rows a table says that it has."""
    return int(page.locator(f"#{section} [role=status]").inner_text().split()[0].replace(",", ""))


def list_tables(page: Page) -> dict[str, list[list[str]]]:
    """Return the cells of all tables that are shown, by caption."""

    def read(table: Locator) -> list[list[str]]:
        return [row.locator("th, td").all_inner_texts() for row in table.locator("tr").all()]

    return {table.locator("caption").inner_text(): read(table) for table in page.locator("main table:visible").all()}
