"""metrics.jsonl: a row for each logged step, under TRL's names.

    {"step": 12, "epoch": 0.5, "loss": 1.93, "learning_rate": 6e-06, "grad_norm": ..., "mean_token_accuracy": ...}
    DPO also: "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "logps/chosen", ...
    GRPO also: "reward", "reward_std", "frac_reward_zero_std", "kl", "completions/mean_length", "gate/copied", ...
    --eval-data, in separate rows: "eval_loss", "eval_rewards/margins", "eval_reward", ...

Rows are written as soon as they are logged. A resumed training drops those after its checkpoint and writes them again.

The paper's settings are for hundreds of steps. In a training of a handful, its warm-up keeps the learning rate near 0;
in one of a single step it is 0. So a training warns if it is too short, or if its rows show that nothing was learnt.
"""

import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from transformers import TrainerCallback

from autoif.records import Verdict
from autoif.runs.whole_files import replacing
from autoif.training.card import METRICS, Row, read_metrics
from autoif.training.data import Kind

_SUMMARISED = (
    "loss", "mean_token_accuracy", "rewards/margins", "rewards/accuracies", "reward", "frac_reward_zero_std", "kl",
    "completions/mean_length", "completions/clipped_ratio",
)  # fmt: skip
SUMMARISED = (*_SUMMARISED, *(f"eval_{name}" for name in _SUMMARISED))
_NO_VERDICTS = (Verdict.ERROR, Verdict.TIMEOUT, Verdict.MEMORY, Verdict.CRASH)
_FEW = 10
"""A training of at most this many steps changes little at the paper's learning rates."""


class MetricsFile(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Writes metrics.jsonl as the trainer logs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_log(self, args: Any, state: Any, control: Any, logs: Row | None = None, **_: Any) -> None:
        """Append a row; the trainer's closing summary covers this process only and is left out."""
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        row = {"step": state.global_step, **{name: _plain(value) for name, value in sorted(logs.items())}}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def cut_metrics(folder: Path, step: int) -> None:
    """Keep the rows up to a step; those after it will be written again."""
    kept = [row for row in read_metrics(folder) if row["step"] <= step]
    with replacing(folder / METRICS) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")


def summarise(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Return the first and the last value of each metric that the card shows."""
    found = {}
    for name in SUMMARISED:
        if values := _list_values(rows, name):
            found[name] = {"first": values[0], "last": values[-1]}
    return found


def count_steps(kind: Kind, rows: int, arguments: Any) -> int | None:
    """Return the optimiser steps of a training on `rows` rows; None if packing changes their number."""
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


def fit_schedule(arguments: Any, steps: int, global_batch_size: int) -> Iterator[str]:
    """Shorten a warm-up that leaves no step with the full learning rate; yield warnings if a training is too short.

    The shorter warm-up is a tenth of the steps, rounded down. Changes `arguments`.
    """
    warmup, shorter = arguments.get_warmup_steps(steps), steps // 10
    is_ratio = 0 < arguments.warmup_steps < 1
    if warmup > shorter and (warmup >= steps or (is_ratio and steps < _FEW and warmup)):
        arguments.warmup_steps = shorter
        yield (
            f"the warm-up of {warmup} steps is too long for a training of {steps}, which would learn next to nothing: "
            f"it is {shorter} steps now"
        )
    if steps <= _FEW and arguments.max_steps <= 0:
        yield (
            f"{steps} optimiser step{'s' * (steps != 1)} in all, at learning_rate={arguments.learning_rate:g} (the "
            f"paper's are for hundreds of steps): lower global_batch_size (now {global_batch_size}) or raise "
            "learning_rate to learn more"
        )


def learnt_nothing(rows: Sequence[Row]) -> bool:
    """Tell whether no step can have changed the weights. A value not logged or not finite counts as a change."""
    stepped = [row for row in rows if "grad_norm" in row or "learning_rate" in row]
    return bool(stepped) and all(0 in (row.get("grad_norm", 1.0), row.get("learning_rate", 1.0)) for row in stepped)


def describe_learning(rows: Sequence[Row], arguments: Any) -> Iterator[str]:
    """Yield warnings where the rows of metrics.jsonl show that a training learnt little or nothing."""
    if learnt_nothing(rows):
        yield (
            "no step changed the weights: the learning rate or the gradient was 0 in each; the rows hold nothing to "
            "learn, or the settings leave nothing of it"
        )
    undecided = sum(fmean(_list_values(rows, f"verdicts/{name}") or [0.0]) for name in _NO_VERDICTS)
    if undecided > 0.5:
        yield (
            f"{undecided:.0%} of the verdicts came to nothing, as the functions raised, hung or crashed, and earned "
            "nothing: it is they that are wrong, or reward.timeout_s and reward.memory_mb are too low"
        )
    groups = [row for row in rows if row.get("frac_reward_zero_std") is not None and undecided <= 0.5]
    if groups and (share := fmean(_list_values(groups, "frac_reward_zero_std"))) > 0.5:
        reward = fmean(row.get("reward") or 0.0 for row in groups)
        yield (
            f"in {share:.0%} of the groups all completions earned the same, which teaches nothing: the prompts are "
            f"{'too hard' if reward < 0.5 else 'too easy'} for this model (mean reward {reward:.2f}); take others, "
            "raise num_generations, or let some functions earn something (reward.mode=fraction), if they don't yet"
        )
    cut = _list_values(rows, "completions/clipped_ratio")
    if cut and (share := fmean(cut)) > 0.5 and arguments.mask_truncated_completions:
        yield (
            f"{share:.0%} of the completions were cut at max_completion_length={arguments.max_completion_length} and "
            "not learnt from: raise it, or set mask_truncated_completions=false"
        )


def _list_values(rows: Sequence[Row], name: str) -> list[float]:
    return [row[name] for row in rows if row.get(name) is not None]


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold: numbers that aren't finite become null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
