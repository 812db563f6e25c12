"""What the client costs beside a bare aiohttp loop: share of the ideal time, and CPU per call, in one run.

A stub server in a process of its own takes 200 ms for an answer and 256 requests at a time. The ideal time for N calls
is N / 256 * 200 ms. The bare loop posts a ready-made body and reads the JSON, nothing else. The client does all it
does in a run: request hash, cache look-up, body, retries, pace, parsing, record, and the commit of the answer to
SQLite. The two take turns, so that a noisy machine is unfair to neither. Exits with 1 if the client misses what is
wanted of it.

    python benchmarks/client.py [--calls 20000] [--rounds 2]
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from autoif.models.client import ChatClient
from autoif.models.endpoint import Endpoint
from autoif.models.requests import Request
from autoif.models.stored_answers import StoredAnswers
from autoif.together import collecting_seldom
from stub_server import running_stub

LATENCY_S = 0.2
SLOTS = 256
WANTED_SHARE = 0.95
WANTED_CPU_MS = 0.3


def answer(body: dict[str, Any]) -> list[str]:
    """Return a response of some length for each choice."""
    return ["word " * 60] * body.get("n", 1)


@dataclass(frozen=True)
class Measurement:
    """One way of making all the calls."""

    wall_s: float
    cpu_s: float

    def share(self, calls: int) -> float:
        return calls / SLOTS * LATENCY_S / self.wall_s

    def cpu_ms(self, calls: int) -> float:
        return self.cpu_s / calls * 1e3


def make_request(number: int) -> Request:
    """Return a small request as the pipeline makes them: half a kilobyte of prompt."""
    text = f"Query {number}: " + "please answer in one short paragraph. " * 12
    return Request("responder", "rejection_sampling", messages=(("user", text),), temperature=1.0, seed=number)


async def measure_bare(url: str, calls: int) -> Measurement:
    """Post `calls` ready-made bodies with `SLOTS` workers."""
    bodies = iter([json.dumps({"messages": [make_request(number).messages[0][1]]}).encode() for number in range(calls)])

    async def work() -> None:
        for body in bodies:
            async with session.post(f"{url}/chat/completions", data=body) as response:
                json.loads(await response.read())

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        return await _timed(work)


async def measure_client(url: str, calls: int) -> Measurement:
    """Sample `calls` requests with `SLOTS` workers, all in."""
    requests = iter([make_request(number) for number in range(calls)])
    endpoint = Endpoint(base_url=url, model="stub", api_key_env="", concurrency=SLOTS)

    async def work() -> None:
        for request in requests:
            [completion] = await client.sample(request)
            assert completion.completion_tokens == 100

    with tempfile.TemporaryDirectory() as folder, collecting_seldom():
        async with StoredAnswers(Path(folder) / "completions.sqlite") as answers:
            async with ChatClient({"responder": endpoint}, answers) as client:
                measurement = await _timed(work)
            assert answers.total().completions == calls
        return measurement


async def _timed(work: Callable[[], Awaitable[None]]) -> Measurement:
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(SLOTS)))
    return Measurement(time.perf_counter() - wall, time.process_time() - cpu)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    calls = options.calls

    ways = {"bare aiohttp": measure_bare, "autoif client": measure_client}
    measured: dict[str, list[Measurement]] = {name: [] for name in ways}
    with running_stub(answer, latency_s=LATENCY_S, slots=SLOTS) as server:
        for _ in range(options.rounds):
            for name, measure in ways.items():
                measured[name].append(asyncio.run(measure(server.url, calls)))

    print(f"{calls:,} calls, {LATENCY_S * 1e3:.0f} ms, {SLOTS} at a time; best of {options.rounds} rounds")
    print(f"{'':16}{'share of ideal':>16}{'CPU ms a call':>16}")
    best = {name: min(runs, key=lambda each: each.wall_s) for name, runs in measured.items()}
    for name, each in best.items():
        print(f"{name:16}{each.share(calls):16.3f}{each.cpu_ms(calls):16.3f}")
    ours = best["autoif client"]
    met = ours.share(calls) >= WANTED_SHARE and ours.cpu_ms(calls) <= WANTED_CPU_MS
    print(f"wanted          {WANTED_SHARE:16.3f}{WANTED_CPU_MS:16.3f}  {'met' if met else 'MISSED'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
