"""Whether a training is long enough to learn anything: its steps, its warm-up, and what they amount to.

The settings of the paper are for hundreds of steps. Of a handful, its warm-up leaves a learning rate near 0 all along;
and as the first step of a warm-up has the rate 0, a training of one step would have no other.
"""

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from autoif.training.data import Kind

_FEW = 10
"""Steps up to which the learning rates of the paper change little."""


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


def _moves(row: Mapping[str, Any]) -> bool:
    """Tell whether a step may have changed the weights; what is not logged, or not finite, may have."""
    return bool(row.get("grad_norm", 1.0) != 0 and row.get("learning_rate", 1.0) != 0)
