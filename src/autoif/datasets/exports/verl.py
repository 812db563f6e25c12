"""verl: Parquet for its SFT trainer and for PPO or GRPO, and the `compute_score` that its reward managers call.

verl has no DPO trainer of its own.
"""

from collections.abc import Mapping
from itertools import count
from typing import Any

from autoif.datasets.exports.axolotl import sft_row
from autoif.datasets.exports.files import RowTable, TextFile, make_files
from autoif.datasets.exports.ground_truth import score, write_functions
from autoif.datasets.rows import Columns, RewardRow, RowSets, describe_reliability, name_instructions
from autoif.errors import ConfigError
from autoif.reward import RewardMode

DATA_SOURCE = "autoif"

REWARD_MODULE = '''\
"""The reward of rl.parquet: the functions of a row judge its responses in autoif's sandbox.

reward.custom_reward_function.path=autoif_reward.py
+reward.custom_reward_function.reward_kwargs.mode=fraction, for the share of the functions that pass instead of 0 or 1
Before verl 0.9 both were without `reward.` in front, which 0.9 takes and does not look at.
"""

from autoif.datasets.exports.verl import compute_score

__all__ = ["compute_score"]
'''


def export(rows: RowSets) -> list[RowTable | TextFile]:
    """Return sft.parquet, and rl.parquet with the module that verl loads `compute_score` from."""
    numbers = count()
    return [
        *make_files("sft.parquet", sft_row, rows.sft),
        *make_files(
            "rl.parquet",
            lambda row: rl_row(next(numbers), row),
            rows.rewards,
            TextFile("autoif_reward.py", REWARD_MODULE),
        ),
    ]


def rl_row(index: int, row: RewardRow) -> Columns:
    """Return verl's five columns; `index` is the row's number, by which verl groups the samples of a prompt."""
    return {
        "data_source": DATA_SOURCE,
        "prompt": [row.prompt[0].model_dump()],
        "ability": "instruction_following",
        "reward_model": {"style": "rule", "ground_truth": write_functions(row)},
        "extra_info": {
            "split": "train",
            "index": index,
            "instruction_id": name_instructions(row),
            "query_id": row.query_id,
            "instruction": " ".join(each.instruction for each in row.constraints),
            "query": row.query,
            **describe_reliability(row),
        },
    }


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    mode: str = RewardMode.BINARY,
    **_: object,
) -> float:
    """Return the reward, 0 to 1, of a response to a row of this export. May be called from many threads at once.

    Raises:
        ConfigError: the row isn't from this export.
        SandboxError: model code can't be contained on this machine.
    """
    if data_source != DATA_SOURCE:
        raise ConfigError(f"rows of {data_source!r} have no functions: give them a reward function of their own")
    return score(solution_str, ground_truth, mode)
