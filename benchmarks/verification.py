"""What isolation costs: calls a second in the sandbox beside five ways without it, in turn, in one run; and what the
pipeline's stage gains by giving a function the responses to all prompts of an instruction at once.

The functions are those that an 8B model wrote, the responses its own (`autoif_llama3_jwrobins94`). Each way runs the
same calls on all processors:

    every       the shape of the released cross-validation: `exec` of the source for every call, SIGALRM around it
    once        the shape of the released stage that sees responses: `exec` once a function, SIGALRM around every call
    processes   a small process forked for every call, on every processor
    bare        compiled once, called in a loop, on every processor: no Python program can be faster
    forked      the same in a small process forked for every function: no sandbox of this kind can be faster
    sandbox     `Sandbox()` with its defaults, all layers on

So that the ways without protection do no harm here, they run only what the sandbox has seen end well, in processes that
have given up all files (`unprotected.py`). Exits with 1 if a target is missed.

    python benchmarks/verification.py [COMPLETIONS.jsonl.gz]
"""

import asyncio
import contextlib
import gzip
import json
import marshal
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import accumulate, groupby
from pathlib import Path
from typing import Final, NamedTuple

from autoif.config import load_config
from autoif.queries.rejection_sampling import verify_responses
from autoif.records import (
    Function,
    Instruction,
    Matrix,
    Prompt,
    Query,
    Response,
    Verdict,
    VerifiedInstruction,
    content_id,
)  # fmt: skip
from autoif.sandbox import Limits, Outcome, Sandbox
from autoif.tools import NoModel, Tools
from recordings import find_recordings

ROUNDS: Final = 5
SLOW_S: Final = 0.0005
"""A single slow function would be most of what is measured (one of 250 took 39 % of the time): those whose median call
is slower are left out, which is to our disadvantage, as what isolation costs weighs more on the quick ones."""
UNPROTECTED: Final = Path(__file__).with_name("unprotected.py")
WAYS: Final = ("every", "once", "processes", "bare", "forked", "sandbox")
PROCESSORS: Final = len(os.sched_getaffinity(0))
FORKED_CALLS: Final = 600
LOCKED_FUNCTIONS: Final = 1000


class Size(NamedTuple):
    """One line of the table, and what is wanted of it."""

    responses: int
    functions: int
    of_once: float | None
    of_bare: float | None


SIZES: Final = (Size(8, 1000, None, None), Size(128, 1000, 1.0, 0.55), Size(2048, 60, None, 0.75))
INSTRUCTIONS: Final = 60
"""How many the pipeline's stage verifies the responses of: 16 prompts each, 8 responses a prompt (§3.3)."""
PROMPTS: Final = 16
STAGE_GAIN: Final = 5.0
LOCK_IN_MS: Final = 0.7
AT_ONCE: Final = 256
"""How many functions wait for the sandbox at the same time, as in `run_many`."""
WAITS: Final = "import time\ndef evaluate(response): return time.sleep(0.2) is None\n"
"""One call for each worker at the same time has them all started."""
BASE_MB, WORKER_MB = 40, 25

Work = list[tuple[str, list[str]]]
"""Functions, each with the responses it is called on: one list for all functions of an instruction, as in a run."""
Clock = Callable[[Work], float]


def read_work(path: Path, responses: int, functions: int) -> Work:
    """Return about so many functions of distinct source, those of instructions from all over the file.

    Those of an instruction have the same responses: the ones to its prompt and to the next prompts in the file.
    """
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    texts = [text for row in rows for text in row["completions"]]
    starts = accumulate((len(row["completions"]) for row in rows), initial=0)
    of_each = sum(len(row["verifiers"]) for row in rows) / len(rows)
    work: dict[str, list[str]] = {}
    for row, start in list(zip(rows, starts, strict=False))[:: max(1, int(of_each * len(rows) / functions))]:
        given = [texts[(start + offset) % len(texts)] for offset in range(responses)]
        for source in row["verifiers"]:
            work.setdefault(source, given)
    return list(work.items())[:functions]


def keep_harmless(work: Work) -> Work:
    """Return the functions that end well on every response, and soon."""
    harmful = {Verdict.TIMEOUT, Verdict.MEMORY, Verdict.CRASH}

    def ends_well(outcomes: list[Outcome]) -> bool:
        if any(outcome.verdict in harmful for outcome in outcomes):
            return False
        return statistics.median(outcome.seconds for outcome in outcomes) <= SLOW_S

    outcomes = asyncio.run(run_all(work, Sandbox(Limits(timeout_s=1.0), backend="cpython")))
    return [job for job, of_job in zip(work, outcomes, strict=True) if ends_well(of_job)]


async def run_all(work: Work, sandbox: Sandbox) -> list[list[Outcome]]:
    async with sandbox:
        return await asyncio.gather(*(sandbox.run(source, texts) for source, texts in work))


def time_sandbox(work: Work, workers: int | None = None) -> float:
    return asyncio.run(judge_all(work, Sandbox(backend="cpython", workers=workers)))


async def judge_all(work: Work, sandbox: Sandbox) -> float:
    """Return the seconds that the sandbox, with all its workers started, takes for the verdicts."""

    rest = iter(work)

    async def judge_the_rest() -> list[list[Verdict]]:
        return [[outcome.verdict for outcome in await sandbox.run(source, texts)] for source, texts in rest]

    async with sandbox:
        await asyncio.gather(*(sandbox.run(f"{WAITS}# {worker}", [""]) for worker in range(PROCESSORS)))
        started = time.perf_counter()
        await asyncio.gather(*(judge_the_rest() for _ in range(AT_ONCE)))
        return time.perf_counter() - started


def time_processes(work: Work) -> float:
    """Return the seconds for all of the work, judged by a part of it."""
    part = [(source, texts[:8]) for source, texts in work[: FORKED_CALLS // 8]]  # one by one: their texts are copies
    return count_calls(work) / count_calls(part) * time_unprotected("processes", part)


def group_by_texts(work: Work) -> list[tuple[list[str], list[str]]]:
    """Return (sources, texts): those that have the same."""
    return [([source for source, _ in jobs], jobs[0][1]) for _, each in groupby(work, lambda job: id(job[1]))
            for jobs in [list(each)]]  # fmt: skip


def count_calls(work: Work) -> int:
    return sum(len(texts) for _, texts in work)


def time_unprotected(way: str, work: Work, processors: int = PROCESSORS) -> float:
    """Return the seconds from the common start until the last of the processes, one a processor, is through."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        processes = []
        for hand in range(processors):
            jobs = Path(folder, str(hand))
            jobs.write_bytes(b"".join(map(marshal.dumps, group_by_texts(work)[hand::processors])))
            command = [sys.executable, "-S", "-s", "-P", "-B", str(UNPROTECTED), way, str(jobs)]
            started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            processes.append(stack.enter_context(started))
        wait_for(processes, b"ready\n")
        began = time.perf_counter()
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        wait_for(processes, b"done\n")
        return time.perf_counter() - began


def wait_for(processes: list["subprocess.Popen[bytes]"], word: bytes) -> None:
    for process in processes:
        assert process.stdout is not None
        if process.stdout.readline() != word:
            raise RuntimeError(f"{process.args!r} failed")


def time_lock_in() -> tuple[float, float]:
    """Return milliseconds for a function that does nothing, on one processor: in the sandbox, and in a bare fork."""
    text = [""]
    work: Work = [(f"def evaluate(response):\n    return response == '{n}'", text) for n in range(LOCKED_FUNCTIONS)]
    locked, plain = [], []
    for _ in range(ROUNDS):
        locked.append(time_sandbox(work, workers=1))
        plain.append(time_unprotected("forked", work, 1))
    return min(locked) / len(work) * 1000, min(plain) / len(work) * 1000


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


class Target(NamedTuple):
    """One line of the second table."""

    name: str
    measured: str
    wanted: str
    reached: bool


def compare(size: Size, path: Path) -> Iterator[Target]:
    """Print a line of the first table; yield what is wanted of it."""
    work = keep_harmless(read_work(path, size.responses, size.functions))
    ways: dict[str, Clock] = {
        "every": lambda work: time_unprotected("every", work),
        "once": lambda work: time_unprotected("once", work),
        "bare": lambda work: time_unprotected("bare", work),
        "forked": lambda work: time_unprotected("forked", work),
        "sandbox": time_sandbox,
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, clock in ways.items():
            seconds[way].append(clock(work))
    calls = count_calls(work)
    rates = {way: calls / statistics.median(of_way) for way, of_way in seconds.items()}
    rates["processes"] = calls / time_processes(work)
    ratio = {way: median_ratio(seconds[way], seconds["sandbox"]) for way in ways}
    shown = " | ".join(f"{rates[way]:,.0f}" for way in WAYS)
    print(
        f"| {size.responses:,} | {len(work)} | {shown} | "
        f"{ratio['every']:.2f} | {ratio['once']:.2f} | {ratio['bare']:.0%} | {ratio['forked']:.0%} |",
        flush=True,
    )
    name = f"{size.responses:,} responses: of *"
    if size.of_once:
        yield Target(f"{name}once*", f"{ratio['once']:.2f}", f"{size.of_once:g}", ratio["once"] >= size.of_once)
    if size.of_bare:
        yield Target(f"{name}bare*", f"{ratio['bare']:.0%}", f"{size.of_bare:.0%}", ratio["bare"] >= size.of_bare)


def compare_stage(path: Path) -> Target:
    """Compare verdicts a second of the pipeline's stage, a call for each prompt and a call for each instruction."""
    instructions = read_instructions(path)
    seconds: dict[int, list[float]] = {1: [], PROMPTS: []}
    verdicts: dict[int, list[tuple[Verdict, ...]]] = {}
    for _ in range(ROUNDS):
        for together, of_size in seconds.items():
            taken, verdicts[together] = asyncio.run(verify_all(instructions, together))
            of_size.append(taken)
    count = sum(len(row) for row in verdicts[PROMPTS])
    gain = median_ratio(seconds[1], seconds[PROMPTS])
    rates = [count / statistics.median(of_size) for of_size in seconds.values()]
    return Target(
        f"the pipeline's stage, a call an instruction ({PROMPTS} prompts of 8 responses) against a call a prompt; "
        f"{count_differences(verdicts):,} of {count:,} verdicts differ",
        f"{rates[1]:,.0f} verdicts a second against {rates[0]:,.0f}: {gain:.1f} times",
        f"{STAGE_GAIN:g} times",
        gain >= STAGE_GAIN,
    )


def count_differences(verdicts: dict[int, list[tuple[Verdict, ...]]]) -> int:
    rows = zip(verdicts[1], verdicts[PROMPTS], strict=True)
    return sum(one != other for alone, together in rows for one, other in zip(alone, together, strict=True))


def read_instructions(path: Path) -> list[list[list[Response]]]:
    """Return the unverified responses to the prompts of recorded instructions."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    found = []
    for at in range(0, len(rows) - PROMPTS, len(rows) // INSTRUCTIONS):
        row = rows[at]
        instruction = Instruction.of(row["instruction"], "seed")
        functions = tuple(Function.of(source) for source in row["verifiers"])
        asked = VerifiedInstruction(
            id=content_id("verified", at), instruction=instruction, matrix=Matrix(functions=functions, cases=()),
            kept_functions=tuple(range(len(functions))), kept_cases=(),
        )  # fmt: skip
        prompts = [
            Prompt(
                id=content_id("prompt", at, other["query"]), constraints=(asked,), query=Query.of(other["query"]),
                text=other["query"],
            )
            for other in rows[at : at + PROMPTS]
        ]  # fmt: skip
        found.append(
            [
                [
                    Response(id=content_id("response", prompt.id, index), prompt=prompt, index=index, text=text)
                    for index, text in enumerate(other["completions"][:8])
                ]
                for prompt, other in zip(prompts, rows[at : at + PROMPTS], strict=True)
            ]
        )
    return found[:INSTRUCTIONS]


async def verify_all(
    instructions: list[list[list[Response]]], together: int
) -> tuple[float, list[tuple[Verdict, ...]]]:
    """Return the seconds that the stage takes for all, `together` prompts at a time, and the verdicts."""
    async with Sandbox(backend="cpython") as sandbox:
        tools = Tools(config=load_config("paper"), chat=NoModel(), nli=NoModel(), sandbox=sandbox)
        started = time.perf_counter()
        verified = await asyncio.gather(
            *(
                verify_responses([each for prompt in prompts[at : at + together] for each in prompt], tools)
                for prompts in instructions
                for at in range(0, len(prompts), together)
            )
        )
        return time.perf_counter() - started, [each.verdicts for part in verified for each in part]


def median_ratio(theirs: list[float], ours: list[float]) -> float:
    return statistics.median(their / our for their, our in zip(theirs, ours, strict=True))


def main() -> int:
    path = find_recordings("verifiers/autoif_llama3_jwrobins94/completions.jsonl.gz")
    print(f"calls a second on {PROCESSORS} processors, median of {ROUNDS} rounds in turn\n")
    print(f"| responses | functions | {' | '.join(WAYS)} | / every | / once | / bare | / forked |")
    print("|" + "---|" * (len(WAYS) + 6))
    targets = [target for size in SIZES for target in compare(size, path)]
    targets += [compare_lock_in(), *map(compare_memory, (1, 2, 4)), compare_stage(path)]
    print("\n| | measured | wanted |\n|---|---|---|")
    for name, measured, wanted, reached in targets:
        print(f"| {name} | {measured} | {wanted}{'' if reached else ', missed'} |")
    return 0 if all(target.reached for target in targets) else 1


def compare_lock_in() -> Target:
    lock_in, plain = time_lock_in()
    name = "fork, lock, compile, reap a function, pipeline's part included"
    measured = f"{lock_in:.2f} ms (a bare fork server: {plain:.2f} ms)"
    return Target(name, measured, f"{LOCK_IN_MS} ms", lock_in < LOCK_IN_MS)


def compare_memory(workers: int) -> Target:
    peak, allowed = watch_memory(workers), BASE_MB + WORKER_MB * workers
    name = f"memory (PSS) of {workers} worker{'s' if workers > 1 else ''} and a program that only verifies"
    return Target(name, f"{peak:.0f} MB", f"{allowed} MB", peak < allowed)


if __name__ == "__main__":
    sys.exit(main())
