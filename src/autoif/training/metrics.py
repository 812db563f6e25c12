"""metrics.jsonl: a row for each logged step, with the names that TRL gives them.

    {"step": 12, "epoch": 0.5, "loss": 1.93, "learning_rate": 6e-06, "grad_norm": ..., "mean_token_accuracy": ...}
    DPO also: "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "logps/chosen", ...
    GRPO also: "reward", "reward_std", "frac_reward_zero_std", "kl", "completions/mean_length", "gate/copied", ...
    of --eval-data, in rows of their own: "eval_loss", "eval_rewards/margins", "eval_reward", ...

Rows are there as soon as they are logged. A resumed training drops those after its checkpoint and writes them again.

The settings of the paper are for hundreds of steps. Of a handful, its warm-up leaves a learning rate near 0 all along;
and as the first step of a warm-up has the rate 0, a training of one step would have no other. So what a training is too
short for, and what its rows show that it didn't learn, is said.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from autoif.reading.text_lines import parse_json
from autoif.runs.whole_files import replacing
from autoif.training.data import Kind

Row = dict[str, Any]
_SUMMARISED = (
    "loss", "mean_token_accuracy", "rewards/margins", "rewards/accuracies", "reward", "frac_reward_zero_std", "kl",
    "completions/mean_length", "completions/clipped_ratio",
)  # fmt: skip
SUMMARISED = (*_SUMMARISED, *(f"eval_{name}" for name in _SUMMARISED))
_FEW = 10
"""Steps up to which the learning rates of the paper change little."""


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
    with replacing(path) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")


def summarise(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Return the first and the last value of what a card shows."""
    found = {}
    for name in SUMMARISED:
        values = [row[name] for row in rows if row.get(name) is not None]
        if values:
            found[name] = {"first": values[0], "last": values[-1]}
    return found


def count_steps(kind: Kind, rows: int, arguments: Any) -> int | None:
    """Return the optimiser steps of a training on so many rows; None where packing makes other rows of them."""
    if arguments.max_steps > 0:
        return int(arguments.max_steps)
    if getattr(arguments, "packing", False):
        return None
    batch = arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps
    batch *= int(os.environ.get("WORLD_SIZE", "1"))
    if kind == "grpo":
        epoch = int(rows * arguments.num_generations // batch * arguments.num_iterations)
    else:
        epoch = math.ceil(rows / batch)
    return math.ceil(max(1, epoch) * float(arguments.num_train_epochs))


def fit_warmup(arguments: Any, steps: int) -> str | None:
    """Shorten a warm-up that leaves no step with the full learning rate; return a line that says so, or None.

    It is then a tenth of the steps, none of fewer than ten. `arguments` are changed.
    """
    warmup = arguments.get_warmup_steps(steps)
    shorter = steps // 10
    is_ratio = 0 < arguments.warmup_steps < 1
    if warmup < steps and not (is_ratio and steps < _FEW and warmup):
        return None
    if warmup <= shorter:
        return None
    arguments.warmup_steps = shorter
    return (
        f"the warm-up of {warmup} steps is too long for a training of {steps}, which would learn next to nothing: it "
        f"is {shorter} steps now"
    )


def describe_few_steps(steps: int, arguments: Any, global_batch_size: int) -> str | None:
    """Return a line where a training has a handful of steps, for which its learning rate may be too low; else None."""
    if steps > _FEW or arguments.max_steps > 0:
        return None
    return (
        f"{steps} optimiser step{'s' * (steps != 1)} in all, at learning_rate={arguments.learning_rate:g} (the paper's "
        f"are for hundreds of steps): lower global_batch_size (now {global_batch_size}) or raise learning_rate to "
        "learn more"
    )


def describe_nothing_learnt(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Return a line where no step of a training can have changed the weights; else None.

    `rows` are those of metrics.jsonl.
    """
    stepped = [row for row in rows if "grad_norm" in row or "learning_rate" in row]
    if not stepped or any(_moves(row) for row in stepped):
        return None
    return (
        "no step changed the weights: the learning rate or the gradient was 0 in each; the rows hold nothing to learn, "
        "or the settings leave nothing of it"
    )


def describe_equal_groups(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Return a line where most groups of GRPO earned the same in all completions; else None.

    `rows` are those of metrics.jsonl.
    """
    found = [row for row in rows if row.get("frac_reward_zero_std") is not None]
    share = sum(row["frac_reward_zero_std"] for row in found) / len(found) if found else 0.0
    if share <= 0.5:
        return None
    reward = sum(row.get("reward") or 0.0 for row in found) / len(found)
    why = "too hard" if reward < 0.5 else "too easy"
    return (
        f"in {share:.0%} of the groups all completions earned the same, which teaches nothing: the prompts are {why} "
        f"for this model (mean reward {reward:.2f}); take others, raise num_generations, or set reward.mode=fraction"
    )


def describe_cut(rows: Sequence[Mapping[str, Any]], arguments: Any) -> str | None:
    """Return a line for a person where most completions were cut, and so nothing was learnt from them; else None.

    `rows` are those of metrics.jsonl.
    """
    shares = [row["completions/clipped_ratio"] for row in rows if "completions/clipped_ratio" in row]
    share = sum(shares) / len(shares) if shares else 0.0
    if share <= 0.5 or not arguments.mask_truncated_completions:
        return None
    return (
        f"{share:.0%} of the completions were cut at max_completion_length={arguments.max_completion_length} and not "
        "learnt from: raise it, or set mask_truncated_completions=false"
    )


def _plain(value: Any) -> Any:
    """Return a value that JSON has: what is not finite becomes null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _moves(row: Mapping[str, Any]) -> bool:
    """Tell whether a step may have changed the weights; what is not logged, or not finite, may have."""
    return bool(row.get("grad_norm", 1.0) != 0 and row.get("learning_rate", 1.0) != 0)
