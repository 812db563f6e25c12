"""How long 100,000 training rows take against IFEval, FollowBench and IFBench, and how much memory.

    AUTOIF_DATA=FOLDER python benchmarks/contamination.py

The rows are real texts: each user turn is a query of people with an instruction that a model wrote, each answer one of
people or of a model. In every hundredth row a benchmark's prompt stands between others' words: all must be found.
Fails over 30 s, over 1 GB, or if one is missed. Seconds depend on the machine, so they are also told beside those that
the same rows take to be read and split into words, on one core.
"""

import gzip
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from autoif.contamination.overlap import split_words
from autoif.contamination.prompts import BenchmarkPrompt, read_prompts
from recordings import find_recordings

ROWS = 100_000
PLANTED_EVERY = 100
MOST_SECONDS = 30
MOST_MB = 1_000
NGRAM = 13


def main() -> int:
    data = find_recordings()
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    paths = {
        "ifeval": data / "ifeval/input_data.jsonl",
        "followbench": data / "followbench/data",
        "ifbench": data / "ifbench/IFBench_test.jsonl",
    }
    prompts = read_prompts(list(paths), paths)
    with tempfile.TemporaryDirectory() as folder:
        train, planted = Path(folder, "train.jsonl"), list[tuple[int, BenchmarkPrompt]]()
        with train.open("w", encoding="utf-8") as lines:
            for number, (row, prompt) in enumerate(make_rows(data, prompts), 1):
                lines.write(json.dumps(row) + "\n")
                if prompt:
                    planted.append((number, prompt))
        plain_s, words = read_plainly(train)
        options = [f"--data={name}={path}" for name, path in paths.items()]
        command = [sys.executable, "-m", "autoif", "contamination", str(train), *options, "-o", f"{folder}/out"]
        began = time.monotonic()
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        seconds = time.monotonic() - began
        missed = count_missed(Path(folder, "out"), planted)
    memory_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{ROWS:,} rows of {words:,} words against {len(prompts):,} prompts: {seconds:.1f} s, {memory_mb:.0f} MB")
    print(f"reading and splitting alone: {plain_s:.1f} s; the whole takes {seconds / plain_s:.2f} times as long")
    print(f"planted rows that were missed: {missed} of {len(planted)}")
    return 0 if seconds <= MOST_SECONDS and memory_mb <= MOST_MB and not missed else 1


def make_rows(data: Path, prompts: list[BenchmarkPrompt]) -> Iterator[tuple[dict[str, object], BenchmarkPrompt | None]]:
    """Yield training rows, with the prompt that stands in it where one was planted."""
    chance = random.Random(0)
    queries = [row["query"] for row in read(data / "queries/queries_en_20_300.jsonl")]
    dolly = read(data / "queries/databricks-dolly-15k.jsonl.gz")
    recorded = read(data / "verifiers/autoif_llama3_jwrobins94/completions.jsonl.gz")
    asked = [*queries, *(f"{row['instruction']}\n{row['context']}".strip() for row in dolly)]
    answers = [*(row["response"] for row in dolly), *(text for row in recorded for text in row["completions"])]
    long_enough = [prompt for prompt in prompts if len(split_words(prompt.text)) >= NGRAM]
    for number in range(1, ROWS + 1):
        text = f"{chance.choice(asked)} {chance.choice(recorded)['instruction']}"
        planted = None if number % PLANTED_EVERY else chance.choice(long_enough)
        if planted:
            text = f"{chance.choice(queries)} {planted.text} {text}"
        messages = [("user", text), ("assistant", chance.choice(answers))]
        yield {"messages": [{"role": role, "content": content} for role, content in messages]}, planted


def read(path: Path) -> list[dict[str, str]]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in content.splitlines()]


def read_plainly(train: Path) -> tuple[float, int]:
    """Return the seconds for reading all rows and splitting them into words, and how many words there are."""
    began, words = time.monotonic(), 0
    with train.open(encoding="utf-8") as lines:
        for line in lines:
            words += sum(len(split_words(message["content"])) for message in json.loads(line)["messages"])
    return time.monotonic() - began, words


def count_missed(output: Path, planted: list[tuple[int, BenchmarkPrompt]]) -> int:
    """Return how many planted prompts are not named with their row."""
    found = {
        (row["row"], shared["benchmark"], shared["id"])
        for row in map(json.loads, (output / "contaminated.jsonl").read_text(encoding="utf-8").splitlines())
        for shared in row["shared"]
    }
    return sum((f"train.jsonl:{number}", prompt.benchmark, prompt.id) not in found for number, prompt in planted)


if __name__ == "__main__":
    sys.exit(main())
