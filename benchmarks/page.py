"""The page of a large run: how long it takes to make and to open, and how fast a search is.

    python benchmarks/page.py                          10,000 instructions, 200,000 responses
    python benchmarks/page.py --instructions 1000      a tenth of it

Wanted on two cores: made in under 60 s and 1 GB, first paint in Chromium under 2 s, a search under 200 ms. The run is
synthetic, as large runs are (benchmarks/page_run.py). Without Chromium only the making is measured.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from page_run import MadeRun, make_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
              "--enable-precise-memory-info"]  # fmt: skip
_PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_SEARCH = """async ([section, text]) => {
    const status = document.querySelector(`#${section} [role=status]`);
    const search = document.getElementById(`${section}-search`);
    const began = performance.now();
    let first = null;
    const drawn = new Promise((resolve) => new MutationObserver((_, watch) => {
        first ??= performance.now();
        if (!/rows$/.test(status.textContent)) return;
        watch.disconnect();
        requestAnimationFrame(() => resolve());
    }).observe(status, {childList: true, characterData: true, subtree: true}));
    window.pauses = [];
    search.value = text;
    search.dispatchEvent(new Event("input"));
    await drawn;
    await new Promise((resolve) => setTimeout(resolve, 50));
    return [first - began, performance.now() - began - 50, status.textContent, Math.max(0, ...window.pauses)];
}"""
_HELD = "() => performance.memory.usedJSHeapSize"
_WATCH = """() => new PerformanceObserver((list) =>
    list.getEntries().forEach((each) => window.pauses?.push(each.duration)))
    .observe({type: "longtask"})"""


_SEARCHED = {
    "instructions": ("fruit", "write the word"),
    "prompts": ("question 3", "about"),
    "responses": ("river", "music garden"),
    "pairs": ("river", "music garden"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--instructions", type=int, default=10_000)
    parser.add_argument("--run", type=Path, help="run folder to take; it is made if it isn't there")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run, output = wanted.run or Path(folder) / "run", Path(folder) / "report.html"
        if not run.exists():  # two thirds of the instructions have responses
            make_run(run, MadeRun(wanted.instructions, prompts_each=5, responses_each=6))
        print(f"load before: {os.getloadavg()[0]:.1f}")
        failed = _measure_making(run, output)
        if shutil.which("chromium"):
            failed |= _measure_opening(output)
        else:
            print("Chromium is missing: opening is not measured")
    return int(failed)


def _measure_making(run: Path, output: Path) -> bool:
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", "from autoif.cli.main import main; main()", "report", str(run), "-o", str(output)],
        check=True,
    )
    seconds = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    megabytes = used.ru_maxrss / 1024
    beside = sum(path.stat().st_size for path in output.parent.glob("report-data/*"))
    print(
        f"made in {seconds:.1f} s ({used.ru_utime + used.ru_stime:.1f} s of CPU time) and {megabytes:,.0f} MB; "
        f"page {output.stat().st_size / 1e6:.1f} MB, beside it {beside / 1e6:.1f} MB"
    )
    return seconds > 60 or megabytes > 1_000


def _measure_opening(output: Path) -> bool:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_ARGUMENTS, timeout=120_000)
        page = _open(browser, output, "")
        paint = float(page.evaluate(_PAINT))
        print(f"first paint after {paint:,.0f} ms")
        failed = paint > 2_000
        for section, texts in _SEARCHED.items():
            page.evaluate("address => { location.hash = address }", f"#{section}")
            page.wait_for_function("address => document.body.dataset.shown === address", arg=f"#{section}")
            failed |= _search_first(page, section)
            took = [page.evaluate(_SEARCH, [section, text]) for text in texts]
            said = ", ".join(f"{whole:,.0f} ms ({rows})" for _, whole, rows, _ in took)
            print(f"{section}: then {said}")
            failed |= max(whole for _, whole, _, _ in took) > 200
        print(f"with all texts read the page holds {page.evaluate(_HELD) / 1e6:,.0f} MB")
        page.close()
        print("searched as soon as the page is there, while texts are still read:")
        failed |= _search_first(_open(browser, output, "#responses"), "responses")
        browser.close()
    return failed


def _open(browser: "Browser", output: Path, address: str) -> "Page":
    page = browser.new_page()
    page.set_default_timeout(300_000)
    page.goto(f"{output.as_uri()}{address}", wait_until="commit")
    page.wait_for_function(_PAINT)
    page.wait_for_selector("body[data-ready]")
    page.evaluate(_WATCH)
    return page


def _search_first(page: "Page", section: str) -> bool:
    first, whole, rows, pause = page.evaluate(_SEARCH, [section, "zebra"])
    print(
        f"{section}: first search answers after {first:,.0f} ms, has seen all after {whole:,.0f} ms ({rows}); "
        f"the page stands still for {pause:,.0f} ms at most"
    )
    return bool(max(first, pause) > 200)


if __name__ == "__main__":
    sys.exit(main())
