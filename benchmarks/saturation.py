"""How near a whole run comes to what the model's server allows, beside bare aiohttp that asks as much; CPU of each.

A stub server in a process of its own takes 200 ms for an answer, one choice each, and 256 requests at a time: the
ideal time for N calls is N / 256 * 200 ms. Both ask for a quarter more at a time, so that the next request is there
when an answer leaves; `--at-once 256` shows what that is worth. The run goes from seeds to data sets in the paper's
shape: for each instruction four functions, sixteen prompts of eight responses each, and every function judges every
response. The two take turns, so that a noisy machine is unfair to neither. `share_of_ideal` is the run's; on a busy
machine look at `share_of_bare` and at CPU time: that of the run's process, of its sandbox, and of the client alone as
`benchmarks/client.py` has it.

    python benchmarks/saturation.py [--calls 20000] [--rounds 2] [--at-once 320] [--json]
"""

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

import autoif
from client import LATENCY_S, SLOTS, measure_client
from stub_server import answer_once, running_stub, write_instruction

CALLS_EACH = 4 + 16 * 8
"""Of an instruction: functions and responses."""
WANTED_SHARE = 0.95
WANTED_CLIENT_MS = 0.3
SETTINGS = {
    "self_instruct.rewrites_per_seed": 0,
    "verification.functions_per_instruction": 4,
    "back_translation.enabled": False,
    "augmentation.queries_per_instruction": 16,
    "rejection_sampling.responses_per_prompt": 8,
    "scoring.enabled": False,
    "execution.workers": 16,
    "execution.shard_size": 16,
}


def measure_bare(url: str, instructions: int, at_once: int) -> dict[str, float]:
    """Post as many bodies as the run does, `at_once` of them at a time, and read the answers."""

    async def ask_all() -> None:
        bodies = iter(
            json.dumps({"messages": [{"content": f"{write_instruction(number)} Query."}], "seed": each}).encode()
            for number in range(instructions)
            for each in range(CALLS_EACH)
        )

        async def work() -> None:
            for body in bodies:
                async with session.post(f"{url}/chat/completions", data=body) as response:
                    json.loads(await response.read())

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(work() for _ in range(at_once)))

    return _time(lambda: asyncio.run(ask_all()))


def measure_run(url: str, instructions: int, at_once: int) -> dict[str, float]:
    """Make a run of so many instructions, with `at_once` requests at a time."""
    with tempfile.TemporaryDirectory() as name:
        seeds = Path(name) / "seeds.txt"
        seeds.write_text("".join(f"{write_instruction(number)}\n" for number in range(instructions)))
        run, settings = Path(name) / "run", SETTINGS | {"models.all.concurrency": at_once}
        return _time(
            lambda: autoif.run(
                "paper", seeds=seeds, output=run, base_url=url, model="stub", set=settings, progress=False
            )
        )


def _time(work: Any) -> dict[str, float]:
    began, used, of_children = time.perf_counter(), time.process_time(), _children_s()
    work()
    return {
        "seconds": time.perf_counter() - began,
        "cpu_s": time.process_time() - used,
        "sandbox_cpu_s": _children_s() - of_children,
    }


def _children_s() -> float:
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def measure(calls: int, rounds: int, at_once: int) -> dict[str, float]:
    """Return what was found, the better of the rounds of each way."""
    instructions = max(1, round(calls / CALLS_EACH))
    with running_stub(answer_once, latency_s=LATENCY_S, slots=SLOTS) as server:
        measure_run(server.url, 8, at_once)
        bare, ours = [], []
        for _ in range(rounds):
            server.count_new()
            bare.append(measure_bare(server.url, instructions, at_once))
            asked = server.count_new()
            ours.append(measure_run(server.url, instructions, at_once))
            assert server.count_new() - asked < SLOTS  # the first ask for several choices, and get one
        client = asyncio.run(measure_client(server.url, calls))
    best = [min(each, key=lambda one: one["seconds"]) for each in (bare, ours)]
    ideal_s = asked / SLOTS * LATENCY_S
    return {
        "calls": asked,
        "ideal_s": ideal_s,
        "share_of_ideal": ideal_s / best[1]["seconds"],
        "share_of_ideal_bare": ideal_s / best[0]["seconds"],
        "share_of_bare": best[0]["seconds"] / best[1]["seconds"],
        "cpu_ms_a_call": best[1]["cpu_s"] / asked * 1e3,
        "cpu_ms_a_call_bare": best[0]["cpu_s"] / asked * 1e3,
        "cpu_ms_a_call_client": client.cpu_ms(calls),
        "cpu_ms_a_call_sandbox": best[1]["sandbox_cpu_s"] / asked * 1e3,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--at-once", type=int, default=SLOTS * 5 // 4, help="requests of the client (default: 320)")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON alone")
    options = parser.parse_args()
    found = measure(options.calls, options.rounds, options.at_once)
    wanted = {
        "share_of_ideal": (WANTED_SHARE, found["share_of_ideal"] >= WANTED_SHARE),
        "cpu_ms_a_call_client": (WANTED_CLIENT_MS, found["cpu_ms_a_call_client"] <= WANTED_CLIENT_MS),
    }
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        for name, value in found.items():
            told = f"wanted {wanted[name][0]:g}: {'met' if wanted[name][1] else 'MISSED'}" if name in wanted else ""
            print(f"{name:24}{value:12,.3f}  {told}")
    return int(not all(met for _, met in wanted.values()))


if __name__ == "__main__":
    sys.exit(main())
