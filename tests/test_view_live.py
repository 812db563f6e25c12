"""`autoif view` beside a run that goes on, is interrupted, and goes on again: the counts of one open page grow."""

import asyncio
import json
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from autoif.runs.store import REJECTION_SAMPLING, read_stage
from autoif.service.listening import listening
from autoif.service.settings import ServiceSettings
from autoif.view.server import Viewer
from support.habit_runs import SMALL
from support.habit_server import QUERIES, Asked, HabitServer, honest
from support.processes import start_autoif


def unhurried(asked: Asked) -> Any:
    """Answer as a good model does, one after the other, and later steps so slowly that somebody can watch."""
    time.sleep(0.1 if asked.stage in ("responses", "scoring") else 0.01)
    return honest(asked)


@contextmanager
def running(server: HabitServer, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Start the run, or go on with it, in a process of its own."""
    (folder / "queries.txt").write_text("\n".join(QUERIES), encoding="utf-8")
    changed = (*SMALL, "execution.shard_size=1", "execution.workers=1", "self_instruct.max_instructions=3")
    settings = [part for setting in changed for part in ("--set", setting)]
    where = ("-o", folder / "run", "--base-url", server.url, "--model", "m", "--queries", folder / "queries.txt")
    with start_autoif("run", "quickstart", "--quiet", *where, *settings, cwd=folder) as process:
        try:
            yield process
        finally:
            process.kill()


@dataclass
class OpenPage:
    """A page that is open: it hears of the run by events, and then looks at what the server shows."""

    url: str
    session: aiohttp.ClientSession
    stream: aiohttp.ClientResponse
    counts: list[int] = field(default_factory=list)
    """Of the responses that it showed, one after the other."""
    status: str = ""

    async def wait(self, until: Callable[["OpenPage"], bool]) -> None:
        """Listen until something holds."""
        while not until(self):
            line = await self.stream.content.readline()
            assert line, "the stream has ended"
            if line.startswith(b"data: "):
                self.status = json.loads(line.removeprefix(b"data: "))["status"]
                self.counts.append(await self.count_responses())

    async def count_responses(self) -> int:
        async with self.session.get(f"{self.url}/0/") as answer:
            text = await answer.text()
            assert answer.status == 200, text
        [found] = re.findall(r"([\d,]+) responses\.", text)
        return int(found.replace(",", ""))


@asynccontextmanager
async def viewing(run: Path) -> AsyncIterator[OpenPage]:
    settings = ServiceSettings(port=0, body_mb=1, queue=64)
    viewer = Viewer([run], settings, "ada")
    async with listening(viewer, settings) as url, aiohttp.ClientSession() as session:
        async with session.get(f"{url}/0/events") as stream:
            yield OpenPage(url, session, stream)
        await viewer.end()


@pytest.mark.asyncio
@pytest.mark.timeout(240)
async def test_counts_grow_while_a_run_goes_on_is_interrupted_and_goes_on_with_the_page_open(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with HabitServer() as server, ExitStack() as second:
        server.take_up(unhurried)
        with running(server, tmp_path) as first:
            while not (run / "run.json").exists():
                assert first.poll() is None
                await asyncio.sleep(0.05)
            async with viewing(run) as page:
                await page.wait(lambda page: page.counts[-1:] > [0])
                assert page.status == "running"
                first.send_signal(signal.SIGTERM)
                await asyncio.to_thread(first.wait)
                await page.wait(lambda page: page.status == "interrupted")
                shown = page.counts[-1]
                second.enter_context(running(server, tmp_path))
                await page.wait(lambda page: page.status == "complete")
    rows = [row for kind in ("kept", "dropped") for row in read_stage(run, REJECTION_SAMPLING, kind)]
    assert page.counts == sorted(page.counts)
    assert 0 < shown < page.counts[-1] == len(rows)
