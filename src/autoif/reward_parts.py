"""Rewards of several parts, each with a weight, in the form that TRL takes: `reward_funcs` and `reward_weights`.

    parts = RewardParts({"verification": 1.0, "constraints": 0.5, "gate": 0.2})
    config = GRPOConfig(..., reward_weights=parts.weights)
    trainer = GRPOTrainer(model, reward_funcs=parts.functions, args=config, train_dataset=data)

    verification   1 where all constraints are followed, each by more than half of its functions, else 0
    fraction       the share of all functions that pass
    constraints    the share of the constraints that are followed, each by more than half of its functions
    gate           1 for an answer without a fault

The first three are multiplied by the gate: an answer with a fault earns 0 in each. All parts of a batch come from one
judging of it, however many there are.
"""

import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Self

from autoif.errors import ConfigError
from autoif.reward import Judgement, RewardMode, VerificationReward, compute_reward
from autoif.reward_inputs import CONSTRAINTS, Completion, take_columns, take_completions
from autoif.sandbox import Limits
from autoif.sandbox.sandbox import AUTO

Part = Callable[..., list[float | None]]


class _Part:
    """One of the reward functions."""

    def __init__(self, name: str, parts: "RewardParts") -> None:
        self.__name__ = name
        """The part's name in the logs of trainers."""
        self._parts = parts

    def __call__(self, completions: Sequence[Completion], **columns: Any) -> list[float | None]:
        judged = self._parts.judge(completions, columns)
        return [None if each is None else _PARTS[self.__name__](each) for each in judged]


class RewardParts:
    """Reward functions with weights, which judge each batch once. Other arguments are as of `VerificationReward`."""

    def __init__(
        self,
        weights: Mapping[str, float],
        *,
        column: str = CONSTRAINTS,
        limits: Limits | None = None,
        backend: str = AUTO,
        workers: int | None = None,
    ) -> None:
        check_weights(weights)
        self.names = list(weights)
        self.weights = [float(weight) for weight in weights.values()]
        """For TRL's `reward_weights`, in the order of `functions`."""
        self.functions: list[Part] = [_Part(name, self) for name in weights]
        """For TRL's `reward_funcs`."""
        self._column = column
        self._settings = partial(type(self), weights, column=column, limits=limits, backend=backend, workers=workers)
        self._reward = VerificationReward(column=column, limits=limits, backend=backend, workers=workers)
        self._locks: dict[int, threading.Lock] = {}
        """One for each process: a lock that another thread held while this process was forked stays held."""
        self._last: tuple[Any, list[Judgement | None]] | None = None

    def __call__(self, completions: Sequence[Completion], **columns: Any) -> list[float | None]:
        """Return the weighted sum of the parts of each completion; None where it has no functions.

        Raises:
            ConfigError: a column is missing or of another form.
            SandboxError: model code can't be contained on this machine.
        """
        found = zip(*(part(completions, **columns) for part in self.functions), strict=True)
        return [_add(values, self.weights) for values in found]

    def __reduce__(self) -> tuple[Any, ...]:
        return self._settings, ()

    def judge(self, completions: Sequence[Completion], columns: Mapping[str, Any]) -> list[Judgement | None]:
        """Judge a batch, once: trainers call the parts in turn, with the same lists or with copies of them."""
        key = (take_completions(completions), take_columns(columns, self._column))
        with self._locks.setdefault(os.getpid(), threading.Lock()):
            if self._last is None or self._last[0] != key:
                self._last = (key, self._reward.judge(completions, **columns))
            return self._last[1]

    def close(self) -> None:
        self._reward.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_weights(weights: Mapping[str, float]) -> None:
    """Raise ConfigError for an unknown part, a weight that is no number, or if no part counts."""
    for name in weights.keys() - _PARTS.keys():
        raise ConfigError(f"no part of a reward is called {name!r}: choose of {', '.join(_PARTS)}")
    if not weights:
        raise ConfigError(f"a reward of no part: give at least one of {', '.join(_PARTS)} a weight")
    for name, weight in weights.items():
        if not isinstance(weight, int | float) or not math.isfinite(weight):
            raise ConfigError(f"the weight of {name} is no number: {weight!r}")
    if not any(weights.values()):
        raise ConfigError("the weights of a reward are all 0: give at least one part another")


def _constraints(judged: Judgement) -> float:
    if judged.fault:
        return 0.0
    rewards = [compute_reward(verdicts, RewardMode.BINARY) for verdicts in judged.constraints]
    return sum(rewards) / len(rewards)


_PARTS: Final[dict[str, Callable[[Judgement], float]]] = {
    "verification": lambda judged: 0.0 if judged.fault else compute_reward(judged.constraints, RewardMode.BINARY),
    "fraction": lambda judged: 0.0 if judged.fault else compute_reward(judged.constraints, RewardMode.FRACTION),
    "constraints": _constraints,
    "gate": lambda judged: float(judged.fault is None),
}


def _add(values: Sequence[float | None], weights: Sequence[float]) -> float | None:
    known = [value * weight for value, weight in zip(values, weights, strict=True) if value is not None]
    return sum(known) if known else None
