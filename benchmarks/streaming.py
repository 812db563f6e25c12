"""What a run takes as it grows: memory, time, and starting a finished one again; with de-duplication by itself.

A stub server in a process of its own answers at once, from what it is asked. A run goes from seeds to data sets: four
functions an instruction, sixteen prompts an instruction, eight responses a prompt. Each run is a process of its own,
whose peak memory the system tells; sandbox processes are not in it. Then it is started again. De-duplication is
measured from seeds, ten rewrites each. Times are the processor's: what else a machine does hardly changes them. Exits
with 1 if a figure misses what is wanted of it.

    python benchmarks/streaming.py [--prompts 1000 10000 100000] [--instructions 1000 10000 100000]
"""

import argparse
import asyncio
import math
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType
from typing import Any

import autoif
from autoif import pipeline
from autoif.config import load_config
from autoif.engines import local
from autoif.instructions.self_instruct import self_instruct
from autoif.models.requests import Completion, Request
from autoif.records import Instruction
from autoif.tools import Tools
from stub_server import answer_instruction, make_word, running_stub, write_instruction

PROMPTS_EACH = 16
MAX_MB = 600
MAX_GROWTH = 1.3
"""Of the peak memory, from the size before the last to the last."""
MAX_EXPONENT = 1.05
MAX_RESTART = 0.05
MAX_STOP_MS = 20.0
SETTINGS = {
    "self_instruct.rewrites_per_seed": 0,
    "verification.functions_per_instruction": 4,
    "back_translation.enabled": False,
    "augmentation.queries_per_instruction": PROMPTS_EACH,
    "rejection_sampling.responses_per_prompt": 8,
    "scoring.enabled": False,
}


@dataclass(frozen=True)
class Measurement:
    """One process: how long its run took, what it cost, and the most memory that it held."""

    seconds: float
    cpu_s: float
    """Of the process and its sandboxes: on a busy machine that says more than the clock."""
    peak_mb: float
    stop_ms: float = 0.0
    """The longest time for which one callback kept the event loop while shards were run, as the processor counts it."""
    calls: int = 0


def write_seeds(folder: Path, prompts: int) -> None:
    """Write the seeds of a run with so many prompts."""
    instructions = map(write_instruction, range(prompts // PROMPTS_EACH))
    (folder / "seeds.txt").write_text("".join(f"{text}\n" for text in instructions))


def run_on_stub(folder: Path, url: str, changed: Mapping[str, object] = MappingProxyType({}), **options: Any) -> None:
    """Run, or start again, what the folder's seeds ask for."""
    autoif.run(
        "paper",
        seeds=folder / "seeds.txt",
        output=folder / "run",
        base_url=url,
        model="stub",
        set={**SETTINGS, **changed},
        progress=False,
        **options,
    )


def make_run(folder: Path, url: str, pipe: Connection) -> None:
    """Run, or start again, what the folder's seeds ask for; send the measurement."""
    stops, under_way = [0.0], 0
    run_callback, run_shard = asyncio.Handle._run, pipeline.run_shard

    def time_callback(handle: asyncio.Handle) -> None:
        before, began = under_way, time.thread_time()
        run_callback(handle)
        if before or under_way:
            stops[0] = max(stops[0], (time.thread_time() - began) * 1e3)

    async def count_shard(*arguments: Any) -> Any:
        nonlocal under_way
        under_way += 1
        try:
            return await run_shard(*arguments)
        finally:
            under_way -= 1

    asyncio.Handle._run = time_callback  # type: ignore[assignment, method-assign]
    local.run_shard = count_shard  # type: ignore[attr-defined, assignment]
    started = time.perf_counter()
    run_on_stub(folder, url)
    pipe.send(_measure_process(time.perf_counter() - started, stops[0]))


def _measure_process(seconds: float, stop_ms: float = 0.0) -> Measurement:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu_s = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    return Measurement(seconds, cpu_s, own.ru_maxrss / 1024, stop_ms)


def fold(count: int, pipe: Connection) -> None:
    """Self-instruct so many instructions from a tenth as many seeds; send the measurement, in processor time."""

    class Writer:
        async def sample(self, request: Request) -> list[Completion]:
            lines = (write_instruction(request.seed + number) for number in range(9))
            return [Completion(text="\n".join(lines), finish_reason="stop", prompt_tokens=1, completion_tokens=1)]

    config = load_config("paper", ["self_instruct.rewrites_per_seed=9", "self_instruct.rewrites_per_call=9"])
    seeds = [Instruction.of(f'Use the word "{make_word(number)}" in a list.', "seed") for number in range(count // 10)]
    tools: Any = Tools(config, Writer(), None, None)  # type: ignore[arg-type]
    started, used = time.perf_counter(), time.process_time()
    kept, dropped = asyncio.run(self_instruct(seeds, tools))
    assert len(kept) + len(dropped) == count
    found = _measure_process(time.perf_counter() - started)
    pipe.send(replace(found, cpu_s=time.process_time() - used))


def measure(target: Any, *arguments: object) -> Measurement:
    """Return what a function measures of itself in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=target, args=(*arguments, there))
    process.start()
    there.close()
    try:
        found: Measurement = here.recv()
    finally:
        process.join()
    return found


def measure_runs(sizes: Sequence[int]) -> tuple[list[Measurement], list[Measurement]]:
    """Return the measurement of a run of each size, and of the same command once more."""
    found: tuple[list[Measurement], list[Measurement]] = ([], [])
    with running_stub(answer_instruction) as server:
        for size in sizes:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                write_seeds(folder, size)
                for several in found:
                    made = measure(make_run, folder, server.url)
                    several.append(replace(made, calls=server.count_new()))
                    print(f"  {size:,} prompts: {several[-1]}", flush=True)
                mb = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
                print(f"  {size:,} prompts: {mb:,.0f} MB on disk", flush=True)
                shutil.rmtree(folder / "run")
    return found


def fit_exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Return the slope of the logarithm of time over that of size, by least squares."""
    xs, ys = [math.log(size) for size in sizes], [math.log(each) for each in seconds]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--instructions", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    options = parser.parse_args()
    found: list[tuple[str, float, float]] = []
    if options.instructions:
        folds = [measure(fold, count) for count in options.instructions]
        for count, each in zip(options.instructions, folds, strict=True):
            print(f"{count:>9,} instructions  {each.cpu_s:9.2f} s of CPU {each.peak_mb:9.0f} MB", flush=True)
        exponent = fit_exponent(options.instructions, [each.cpu_s for each in folds])
        found.append(("exponent of time, self-instruct and de-duplication", exponent, MAX_EXPONENT))
    if options.prompts:
        runs, again = measure_runs(options.prompts)
        for size, first, second in zip(options.prompts, runs, again, strict=True):
            print(
                f"{size:>9,} prompts  {first.cpu_s:9.1f} s of CPU {first.peak_mb:9.0f} MB {first.calls:9,} calls; "
                f"again {second.cpu_s:7.1f} s {second.peak_mb:7.0f} MB {second.calls:,} calls"
            )
        found.append(("calls of a finished run", float(again[-1].calls), 0))
        found.append(("longest stop of the event loop, ms", max(each.stop_ms for each in runs), MAX_STOP_MS))
        found.append(("peak memory, MB", max(runs[-1].peak_mb, again[-1].peak_mb), MAX_MB))
        found.append(("time of a finished run, share", again[-1].cpu_s / runs[-1].cpu_s, MAX_RESTART))
        if len(runs) > 1:
            found.append(("peak memory, last size by the one before", runs[-1].peak_mb / runs[-2].peak_mb, MAX_GROWTH))
            exponent = fit_exponent(options.prompts, [each.cpu_s for each in runs])
            found.append(("exponent of time, whole run", exponent, MAX_EXPONENT))
    print(f"{'':52}{'found':>9}{'wanted':>9}")
    for name, value, most in found:
        print(f"{name:52}{value:9.3g}{most:9.3g}  {'met' if value <= most else 'MISSED'}")
    return int(any(value > most for _, value, most in found))


if __name__ == "__main__":
    sys.exit(main())
