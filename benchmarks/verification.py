"""What isolation costs: calls a second in the sandbox beside three ways without it, in turn, in one run.

The functions are those that an 8B model wrote, the responses its own (`autoif_llama3_jwrobins94`). Each way runs the
same calls, on as many processors as it can use:

    released    the shape of the released loop: one process, `exec` of the source for every call, SIGALRM around it
    processes   a process forked for every call, one after the other on each processor
    bare        compiled once, called in a loop, on every processor: no Python program can be faster
    sandbox     `Sandbox()` with its defaults, all layers on

So that the ways without protection do no harm here, they run only what the sandbox has seen end well, in processes that
have given up all files. Exits with 1 if a target is missed.

    python benchmarks/verification.py [COMPLETIONS.jsonl.gz]
"""

import asyncio
import contextlib
import gzip
import io
import json
import os
import pickle
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from autoif.records import Verdict
from autoif.sandbox import Limits, Outcome, Sandbox
from autoif.sandbox.inside import kernel, landlock

DATA: Final = Path(__file__).parents[2] / "shared/data/verifiers/autoif_llama3_jwrobins94/completions.jsonl.gz"
ROUNDS: Final = 3
SLOWEST_S: Final = 0.05
PROCESSORS: Final = len(os.sched_getaffinity(0))
FORKED_CALLS: Final = 600
LOCKED_FUNCTIONS: Final = 1000


class Size(NamedTuple):
    """One line of the table, and what is wanted of it."""

    responses: int
    functions: int
    of_released: float
    of_bare: float | None


SIZES: Final = (Size(8, 1000, 1.0, None), Size(128, 250, 5.0, 0.55), Size(2048, 60, 10.0, 0.75))
LOCK_IN_MS: Final = 0.7
BASE_MB, WORKER_MB = 40, 25

Work = list[tuple[str, list[str]]]
"""Functions, each with the responses it is called on."""
Clock = Callable[[Work], float]


def read_work(path: Path, responses: int, functions: int) -> Work:
    """Return functions of distinct source from all over the file, each with the responses to its own prompt and the next."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    texts = [text for row in rows for text in row["completions"]]
    work: dict[str, list[str]] = {}
    at = 0
    for row in rows:
        for source in row["verifiers"]:
            work.setdefault(source, [texts[(at + offset) % len(texts)] for offset in range(responses)])
        at += len(row["completions"])
    return list(work.items())[:: len(work) // functions][:functions]


def keep_harmless(work: Work) -> Work:
    """Return the functions that end soon on every response: one that takes seconds would drown the others."""
    harmful = {Verdict.TIMEOUT, Verdict.MEMORY, Verdict.CRASH}

    def ends_well(outcomes: list[Outcome]) -> bool:
        return not any(outcome.verdict in harmful or outcome.seconds > SLOWEST_S for outcome in outcomes)

    outcomes = asyncio.run(run_all(work, Sandbox(Limits(timeout_s=1.0), backend="cpython")))[1]
    return [job for job, of_job in zip(work, outcomes, strict=True) if ends_well(of_job)]


async def run_all(work: Work, sandbox: Sandbox) -> tuple[float, list[list[Outcome]]]:
    """Return the seconds that the sandbox, already started, takes for the work, and what came of it."""
    async with sandbox:
        started = time.perf_counter()
        outcomes = await asyncio.gather(*(sandbox.run(source, texts) for source, texts in work))
        return time.perf_counter() - started, outcomes


def time_sandbox(work: Work) -> float:
    return asyncio.run(run_all(work, Sandbox(backend="cpython")))[0]


def time_released(work: Work) -> float:
    return time_unprotected("released", [work])


def time_bare(work: Work) -> float:
    return time_unprotected("bare", deal(work, PROCESSORS))


def time_processes(work: Work) -> float:
    """Return the seconds for all of the work, judged by a part of it."""
    part: Work = []
    for source, texts in work:
        if sum(len(of_function) for _, of_function in part) < FORKED_CALLS:
            part.append((source, texts[: FORKED_CALLS // 8]))
    share = count_calls(work) / count_calls(part)
    return share * time_unprotected("processes", deal(part, PROCESSORS))


def deal(work: Work, hands: int) -> list[Work]:
    return [work[hand::hands] for hand in range(hands)]


def count_calls(work: Work) -> int:
    return sum(len(texts) for _, texts in work)


def time_unprotected(way: str, hands: list[Work]) -> float:
    """Return the seconds from the common start until the last of the processes, one a hand, is through."""
    processes = [
        subprocess.Popen([sys.executable, __file__, f"--{way}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in hands
    ]
    for process, work in zip(processes, hands, strict=True):
        pickle.dump(work, pipe(process.stdin))
        pipe(process.stdin).flush()
    for process in processes:
        assert pipe(process.stdout).readline() == b"ready\n"
    started = time.perf_counter()
    for process in processes:
        pipe(process.stdin).close()
    for process in processes:
        assert pipe(process.stdout).readline() == b"done\n"
    seconds = time.perf_counter() - started
    for process in processes:
        pipe(process.stdout).close()
        process.wait()
    return seconds


def pipe(end: Any) -> Any:
    assert end is not None
    return end


def run_unprotected(way: Callable[[Work], None]) -> None:
    """Take work from standard input, give up all files, say that it is ready; begin when the input is closed."""
    work: Work = pickle.load(sys.stdin.buffer)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    landlock.restrict([folder for folder in sys.path if "python" in folder and Path(folder).is_dir()], [])
    answer = os.dup(1)
    os.write(answer, b"ready\n")
    sys.stdin.buffer.read()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        way(work)
    os.write(answer, b"done\n")


def run_released(work: Work) -> None:
    signal.signal(signal.SIGALRM, expire)
    for source, texts in work:
        for text in texts:
            names: dict[str, Callable[[str], object]] = {}
            signal.setitimer(signal.ITIMER_REAL, 2.0)
            try:
                exec(source, globals(), names)
                names["evaluate"](text)
            except Exception:  # noqa: BLE001 - as the released loop does
                pass
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)


def expire(number: int, frame: object) -> None:
    raise TimeoutError


def run_bare(work: Work) -> None:
    for source, texts in work:
        evaluate = load(source)
        for text in texts:
            with contextlib.suppress(Exception):
                evaluate(text)


def load(source: str) -> Callable[[str], object]:
    names: dict[str, Any] = {}
    try:
        exec(source, names)
        return names["evaluate"]  # type: ignore[no-any-return]
    except Exception:  # noqa: BLE001 - what does not load has no verdict here
        return bool


def run_processes(work: Work) -> None:
    for source, texts in work:
        for text in texts:
            reading, writing = os.pipe()
            pid = os.fork()
            if pid == 0:
                with contextlib.suppress(Exception):
                    os.write(writing, b"1" if load(source)(text) is True else b"0")
                os._exit(0)
            os.close(writing)
            os.read(reading, 1)
            os.close(reading)
            os.waitpid(pid, 0)


def time_lock_in() -> float:
    """Return milliseconds for a function that does nothing, one after the other in one worker."""
    work: Work = [(f"def evaluate(response):\n    return response == '{n}'", [""]) for n in range(LOCKED_FUNCTIONS)]
    return min(
        asyncio.run(run_all(work, Sandbox(workers=1, backend="cpython")))[0] / len(work) * 1000 for _ in range(ROUNDS)
    )


def time_plain_fork() -> float:
    """Return milliseconds for forking and reaping this process, with nothing done in between."""
    started = time.perf_counter()
    for _ in range(LOCKED_FUNCTIONS):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    return (time.perf_counter() - started) / LOCKED_FUNCTIONS * 1000


WATCHED: Final = """
import asyncio, sys
from autoif.sandbox import Sandbox
async def main():
    async with Sandbox(workers=int(sys.argv[1]), backend="cpython") as sandbox:
        source = "def evaluate(response):\\n    return response.isupper()"
        for n in range(0, 3000, 50):
            await asyncio.gather(*(sandbox.run(f"# {n + more}\\n{source}", ["text"] * 128) for more in range(50)))
asyncio.run(main())
"""


def watch_memory(workers: int) -> float:
    """Return the peak in MB (proportional set size) of a program that only verifies, and of all its workers."""
    process = subprocess.Popen([sys.executable, "-c", WATCHED, str(workers)])
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(measure_pss(pid) for pid in list_tree(process.pid)))
        time.sleep(0.02)
    return peak / 1000


def list_tree(root: int) -> set[int]:
    found, level = {root}, {root}
    while level:
        level = {int(name) for pid in level for name in children_of(pid)}
        found |= level
    return found


def children_of(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return [name for path in Path(f"/proc/{pid}/task").glob("*/children") for name in path.read_text().split()]
    return []


def measure_pss(pid: int) -> int:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return 0


def compare(size: Size, path: Path) -> Iterator[tuple[str, bool]]:
    """Print a line of the table; yield each target with whether it is reached."""
    work = keep_harmless(read_work(path, size.responses, size.functions))
    ways: dict[str, Clock] = {"released": time_released, "bare": time_bare, "sandbox": time_sandbox}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, clock in ways.items():
            seconds[way].append(clock(work))
    calls = count_calls(work)
    rates = {way: calls / statistics.median(of_way) for way, of_way in seconds.items()}
    rates["processes"] = calls / time_processes(work)
    of_released = median_ratio(seconds["released"], seconds["sandbox"])
    of_bare = median_ratio(seconds["bare"], seconds["sandbox"])
    shown = " | ".join(f"{rates[way]:,.0f}" for way in ("released", "processes", "bare", "sandbox"))
    print(f"| {size.responses:,} | {len(work)} | {shown} | {of_released:.2f} | {of_bare:.0%} |", flush=True)
    yield f"{size.responses:,} responses: {size.of_released:g} x released", of_released >= size.of_released
    if size.of_bare:
        yield f"{size.responses:,} responses: {size.of_bare:.0%} of bare", of_bare >= size.of_bare


def median_ratio(theirs: list[float], ours: list[float]) -> float:
    return statistics.median(their / our for their, our in zip(theirs, ours, strict=True))


def main() -> int:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    print(f"calls a second on {PROCESSORS} processors, median of {ROUNDS} rounds in turn\n")
    print("| responses a function | functions | released | processes | bare | sandbox | of released | of bare |")
    print("|---|---|---|---|---|---|---|---|")
    targets = [target for size in SIZES for target in compare(size, path)]
    lock_in, plain = time_lock_in(), time_plain_fork()
    print(
        f"\nlock-in (fork, lock, compile, reap): {lock_in:.2f} ms a function; a plain fork of this program: {plain:.2f}"
    )
    targets.append((f"lock-in under {LOCK_IN_MS} ms", lock_in < LOCK_IN_MS))
    for workers in (1, 2, 4):
        peak, allowed = watch_memory(workers), BASE_MB + WORKER_MB * workers
        print(f"memory of {workers} worker(s) and their program: {peak:.0f} MB at most (wanted: under {allowed})")
        targets.append((f"memory of {workers} workers", peak < allowed))
    for name, reached in targets:
        print(f"{'reached' if reached else 'MISSED '} {name}")
    return 0 if all(reached for _, reached in targets) else 1


UNPROTECTED: Final = {"--released": run_released, "--bare": run_bare, "--processes": run_processes}

if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in UNPROTECTED:
        run_unprotected(UNPROTECTED[sys.argv[1]])
    else:
        sys.exit(main())
