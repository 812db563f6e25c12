"""What the completions file takes at a million answers and more: time to insert, hit and miss, size, time to open.

Texts are made from recorded answers of a real model: each is some sentences of one answer to a question, drawn anew, so
that they are as alike as the answers of a run, and none is stored twice. With --texts they are the ones of a file
({"text": …} a line), over and over, each with its number. Every insertion is a transaction of its own, the worst of a
run. What a call takes is judged by the processor's time; by the clock it is what the machine's other work leaves.

Each tenth says what its insertions took, so one run shows how times grow. Ten million entries take 3 GB and, one in a
transaction, about 20 minutes of a quiet processor; --minutes ends a run in time with what there is by then.

    python benchmarks/completions.py [--entries 1000000] [--at-once 1] [--minutes 60] [--texts FILE] [--json FILE]
"""

import argparse
import hashlib
import json
import lzma
import random
import re
import shutil
import statistics
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from autoif.models.cache import CompletionCache, CompletionRow

RECORDING = Path(__file__).parent / "data" / "small_world_by_cases" / "answers.jsonl.xz"
WANTED_US = 100.0
WANTED_SHARE = 0.4
_PROBES = 20_000
_SAMPLED = 1_000_000
"""Insertions whose time is kept."""
_BYTES = 300
"""Of disk that an entry takes here, with room to spare."""
_STAGE = "rejection_sampling"


def read_sentences() -> list[str]:
    """Return the sentences of the recorded responses."""
    with lzma.open(RECORDING, "rt") as file:
        rows = [json.loads(line) for line in list(file)[1:]]
    texts = [row[2] for row in rows if row[7] in {"rejection_sampling", "contrast"}]
    return sorted({each for text in texts for each in re.split(r"(?<=[.!?])\s+", text) if len(each) > 20})


def make_texts(path: Path | None, entries: int) -> Iterator[str]:
    """Yield so many different texts, of about a kilobyte where they are made here."""
    drawn = random.Random(0)
    if path:
        with path.open(encoding="utf-8") as file:
            given = [json.loads(line)["text"] for line in file]
        drawn.shuffle(given)
        yield from (f"{given[number % len(given)]} {number}" for number in range(entries))
        return
    sentences = read_sentences()
    for number in range(entries):
        yield " ".join(drawn.choices(sentences, k=drawn.randint(3, 25))) + f" {number}"


def key_of(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


def time_calls(call: Callable[[int], object], numbers: list[int]) -> tuple[float, float]:
    """Return the microseconds of a call, by the clock and by the processor."""
    start, used = time.perf_counter(), time.thread_time()
    for number in numbers:
        call(number)
    took = (time.perf_counter() - start, time.thread_time() - used)
    return took[0] / len(numbers) * 1e6, took[1] / len(numbers) * 1e6


@dataclass
class Inserted:
    """What insertions took: sums, and one time in so many, as ten million would need half a gigabyte."""

    each: int
    count: int = 0
    raw_bytes: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    slowest_s: float = 0.0
    sampled: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, cache: CompletionCache, rows: list[CompletionRow]) -> None:
        """Insert rows in one transaction."""
        start, used = time.perf_counter(), time.thread_time()
        cache.insert(rows)
        took = time.perf_counter() - start
        self.cpu_s += time.thread_time() - used
        self.seconds += took
        self.slowest_s = max(self.slowest_s, took / len(rows))
        if self.count // self.each != (self.count + len(rows)) // self.each:
            self.sampled.append(took / len(rows))
        self.count += len(rows)
        self.raw_bytes += sum(len(row.text.encode()) for row in rows)


def measure_reads(cache: CompletionCache, entries: int) -> dict[str, float]:
    drawn = random.Random(1)
    hits = time_calls(lambda number: cache.get(key_of(number), 1)[0], drawn.choices(range(entries), k=_PROBES))
    misses = time_calls(lambda number: cache.get(key_of(-number), 1), list(range(1, _PROBES)))
    return {"hit_us": hits[0], "hit_cpu_us": hits[1], "miss_us": misses[0], "miss_cpu_us": misses[1]}


def measure(path: Path, texts: Iterator[str], entries: int, at_once: int, minutes: float) -> dict[str, Any]:
    """Insert, and measure at each tenth, so that one run says how times grow; end when the minutes are over."""
    done, before, tenths = Inserted(max(1, entries // _SAMPLED)), Inserted(1), list[dict[str, float]]()
    rows, began = list[CompletionRow](), time.monotonic()
    with CompletionCache(path) as cache:
        for number, text in enumerate(texts, start=1):
            rows.append(CompletionRow(key_of(number - 1), 0, text, "stop", 200, len(text) // 4, "", _STAGE, 1, 0))
            if len(rows) == at_once or number == entries:
                done.add(cache, rows)
                rows = []
            if number * 10 // entries > len(tenths) and done.count > before.count:
                new = done.count - before.count
                tenth = {"entries": done.count, "insert_cpu_us": (done.cpu_s - before.cpu_s) / new * 1e6}
                tenths.append(tenth | measure_reads(cache, done.count))
                before = replace(done)
                told = ", ".join(f"{name} {value:,.1f}" for name, value in tenths[-1].items() if "cpu" in name)
                passed = (time.monotonic() - began) / 60
                print(f"{done.count:,} of {entries:,} in {passed:.1f} min: {told}", file=sys.stderr, flush=True)
            if time.monotonic() - began > minutes * 60:
                print(f"the {minutes:g} minutes are over at {done.count:,} entries", file=sys.stderr)
                break
    start = time.perf_counter()
    cache = CompletionCache(path)
    opened_s = time.perf_counter() - start
    with cache:
        reads = measure_reads(cache, done.count)
        assert cache.total().completions == done.count
    return {
        "entries": done.count,
        "raw_bytes": done.raw_bytes,
        "mean_text_bytes": done.raw_bytes / done.count,
        "insert_us": done.seconds / done.count * 1e6,
        "insert_median_us": statistics.median(done.sampled) * 1e6,
        "insert_cpu_us": done.cpu_s / done.count * 1e6,
        "slowest_insert_ms": done.slowest_s * 1e3,
        **reads,
        "share_of_raw": path.stat().st_size / done.raw_bytes,
        "open_ms": opened_s * 1e3,
        "tenths": tenths,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--at-once", type=int, default=1, help="in one transaction")
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--folder", type=Path, help="where the file is made; by default a temporary folder")
    parser.add_argument("--minutes", type=float, default=60.0, help="end with what there is by then")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        needed, free = options.entries * _BYTES, shutil.disk_usage(folder).free
        if needed > free:
            parser.error(f"{needed / 1e9:.1f} GB are needed, and {free / 1e9:.1f} are free there: name a --folder")
        texts = make_texts(options.texts, options.entries)
        path = Path(folder) / "completions.sqlite"
        measured = measure(path, texts, options.entries, options.at_once, options.minutes)
    wanted = {
        "insert_cpu_us": WANTED_US,
        "hit_cpu_us": WANTED_US,
        "miss_cpu_us": WANTED_US,
        "share_of_raw": WANTED_SHARE,
    }
    for name, value in measured.items():
        if name == "tenths":
            continue
        told = f"wanted {wanted[name]:g}: {'met' if value <= wanted[name] else 'MISSED'}" if name in wanted else ""
        print(f"{name:24}{value:16,.3f}  {told}")
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    return int(any(measured[name] > limit for name, limit in wanted.items()))


if __name__ == "__main__":
    sys.exit(main())
