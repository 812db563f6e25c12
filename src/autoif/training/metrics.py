"""metrics.jsonl: a row for each logged step, with the names that TRL gives them.

    {"step": 12, "epoch": 0.5, "loss": 1.93, "learning_rate": 6e-06, "grad_norm": ..., "mean_token_accuracy": ...}
    DPO also: "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "logps/chosen", ...
    GRPO also: "reward", "reward_std", "frac_reward_zero_std", "kl", "completions/mean_length", "gate/copied", ...
    of --eval-data, in rows of their own: "eval_loss", "eval_rewards/margins", "eval_reward", ...

Rows are there as soon as they are logged. A resumed training drops those after its checkpoint and writes them again.
"""

import json
import math
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from autoif.text_lines import parse_json

Row = dict[str, Any]
_SUMMARISED = (
    "loss", "mean_token_accuracy", "rewards/margins", "rewards/accuracies", "reward", "frac_reward_zero_std", "kl",
    "completions/mean_length", "completions/clipped_ratio",
)  # fmt: skip
SUMMARISED = (*_SUMMARISED, *(f"eval_{name}" for name in _SUMMARISED))


class MetricsFile(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Writes metrics.jsonl as the trainer logs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_log(self, args: Any, state: Any, control: Any, logs: Row | None = None, **_: Any) -> None:
        """Append what was logged; the trainer's closing summary is of this process only and is left out."""
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        row = {"step": state.global_step, **{name: _plain(value) for name, value in sorted(logs.items())}}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def read_metrics(path: Path) -> list[Row]:
    """Return the rows; a last line that a full disk or a kill cut is left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    rows = []
    for line in lines:
        try:
            rows.append(parse_json(line))
        except ValueError:
            continue
    return rows


def cut_metrics(path: Path, step: int) -> None:
    """Keep the rows up to a step: those after it will be written again."""
    kept = [row for row in read_metrics(path) if row["step"] <= step]
    replacement = path.with_suffix(".tmp")
    replacement.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    replacement.replace(path)


def summarise(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Return the first and the last value of what a card shows."""
    found = {}
    for name in SUMMARISED:
        values = [row[name] for row in rows if row.get(name) is not None]
        if values:
            found[name] = {"first": values[0], "last": values[-1]}
    return found


def _plain(value: Any) -> Any:
    """Return a value that JSON has: what is not finite becomes null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
