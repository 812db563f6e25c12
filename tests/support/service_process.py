"""Starting `autoif serve` as a process, and asking it."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
from pydantic_core import from_json

from support.forked import Forked

TRUE = "def evaluate(response):\n    return True"
FALSE = "def evaluate(response):\n    return False"
UPPER = "def evaluate(response):\n    return response.isupper()"
HANG = "def evaluate(response):\n    while True:\n        pass"
BROKEN = "def evaluate(response) return True"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Read the body as a strict parser does: UTF-8, no lone surrogates, no NaN."""
        return from_json(self.body, allow_inf_nan=False)

    @property
    def code(self) -> str:
        error = self.json()["error"]
        assert error["message"]
        assert "\n" not in error["message"]
        return error["code"]

    @property
    def words(self) -> list[list[str]]:
        """The verdicts alone, in the shape they came in."""
        return [[each["verdict"] for each in row] for row in self.json()["verdicts"]]


class Serving:
    """A server that runs."""

    def __init__(self, url: str, process: Forked, session: aiohttp.ClientSession, log: Path) -> None:
        self.url = url
        self.process = process
        self.session = session
        self.log = log

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, body: Any, **options: Any) -> Answer:
        """Post JSON; lone surrogates travel as the escapes that JSON has for them."""
        return await self.ask("POST", path, data=json.dumps(body), **options)

    async def verify(self, functions: list[str], responses: list[str], **options: Any) -> Answer:
        return await self.post("/v1/verify", {"functions": functions, "responses": responses}, **options)

    async def ask(self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> Answer:
        headers = {"Content-Type": "application/json", **(headers or {})}
        if isinstance(data := options.get("data"), str | bytes):
            options["data"] = BytesIO(data.encode() if isinstance(data, str) else data)
        async with self.session.request(method, self.url + path, headers=headers, **options) as response:
            return Answer(response.status, dict(response.headers), await response.read())

    async def metric(self, name: str, **labels: str) -> float:
        """Return one figure of /metrics; 0 if it is not there."""
        shown = ",".join(f'{key}="{value}"' for key, value in labels.items())
        wanted = f"{name}{{{shown}}} " if labels else f"{name} "
        lines = (await self.get("/metrics")).body.decode().splitlines()
        return next((float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted)), 0.0)

    async def wait_for_metric(self, name: str, value: float) -> None:
        async with asyncio.timeout(20):
            while True:
                if await self.metric(name) == value:
                    return
                await asyncio.sleep(0.02)

    async def wait_until_draining(self) -> Answer:
        async with asyncio.timeout(5):
            while True:
                if (health := await self.get("/healthz")).status != 200:
                    return health
                await asyncio.sleep(0.01)

    async def ended(self) -> int:
        """Wait for the process to end; return its exit status."""
        return await asyncio.to_thread(self.process.wait, 30)


@asynccontextmanager
async def serving(
    folder: Path, *options: str | float, descriptors: int = 0, **environment: str
) -> AsyncIterator[Serving]:
    """Run `autoif serve` on a free port, with one worker unless the options say otherwise.

    It may have so many `descriptors` and no more, if that is given.
    """
    log = folder / "serve.log"
    arguments = ("serve", "--port", 0, "--workers", 1, *options)
    process = Forked(arguments, environment, errors=log, descriptors=descriptors)
    try:
        url = (await asyncio.to_thread(process.stdout.readline)).strip()
        assert url, log.read_text()
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
            yield Serving(url, process, session, log)
    finally:
        process.terminate()
        process.stdout.close()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
