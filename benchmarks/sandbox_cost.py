"""What isolation costs: calls a second in the sandbox beside the released loop's, in one run.

The functions are those that an 8B model wrote, the responses its own (`autoif_llama3_jwrobins94`). The baseline is the
shape of the released loop: one process, `exec` of the source for every call, SIGALRM around it, no protection. So that
it does no harm here, it runs only what the sandbox has seen end well, in a process that has given up all files.

    python benchmarks/sandbox_cost.py [COMPLETIONS.jsonl.gz]
"""

import asyncio
import contextlib
import gzip
import io
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from autoif.records import Verdict
from autoif.sandbox import Limits, Sandbox
from autoif.sandbox.inside import kernel, landlock

DATA: Final = Path(__file__).parents[2] / "shared/data/verifiers/autoif_llama3_jwrobins94/completions.jsonl.gz"
ROUNDS: Final = 3
SLOWEST_S: Final = 0.05
SIZES: Final = {8: 400, 128: 100}
"""Responses per function → how many functions."""

Work = list[tuple[str, list[str]]]
"""Functions, each with the responses it is called on."""


def read_work(path: Path, responses: int, functions: int) -> Work:
    """Return functions of distinct source, each with the responses to its own prompt and the prompts after it."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    texts = [text for row in rows for text in row["completions"]]
    work: dict[str, list[str]] = {}
    at = 0
    for row in rows:
        for source in row["verifiers"][:2]:
            work.setdefault(source, [texts[(at + offset) % len(texts)] for offset in range(responses)])
        at += len(row["completions"])
    return list(work.items())[:functions]


async def keep_harmless(work: Work) -> Work:
    """Return the functions that end soon on every response: one that takes seconds would drown the others."""
    harmful = {Verdict.TIMEOUT, Verdict.MEMORY, Verdict.CRASH}
    async with Sandbox(Limits(timeout_s=1.0)) as sandbox:
        outcomes = await asyncio.gather(*(sandbox.run(source, texts) for source, texts in work))
    return [
        job
        for job, of_job in zip(work, outcomes, strict=True)
        if not any(outcome.verdict in harmful or outcome.seconds > SLOWEST_S for outcome in of_job)
    ]


async def time_sandbox(work: Work) -> float:
    """Return the seconds that the sandbox, already started, takes for the work."""
    async with Sandbox() as sandbox:
        started = time.perf_counter()
        await asyncio.gather(*(sandbox.run(source, texts) for source, texts in work))
        return time.perf_counter() - started


def time_baseline(work: Work) -> float:
    """Return the seconds that the unprotected loop takes, in a process of its own."""
    command = [sys.executable, __file__, "--baseline"]
    process = subprocess.run(command, input=json.dumps(work), capture_output=True, text=True, check=True, timeout=600)
    return float(process.stdout)


def run_baseline() -> None:
    work: Work = json.load(sys.stdin)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    landlock.restrict([folder for folder in sys.path if "python" in folder and Path(folder).is_dir()], [])
    signal.signal(signal.SIGALRM, _expire)
    started = time.perf_counter()
    with _silence():
        for source, texts in work:
            for text in texts:
                _call(source, text)
    print(time.perf_counter() - started)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def _call(source: str, text: str) -> object:
    names: dict[str, Callable[[str], object]] = {}
    signal.setitimer(signal.ITIMER_REAL, 2.0)
    try:
        exec(source, globals(), names)
        return names["evaluate"](text)
    except Exception:  # noqa: BLE001 - as the released loop does
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _expire(number: int, frame: object) -> None:
    raise TimeoutError


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    print(f"calls a second, median of {ROUNDS} rounds")
    print(f"{'responses':>9} {'functions':>9} {'released loop':>14} {'sandbox':>14} {'ratio':>6}")
    for responses, functions in SIZES.items():
        work = asyncio.run(keep_harmless(read_work(path, responses, functions)))
        calls = responses * len(work)
        baseline, isolated = [], []
        for _ in range(ROUNDS):
            baseline.append(calls / time_baseline(work))
            isolated.append(calls / asyncio.run(time_sandbox(work)))
        ratio = statistics.median(mine / theirs for mine, theirs in zip(isolated, baseline, strict=True))
        print(
            f"{responses:>9} {len(work):>9} {statistics.median(baseline):>14,.0f} "
            f"{statistics.median(isolated):>14,.0f} {ratio:>6.2f}"
        )
    print(f"on {len(os.sched_getaffinity(0))} processors; the released loop uses one and protects nothing")


if __name__ == "__main__":
    if sys.argv[1:] == ["--baseline"]:
        run_baseline()
    else:
        main()
