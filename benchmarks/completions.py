"""What the completions file takes at a million answers and more: time to insert, hit and miss, size, time to open.

Texts are made from recorded answers of a real model: each is some sentences of one answer to a question, drawn anew, so
that they are as alike as the answers of a run, and none is stored twice. With --texts they are the ones of a file
({"text": …} a line), over and over, each with its number. Every insertion is a transaction of its own, the worst of a
run. What a call takes is judged by the processor's time; by the clock it is what the machine's other work leaves.

    python benchmarks/completions.py [--entries 1000000] [--at-once 1] [--texts FILE] [--json FILE]
"""

import argparse
import hashlib
import json
import lzma
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from autoif.models.cache import CompletionCache, CompletionRow

RECORDING = Path(__file__).parents[1] / "examples" / "small_world" / "answers.jsonl.xz"
WANTED_US = 100.0
WANTED_SHARE = 0.4
_PROBES = 20_000
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


def measure(path: Path, texts: Iterator[str], entries: int, at_once: int) -> dict[str, float]:
    raw, took, cpu_s, rows = 0, list[float](), 0.0, list[CompletionRow]()
    with CompletionCache(path) as cache:
        for number, text in enumerate(texts):
            raw += len(text.encode())
            rows.append(CompletionRow(key_of(number), 0, text, "stop", 200, len(text) // 4, "", _STAGE, 1, 0))
            if len(rows) == at_once or number == entries - 1:
                start, used = time.perf_counter(), time.thread_time()
                cache.insert(rows)
                took += [(time.perf_counter() - start) / len(rows)] * len(rows)
                cpu_s += time.thread_time() - used
                rows = []
            if number % (entries // 10) == 0:
                print(f"{number:,} of {entries:,}", end="\r", file=sys.stderr, flush=True)
    start = time.perf_counter()
    cache = CompletionCache(path)
    opened_s = time.perf_counter() - start
    with cache:
        drawn = random.Random(1)
        hits = time_calls(lambda number: cache.get(key_of(number), 1)[0], drawn.choices(range(entries), k=_PROBES))
        misses = time_calls(lambda number: cache.get(key_of(-number), 1), list(range(1, _PROBES)))
        assert cache.total().completions == entries
    return {
        "entries": entries,
        "raw_bytes": raw,
        "mean_text_bytes": raw / entries,
        "insert_us": statistics.fmean(took) * 1e6,
        "insert_last_tenth_us": statistics.fmean(took[-entries // 10 :]) * 1e6,
        "insert_median_us": statistics.median(took) * 1e6,
        "insert_cpu_us": cpu_s / entries * 1e6,
        "slowest_insert_ms": max(took) * 1e3,
        "hit_us": hits[0],
        "hit_cpu_us": hits[1],
        "miss_us": misses[0],
        "miss_cpu_us": misses[1],
        "share_of_raw": path.stat().st_size / raw,
        "open_ms": opened_s * 1e3,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--at-once", type=int, default=1, help="in one transaction")
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--folder", type=Path, help="where the file is made; by default a temporary folder")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        texts = make_texts(options.texts, options.entries)
        measured = measure(Path(folder) / "completions.sqlite", texts, options.entries, options.at_once)
    wanted = {
        "insert_cpu_us": WANTED_US,
        "hit_cpu_us": WANTED_US,
        "miss_cpu_us": WANTED_US,
        "share_of_raw": WANTED_SHARE,
    }
    for name, value in measured.items():
        told = f"wanted {wanted[name]:g}: {'met' if value <= wanted[name] else 'MISSED'}" if name in wanted else ""
        print(f"{name:24}{value:16,.3f}  {told}")
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    return int(any(measured[name] > limit for name, limit in wanted.items()))


if __name__ == "__main__":
    sys.exit(main())
