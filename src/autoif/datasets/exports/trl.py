"""TRL: conversational rows for SFTTrainer, DPOTrainer, and GRPOTrainer or RLOOTrainer.

SFT rows are a prompt and a completion rather than one list of messages. TRL then computes the loss on the completion
alone by default, whatever the chat template marks.
"""

from autoif.datasets.exports.files import RowTable, TextFile, make_files
from autoif.datasets.exports.ground_truth import group_functions
from autoif.datasets.rows import (
    Columns,
    PreferenceRow,
    RewardRow,
    RowSets,
    SftRow,
    describe_reliability,
    name_instructions,
)
from autoif.runs.store import PREFERENCES, SFT

REWARD_MODULE = '''\
"""The reward of rl.jsonl: the functions of a row judge its completions in autoif's sandbox.

`binary` is 1 where more than half of each constraint's functions pass, else 0; `fraction` is the share of all functions
that pass. Both judge as `autoif verify` does; without `gate=False`, an answer that passes empty, copied or degenerate
earns 0.
"""

from autoif.reward import VerificationReward

binary = VerificationReward("binary", gate=False)
fraction = VerificationReward("fraction", gate=False)
'''


def export(rows: RowSets) -> list[RowTable | TextFile]:
    """Return sft.jsonl, preferences.jsonl, and rl.jsonl with a module of reward functions."""
    return [
        *make_files(SFT, sft_row, rows.sft),
        *make_files(PREFERENCES, preference_row, rows.preferences),
        *make_files("rl.jsonl", rl_row, rows.rewards, TextFile("autoif_reward.py", REWARD_MODULE)),
    ]


def sft_row(row: SftRow) -> Columns:
    """Return TRL's conversational prompt-completion form."""
    return {
        "prompt": [{"role": "user", "content": row.prompt}],
        "completion": [{"role": "assistant", "content": row.answer}],
    }


def preference_row(row: PreferenceRow) -> Columns:
    """Return TRL's conversational preference form with an explicit prompt."""
    return {
        "prompt": [row.prompt[0].model_dump()],
        "chosen": [row.chosen[0].model_dump()],
        "rejected": [row.rejected[0].model_dump()],
    }


def rl_row(row: RewardRow) -> Columns:
    """Return TRL's prompt-only form; the other columns reach the reward function."""
    return {
        "prompt": [row.prompt[0].model_dump()],
        "functions": group_functions(row),
        "instruction_id": name_instructions(row),
        "query_id": row.query_id,
        **describe_reliability(row),
    }
