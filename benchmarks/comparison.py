"""Recorded responses of models to IFEval, scored and put beside each other as `autoif compare` does it.

    AUTOIF_DATA=FOLDER python benchmarks/comparison.py evals Qwen2.5-3B Qwen2.5-7B Qwen2.5-32B

Writes evals/MODEL/ifeval for each recorded model whose name has one of these parts, to be compared with the first, and
prints the table. `autoif compare evals/*` prints it again.
"""

import json
import os
import sys
import time
from pathlib import Path

from autoif.evaluation.benchmark import evaluate, take_recorded
from autoif.evaluation.comparison import compare
from autoif.evaluation.ifeval_ifbench.benchmark import load_benchmark
from autoif.evaluation.ifeval_ifbench.data import Questions
from autoif.report.tables import render
from ifeval import read_nine
from recordings import find_recordings


def main(output: Path, wanted: list[str]) -> int:
    data = find_recordings()
    os.environ.setdefault("NLTK_DATA", str(data / "nltk"))
    folders = write_folders(data, output, wanted)
    began = time.monotonic()
    print(render(compare(folders)))
    print(f"{len(folders)} models compared in {time.monotonic() - began:.1f} s")
    return 0


def write_folders(data: Path, output: Path, wanted: list[str]) -> list[Path]:
    """Score the recorded responses of some models; return their folders in the order of `wanted`."""
    by_key, models = read_nine(data)
    questions = Questions("ifeval", tuple(by_key.values()))
    folders = []
    for part in wanted:
        [model] = [name for name in models if part in name]
        folder = output / part
        folder.mkdir(parents=True, exist_ok=True)
        responses = folder / "responses.jsonl"
        with responses.open("w", encoding="utf-8") as lines:
            for row in models[model]:
                asked = {"prompt": by_key[str(row["key"])].prompt, "response": row["response"]}
                lines.write(json.dumps(asked) + "\n")
        evaluate(load_benchmark(questions), take_recorded(responses), folder / "ifeval", print)
        folders.append(folder)
    return folders


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
