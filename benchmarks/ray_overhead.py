"""What Ray costs on one machine: the same run by both engines, in turn, against a stub server with a fixed latency.

Each run is a process of its own. What is compared is the time from its first request to its last answer, and, with
what it takes to start and to end, the time of the whole command. The data must be the same. Exits with 1 if Ray takes
more than 1.25 times as long as local, start and end left aside.

    python benchmarks/ray_overhead.py [--prompts 3200] [--latency 0.1] [--rounds 3]
"""

import argparse
import hashlib
import multiprocessing
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from streaming import run_on_stub, write_seeds
from stub_server import StubServer, answer_instruction, running_stub

MAX_RATIO = 1.25
WORKERS = 2
DATA = ("instructions.jsonl", "queries.jsonl", "sft.jsonl", "preferences.jsonl", "rewards.jsonl")


@dataclass(frozen=True)
class Measurement:
    """Seconds of one run: until its first request, from there to its last answer, and after that."""

    start: float
    work: float
    end: float

    @property
    def whole(self) -> float:
        return self.start + self.work + self.end


def make_run(engine: str, folder: Path, url: str) -> None:
    run_on_stub(folder, url, {"execution.shard_size": 8}, engine=engine, workers=WORKERS)


def measure(engine: str, prompts: int, server: StubServer) -> tuple[Measurement, str]:
    """Return what a run took, and the digest of its data."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_seeds(folder, prompts)
        process = multiprocessing.get_context("spawn").Process(target=make_run, args=(engine, folder, server.url))
        began = time.time()
        process.start()
        process.join()
        ended = time.time()
        first, last = server.read_times()
        digest = hashlib.sha256(b"".join((folder / "run" / each).read_bytes() for each in DATA)).hexdigest()
    return Measurement(first - began, last - first, ended - last), digest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=3200)
    parser.add_argument("--latency", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    ratios, whole, digests = [], [], set[str]()
    with running_stub(answer_instruction, latency_s=options.latency) as server:
        for number in range(options.rounds):
            order = ("local", "ray") if number % 2 == 0 else ("ray", "local")
            found = {engine: measure(engine, options.prompts, server) for engine in order}
            for engine, (each, digest) in found.items():
                print(
                    f"{engine:6} start {each.start:6.2f} s  work {each.work:7.2f} s  end {each.end:6.2f} s", flush=True
                )
                digests.add(digest)
            ratios.append(found["ray"][0].work / found["local"][0].work)
            whole.append(found["ray"][0].whole / found["local"][0].whole)
    ratio = statistics.median(ratios)
    print(f"ray by local, {options.prompts:,} prompts, median of {options.rounds}")
    print(f"  from first request to last answer {ratio:5.2f}  wanted {MAX_RATIO}  {_judge(ratio <= MAX_RATIO)}")
    print(f"  the whole command                 {statistics.median(whole):5.2f}")
    print(f"  the same data                           {_judge(len(digests) == 1)}")
    return int(ratio > MAX_RATIO or len(digests) > 1)


def _judge(met: bool) -> str:
    return "met" if met else "MISSED"


if __name__ == "__main__":
    sys.exit(main())
