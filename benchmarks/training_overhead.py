"""What `autoif train sft` costs beside a plain script of TRL: whole commands, the same rows, model and steps, in turn.

The rows are those of the recorded quickstart, the model SmolLM2-135M-Instruct in 32 bits. Both print the seconds of the
whole command (start, reading, training, saving) and the losses of each step. Exits with 1 if ours takes over 5 % longer
or a loss differs in its first six digits.

    python benchmarks/training_overhead.py [ROUNDS]
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
ROWS: Final = HERE.parent / "tests" / "golden" / "sft.jsonl"
SHARED: Final[dict[str, Any]] = {
    "learning_rate": 2e-5,
    "lr_scheduler_type": "linear",
    "warmup_steps": 1,
    "weight_decay": 0.1,
    "max_steps": 8,
    "per_device_train_batch_size": 4,
    "max_length": 512,
    "seed": 0,
    "bf16": False,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
}
"""Given to both by name, so that a default of either side can't make the difference."""
ALLOWED: Final = 1.05
DIGITS: Final = 6


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        model = place / "model"
        run(["-m", "autoif", "models", "fetch", "smollm2-135m", "--weights", str(model)])
        rows = place / "rows.jsonl"
        rows.write_text("\n".join(map(split_row, ROWS.read_text("utf-8").splitlines())), "utf-8")
        ours, plain, ratios = list[float](), list[float](), list[float]()
        for number in range(rounds):
            mine, theirs = place / f"ours{number}", place / f"plain{number}"
            turns: list[Any] = [(ours, train_ours, [model, mine]), (plain, train_plainly, [rows, model, theirs])]
            for seconds, train, arguments in turns if number % 2 else turns[::-1]:
                seconds.append(train(*arguments))
            ratios.append(ours[-1] / plain[-1])
            print(f"round {number + 1}: {ours[-1]:.1f} s, {plain[-1]:.1f} s", flush=True)
        losses = {"autoif train sft": read_metrics(mine), "plain TRL": read_log(theirs)}
    print(f"| command | seconds, median of {rounds} | first loss | last loss |\n|---|---|---|---|")
    for (name, of_steps), seconds in zip(losses.items(), (ours, plain), strict=True):
        print(f"| {name} | {statistics.median(seconds):.1f} | {of_steps[0]:.6g} | {of_steps[-1]:.6g} |")
    ratio = statistics.median(ratios)
    one, other = losses.values()
    same = len(one) == len(other) == SHARED["max_steps"] and [*map(shorten, one)] == [*map(shorten, other)]
    print(f"\nratio {ratio:.3f} (allowed: {ALLOWED}); losses of {len(one)} steps the same in {DIGITS} digits: {same}")
    return 0 if same and ratio <= ALLOWED else 1


def split_row(line: str) -> str:
    """Return a row in the form that TRL masks the prompt of."""
    messages = json.loads(line)["messages"]
    return json.dumps({"prompt": messages[:-1], "completion": messages[-1:]})


def train_ours(model: Path, output: Path) -> float:
    settings = [f"--set={name}={json.dumps(value)}" for name, value in {**SHARED, "global_batch_size": 4}.items()]
    command = ["-m", "autoif", "train", "sft", "--data", str(ROWS), "--model", str(model), "--output", str(output)]
    return run([*command, "--quiet", *settings])


def train_plainly(rows: Path, model: Path, output: Path) -> float:
    arguments = json.dumps({**SHARED, "use_cpu": True, "dataloader_pin_memory": False})
    return run([str(HERE / "plain_sft.py"), str(rows), str(model), str(output), arguments])


def run(arguments: list[str]) -> float:
    """Return the seconds that a Python command takes; end with what it said if it fails."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - started


def read_metrics(folder: Path) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    return [row["loss"] for row in map(json.loads, lines) if "loss" in row]


def read_log(folder: Path) -> list[float]:
    return [row["loss"] for row in json.loads((folder / "log.json").read_text("utf-8")) if "loss" in row]


def shorten(loss: float) -> str:
    return f"{loss:.{DIGITS}g}"


if __name__ == "__main__":
    sys.exit(main())
