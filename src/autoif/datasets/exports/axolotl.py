"""Axolotl: rows for its chat_template strategies and for GRPO, each with the part of a config that loads them.

The configs name the files relative to the export's folder: start axolotl there, or add the folder to the paths. Add
what the export can't know to the configs: the model, and how to train it.
"""

from autoif.datasets.exports.files import RowTable, TextFile, make_files
from autoif.datasets.exports.trl import REWARD_MODULE, rl_row
from autoif.datasets.rows import Columns, PreferenceRow, RowSets, SftRow
from autoif.runs.store import PREFERENCES, SFT

SFT_CONFIG = """\
datasets:
  - path: sft.jsonl
    ds_type: json
    type: chat_template
    field_messages: messages
    roles_to_train: [assistant]
"""

DPO_CONFIG = """\
rl: dpo
datasets:
  - path: preferences.jsonl
    ds_type: json
    split: train
    type: chat_template.default
    field_messages: messages
    field_chosen: chosen
    field_rejected: rejected
"""

GRPO_CONFIG = """\
# Modules are looked up on PYTHONPATH: start with PYTHONPATH=. in this folder.
rl: grpo
trl:
  reward_funcs: [autoif_reward.binary]  # or autoif_reward.fraction
datasets:
  - path: rl.jsonl
    ds_type: json
    split: train
    type: autoif_reward.as_they_are
"""

_TRANSFORM = '''

def as_they_are(cfg, *args, **kwargs):
    """Return axolotl's transform of rl.jsonl: its rows need none."""

    def transform(example, tokenizer=None):
        return example

    return transform
'''


def export(rows: RowSets) -> list[RowTable | TextFile]:
    """Return sft.jsonl, preferences.jsonl and rl.jsonl, each with a config, and the reward module for rl.jsonl."""
    reward = TextFile("autoif_reward.py", REWARD_MODULE + _TRANSFORM)
    return [
        *make_files(SFT, sft_row, rows.sft, TextFile("sft.yml", SFT_CONFIG)),
        *make_files(PREFERENCES, preference_row, rows.preferences, TextFile("dpo.yml", DPO_CONFIG)),
        *make_files("rl.jsonl", rl_row, rows.rewards, TextFile("grpo.yml", GRPO_CONFIG), reward),
    ]


def sft_row(row: SftRow) -> Columns:
    return {"messages": [message.model_dump() for message in row.messages]}


def preference_row(row: PreferenceRow) -> Columns:
    """Return the prompt as a list of messages, and one message each for chosen and rejected."""
    return {
        "messages": [row.prompt[0].model_dump()],
        "chosen": row.chosen[0].model_dump(),
        "rejected": row.rejected[0].model_dump(),
    }
