"""`autoif serve` under load: many requests at once, one function in ten hostile. Exit code 1 if anything is wrong.

All requests are sent at the same moment, each on a connection of its own; a 429 is tried again after the seconds that
its Retry-After asks for. What every function says of every text is known beforehand, and each verdict and reward is
compared with it. Before the load comes a warm-up of the same requests without the hostile functions; the memory of the
server and of its workers (proportional set size, from the kernel) is read when idle after the warm-up, all through the
load, and when idle again.

    python benchmarks/service.py [--requests 2000] [-- OPTIONS OF autoif serve]
"""

import argparse
import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from autoif.records import Verdict
from autoif.reward import RewardMode, compute_reward

HOSTILE_EVERY: Final = 10
FUNCTIONS: Final = 2
TEXTS: Final = 4
TIMEOUT_S: Final = 1.0
PATIENCE_S: Final = 400.0
MEMORY_GROWTH_MB: Final = 8.0
"""What may be left behind by the load, of the server and of its workers: less than its bodies, were they kept."""
POISON: Final = "the one that sets it off"


@dataclass(frozen=True)
class Function:
    """A source, and what it is known to say of a text."""

    source: str
    judge: Callable[[str], str]
    hostile: bool = False


def _honest(expression: str, judge: Callable[[str], bool]) -> Function:
    source = f"import re\n\ndef evaluate(response):\n    return {expression}"
    return Function(source, lambda text: "pass" if judge(text) else "fail")


def _hostile(body: str, verdict: str, harmless: str = "pass") -> Function:
    """Return a function that does this to the poisoned text and returns True for the others."""
    source = f"def evaluate(response):\n    if response == {POISON!r}:\n        {body}\n    return True"
    return Function(source, lambda text: verdict if text == POISON else harmless, hostile=True)


HONEST: Final = (
    _honest("response.endswith('.')", lambda text: text.endswith(".")),
    _honest("len(response.split()) > 3", lambda text: len(text.split()) > 3),
    _honest("response == response.upper()", lambda text: text == text.upper()),
    _honest(r"bool(re.search(r'\d', response))", lambda text: bool(re.search(r"\d", text))),
    _honest("len(set(response.lower())) > 8", lambda text: len(set(text.lower())) > 8),
)
HOSTILE: Final = {
    "hang": _hostile("while True: pass", "timeout"),
    "hang in C": _hostile("__import__('re').match('(a+)+$', 'a' * 64 + 'b')", "timeout"),
    "memory": _hostile("x = []\n        while True: x.append(bytearray(1 << 24))", "memory"),
    "exit": _hostile("__import__('os')._exit(0)", "crash"),
    "crash": _hostile("__import__('os').abort()", "crash"),
    "flood": _hostile("[print('x' * 100_000) for _ in range(100)]; return False", "fail"),
    "fork": _hostile("__import__('os').fork()", "error"),
    "tamper": _hostile("import builtins, re; builtins.len = re.search = print; return False", "fail"),
    "forge": _hostile(
        "import os\n        for n in range(64):\n            try: os.write(n, b'pass' * 999)\n"
        "            except OSError: pass\n        return False",
        "fail",
    ),
    "leave": _hostile("raise SystemExit(0)", "error"),
}
WORDS: Final = ("Tea", "for", "TWO", "and", "two", "for", "42", "teas", "please", "NOW.", "ok.", "Ünïcode", "🙂")


@dataclass(frozen=True)
class Job:
    """One request, and the verdicts that it must get: shape (functions, texts)."""

    functions: tuple[Function, ...]
    texts: tuple[str, ...]
    reward: bool

    @property
    def hostile(self) -> bool:
        return any(function.hostile for function in self.functions)

    @property
    def path(self) -> str:
        return "/v1/reward" if self.reward else "/v1/verify"

    def body(self) -> str:
        sources = [function.source for function in self.functions]
        if self.reward:
            items = [{"completion": text, "functions": sources} for text in self.texts]
            return json.dumps({"items": items, "mode": "fraction"})
        return json.dumps({"functions": sources, "responses": self.texts})

    def wrong(self, answer: dict[str, Any]) -> int:
        """Return how many verdicts and rewards of an answer are not what they must be."""
        matrix = [[function.judge(text) for text in self.texts] for function in self.functions]
        expected = [list(column) for column in zip(*matrix, strict=True)] if self.reward else matrix
        given = [[each["verdict"] for each in row] for row in answer["verdicts"]]
        count: int = sum(
            one != other
            for mine, row in zip(expected, given, strict=True)
            for one, other in zip(mine, row, strict=True)
        )
        if self.reward:
            rewards = [compute_reward([Verdict(word) for word in row], RewardMode.FRACTION) for row in expected]
            count += sum(one != other for one, other in zip(rewards, answer["rewards"], strict=True))
        return count


def make_jobs(count: int, *, hostile: bool) -> list[Job]:
    """Return the same requests every time. Every tenth function is hostile, in turn of every kind."""
    chance = random.Random(0)
    kinds = iter(list(HOSTILE.values()) * (count * FUNCTIONS))
    jobs = []
    for number in range(count):
        functions = [chance.choice(HONEST) for _ in range(FUNCTIONS)]
        for place in range(FUNCTIONS):
            if hostile and (number * FUNCTIONS + place) % HOSTILE_EVERY == 0:
                functions[place] = next(kinds)
        texts = [" ".join(chance.choices(WORDS, k=chance.randint(1, 40))) for _ in range(TEXTS - 1)]
        texts.insert(chance.randrange(TEXTS), POISON)
        jobs.append(Job(tuple(functions), tuple(texts), reward=bool(number % 2)))
    return jobs


@dataclass
class Tally:
    """What became of the requests."""

    wrong: int = 0
    verdicts: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    honest_s: list[float] = field(default_factory=list)
    hostile_s: list[float] = field(default_factory=list)

    @property
    def answered(self) -> int:
        return len(self.honest_s) + len(self.hostile_s)


async def send_all(url: str, jobs: Sequence[Job]) -> Tally:
    """Send all requests at once and wait for every answer."""
    tally = Tally()
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        await asyncio.gather(*(_send(session, url, job, tally) for job in jobs))
    return tally


async def _send(session: aiohttp.ClientSession, url: str, job: Job, tally: Tally) -> None:
    began = time.perf_counter()
    body = job.body()
    try:
        while True:
            async with session.post(
                url + job.path, data=body, headers={"Content-Type": "application/json"}
            ) as response:
                answer = await response.json()
                status, wait_s = response.status, response.headers.get("Retry-After", "1")
            if status != 429:
                break
            tally.retries += 1
            await asyncio.sleep(int(wait_s) * random.uniform(1.0, 1.5))  # not all at the same moment again
    except (aiohttp.ClientError, OSError, ValueError) as error:  # a TimeoutError is an OSError
        tally.lost[type(error).__name__] += 1
        return
    if status != 200:
        tally.lost[f"{status} {answer['error']['code']}"] += 1
        return
    tally.wrong += job.wrong(answer)
    tally.verdicts += len(job.functions) * len(job.texts)
    (tally.hostile_s if job.hostile else tally.honest_s).append(time.perf_counter() - began)


@contextmanager
def serving(options: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Run `autoif serve` on a free port; yield its URL and its process id."""
    command = [sys.executable, "-m", "autoif", "serve", "--port", "0", "--timeout", str(TIMEOUT_S)]
    command += ["--backend", "cpython"]  # the verdicts on hostile functions are this backend's
    command += ["--deadline", str(PATIENCE_S), *options]
    environment = {name: value for name, value in os.environ.items() if name != "AUTOIF_SERVICE_TOKEN"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        try:
            url = process.stdout.readline().strip()
            if not url:
                sys.exit("the server did not start")
            yield url, process.pid
        finally:
            process.terminate()


@dataclass(frozen=True)
class Memory:
    """Proportional set size, in MB. `workers` is 0 where the kernel does not let this user read it."""

    server: float
    workers: float

    @classmethod
    def of(cls, pid: int) -> "Memory":
        return cls(_pss_mb(pid), sum(map(_pss_mb, _descendants(pid))))


def _pss_mb(pid: int) -> float:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:  # it has just ended, or is another user's
        return 0.0
    found = re.search(r"^Pss: +(\d+) kB", rollup, re.MULTILINE)
    return int(found[1]) / 1000 if found else 0.0


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (thread / "children").read_text(encoding="ascii").split())
    except OSError:
        return []
    return found + [below for child in found for below in _descendants(child)]


class MemoryWatch(threading.Thread):
    """Remembers the most that the server and its workers had, each by itself."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak = Memory(0.0, 0.0)
        self._pid = pid
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.25):
            now = Memory.of(self._pid)
            self.peak = Memory(max(self.peak.server, now.server), max(self.peak.workers, now.workers))

    def end(self) -> Memory:
        self._over.set()
        self.join()
        return self.peak


def _rest(pid: int) -> Memory:
    """Return the memory when idle: the median of some readings, after lost workers have been replaced."""
    time.sleep(1.0)
    readings = []
    for _ in range(5):
        readings.append(Memory.of(pid))
        time.sleep(0.1)
    return Memory(
        statistics.median(each.server for each in readings), statistics.median(each.workers for each in readings)
    )


def _quantiles(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    if not ordered:
        return "| | | | |"
    shown = [ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.9, 0.99)]
    return "".join(f"| {each:.1f} " for each in (*shown, ordered[-1])) + "|"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("server_options", nargs="*", help="options of autoif serve, after --")
    options = parser.parse_args()
    jobs = make_jobs(options.requests, hostile=True)
    with serving(options.server_options) as (url, pid):
        warm_up = asyncio.run(send_all(url, make_jobs(options.requests, hostile=False)))
        before = _rest(pid)
        watch = MemoryWatch(pid)
        watch.start()
        tally = asyncio.run(send_all(url, jobs))
        peak, after = watch.end(), _rest(pid)

    hostile = sum(function.hostile for job in jobs for function in job.functions)
    functions = f"{len(jobs) * FUNCTIONS:,} functions × {TEXTS} texts, {hostile:,} of them hostile"
    print(f"| {len(jobs):,} requests, {functions} | |\n|---|---|")
    print(f"| wrong verdicts and rewards, of {tally.verdicts:,} verdicts | {tally.wrong + warm_up.wrong} |")
    lost = f"{sum(tally.lost.values())} {dict(tally.lost) or ''}".strip()
    print(f"| requests lost | {lost} (429 and tried again: {tally.retries:,} times) |")
    print("\n| seconds to the answer, tries and waiting included | p50 | p90 | p99 | most |\n|---|---|---|---|---|")
    for name, seconds in (
        ("the same load without hostile functions", warm_up.honest_s),
        ("requests of honest functions only", tally.honest_s),
        ("requests with a hostile function", tally.hostile_s),
    ):
        print(f"| {name} {_quantiles(seconds)}")
    print("\n| memory (PSS), MB | idle before | peak | idle after |\n|---|---|---|---|")
    readings = (before, peak, after)
    print(f"| server {''.join(f'| {each.server:.1f} ' for each in readings)}|")
    print(f"| the workers, and what ran in them {''.join(f'| {each.workers:.1f} ' for each in readings)}|")
    growth = max(after.server - before.server, after.workers - before.workers)
    flat = growth <= MEMORY_GROWTH_MB
    complete = tally.answered == warm_up.answered == len(jobs)
    right = tally.wrong == warm_up.wrong == 0
    print(f"\nnone wrong: {right}   none lost: {complete}   memory flat (at most {MEMORY_GROWTH_MB:g} MB more): {flat}")
    return 0 if right and complete and flat else 1


if __name__ == "__main__":
    sys.exit(main())
