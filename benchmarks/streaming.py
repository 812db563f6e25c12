"""What a run takes as it grows: memory, time, and starting a finished one again; with de-duplication by itself.

A stub server in a process of its own answers at once, from what it is asked. A run goes from seeds to data sets: four
functions an instruction, sixteen prompts an instruction, eight responses a prompt. Each run is a process of its own,
whose peak memory the system tells; sandbox processes are not in it. Then it is started again. De-duplication is
measured from seeds, ten rewrites each. Exits with 1 if a figure misses what is wanted of it.

    python benchmarks/streaming.py [--prompts 1000 10000 100000] [--instructions 1000 10000 100000]
"""

import argparse
import asyncio
import json
import math
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import autoif
from autoif.config import load_config
from autoif.instructions.self_instruct import self_instruct
from autoif.models.requests import Completion, Request
from autoif.records import Instruction
from autoif.tools import Tools

PROMPTS_EACH = 16
MAX_MB = 600
MAX_GROWTH = 1.3
"""Of the peak memory, from the size before the last to the last."""
MAX_EXPONENT = 1.05
MAX_RESTART = 0.05
SETTINGS = {
    "self_instruct.rewrites_per_seed": 0,
    "verification.functions_per_instruction": 4,
    "back_translation.enabled": False,
    "augmentation.queries_per_instruction": PROMPTS_EACH,
    "rejection_sampling.responses_per_prompt": 8,
    "scoring.enabled": False,
}
_FUNCTIONS = (
    "def evaluate(response):\n    return {word!r} in response\n",
    "def evaluate(response):\n    return response.count({word!r}) >= 1\n",
    "import re\ndef evaluate(response):\n    return re.search({word!r}, response) is not None\n",
    "def evaluate(response):\n    return any({word!r} in part for part in response.split())\n",
)
_FILLER = "The answer takes a few sentences, as most do, and says what it has to say without any haste. " * 5


def answer(body: dict[str, Any]) -> list[str]:
    """Return the stub's choices: functions for a word, or responses of which half have it."""
    asked = body["messages"][-1]["content"]
    word = asked.rpartition('the word "')[2].partition('"')[0]
    if "evaluate(response)" in asked:
        cases = [{"input": f"We met {word} there.", "output": True}, {"input": "We met nobody.", "output": False}]
        return [json.dumps({"func": each.format(word=word), "cases": cases}) for each in _FUNCTIONS]
    said = asked[:40]
    return [f"{said} {number} {word if number % 2 else ''} {_FILLER}" for number in range(body.get("n", 1))]


class Stub(asyncio.Protocol):
    """Answers HTTP requests at once; counts them."""

    asked = 0

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or len(rest) + 1)
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        Stub.asked += 1
        choices = [
            {"index": index, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            for index, text in enumerate(answer(json.loads(rest[:length])))
        ]
        usage = {"prompt_tokens": 100, "completion_tokens": 100 * len(choices)}
        content = json.dumps({"choices": choices, "usage": usage}).encode()
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (len(content), content)
        )


def serve(pipe: Connection) -> None:
    """Run the stub server: send its port, then the number of requests whenever something comes."""

    async def forever() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Stub, "127.0.0.1", 0, backlog=1024)
        loop.add_reader(pipe.fileno(), lambda: pipe.send((pipe.recv(), Stub.asked)[1]))
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(forever())


@dataclass(frozen=True)
class Measurement:
    """One process: how long its run took, and the most memory that it held."""

    seconds: float
    peak_mb: float
    stop_ms: float = 0.0
    """The longest time for which one callback kept the event loop, as the processor counts it."""
    calls: int = 0


def make_run(folder: Path, url: str, pipe: Connection) -> None:
    """Run, or start again, what the folder's seeds ask for; send the measurement."""
    stops: list[float] = [0.0]
    run_callback = asyncio.Handle._run

    def time_callback(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        run_callback(handle)
        stops[0] = max(stops[0], (time.thread_time() - began) * 1e3)

    asyncio.Handle._run = time_callback  # type: ignore[assignment, method-assign]
    started = time.perf_counter()
    autoif.run(
        "paper",
        seeds=folder / "seeds.txt",
        output=folder / "run",
        base_url=url,
        model="stub",
        set=SETTINGS,
        progress=False,
    )
    seconds = time.perf_counter() - started
    pipe.send(Measurement(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, stops[0]))


def fold(count: int, pipe: Connection) -> None:
    """Self-instruct so many instructions from a tenth as many seeds; send the measurement, in processor time."""

    class Writer:
        async def sample(self, request: Request) -> list[Completion]:
            lines = (f'Use the word "{_word(request.seed + number)}" in your reply.' for number in range(9))
            return [Completion(text="\n".join(lines), finish_reason="stop", prompt_tokens=1, completion_tokens=1)]

    config = load_config("paper", ["self_instruct.rewrites_per_seed=9", "self_instruct.rewrites_per_call=9"])
    seeds = [Instruction.of(f'Use the word "{_word(number)}" in a list.', "seed") for number in range(count // 10)]
    tools: Any = Tools(config, Writer(), None, None)  # type: ignore[arg-type]
    started = time.process_time()
    kept, dropped = asyncio.run(self_instruct(seeds, tools))
    assert len(kept) + len(dropped) == count
    pipe.send(Measurement(time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def _word(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in f"{number * 7919 % 10**9:09}")


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
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=serve, args=(there,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{here.recv()}/v1"
    found: tuple[list[Measurement], list[Measurement]] = ([], [])
    asked = 0
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            words = map(_word, range(size // PROMPTS_EACH))
            (folder / "seeds.txt").write_text("".join(f'Use the word "{word}" in your reply.\n' for word in words))
            for several in found:
                made = measure(make_run, folder, url)
                here.send(0)
                before, asked = asked, here.recv()
                several.append(replace(made, calls=asked - before))
                print(f"  {size:,} prompts: {several[-1]}", flush=True)
            mb = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
            print(f"  {size:,} prompts: {mb:,.0f} MB on disk", flush=True)
            shutil.rmtree(folder / "run")
    server.terminate()
    server.join()
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
            print(f"{count:>9,} instructions  {each.seconds:9.2f} s {each.peak_mb:9.0f} MB", flush=True)
        exponent = fit_exponent(options.instructions, [each.seconds for each in folds])
        found.append(("exponent of time, self-instruct and de-duplication", exponent, MAX_EXPONENT))
    if options.prompts:
        runs, again = measure_runs(options.prompts)
        for size, first, second in zip(options.prompts, runs, again, strict=True):
            print(
                f"{size:>9,} prompts  {first.seconds:9.1f} s {first.peak_mb:9.0f} MB {first.calls:9,} calls; "
                f"again {second.seconds:7.1f} s {second.peak_mb:7.0f} MB {second.calls:,} calls"
            )
        found.append(("calls of a finished run", float(again[-1].calls), 0))
        found.append(("peak memory, MB", max(runs[-1].peak_mb, again[-1].peak_mb), MAX_MB))
        found.append(("time of a finished run, share", again[-1].seconds / runs[-1].seconds, MAX_RESTART))
        if len(runs) > 1:
            found.append(("peak memory, last size by the one before", runs[-1].peak_mb / runs[-2].peak_mb, MAX_GROWTH))
            exponent = fit_exponent(options.prompts, [each.seconds for each in runs])
            found.append(("exponent of time, whole run", exponent, MAX_EXPONENT))
    print(f"{'':52}{'found':>9}{'wanted':>9}")
    for name, value, most in found:
        print(f"{name:52}{value:9.3g}{most:9.3g}  {'met' if value <= most else 'MISSED'}")
    return int(any(value > most for _, value, most in found))


if __name__ == "__main__":
    sys.exit(main())
