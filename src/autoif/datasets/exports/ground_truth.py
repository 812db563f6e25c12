"""A row's functions, by constraint, as a single string, which trainers pass to a reward function as "ground truth".

A string survives all the conversions that trainers make of a batch's columns, to arrays or lists.
"""

import json
from functools import cache
from typing import Any

from pydantic import JsonValue

from autoif.datasets.rows import RewardRow
from autoif.errors import ConfigError
from autoif.reading.json_text import parse_json
from autoif.reward import RewardMode, VerificationReward


def group_functions(row: RewardRow) -> JsonValue:
    """Return the sources of each constraint's functions, as `VerificationReward` reads them in a column `functions`."""
    return [[*each.functions] for each in row.constraints]


def write_functions(row: RewardRow) -> str:
    """Return what `group_functions` returns, as JSON."""
    return json.dumps(group_functions(row))


def read_functions(ground_truth: str) -> list[Any]:
    """Return the functions again. Raises ConfigError: it isn't what `write_functions` wrote."""
    try:
        functions = parse_json(ground_truth)
    except (ValueError, TypeError):
        functions = None
    if not functions or not isinstance(functions, list):
        raise ConfigError(f"the row's ground truth is no list of functions: {ground_truth!r:.80}")
    return functions


def score(completion: str, ground_truth: str, mode: str = RewardMode.BINARY) -> float:
    """Return the reward, 0 to 1, of one completion. May be called from many threads at once.

    Raises:
        ConfigError: the ground truth is not from such an export, or there is no reward called `mode`.
        SandboxError: model code can't be contained on this machine.
    """
    [reward] = reward_of(mode)([completion], functions=[read_functions(ground_truth)])
    assert reward is not None, "there is at least one function"
    return reward


@cache
def reward_of(mode: str) -> VerificationReward:
    """Return this process's reward of a mode, which keeps its sandbox between calls."""
    return VerificationReward(mode, gate=False)  # as `autoif verify` judges
