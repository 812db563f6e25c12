"""open-instruct: conversations for its SFT and DPO, and RLVR rows with the verifier that its GRPO looks up by name.

open-instruct finds a verifier among the subclasses of its VerifierFunction, by the row's `dataset`. So the module that
defines the subclass must be imported before open-instruct starts; the exported launcher does this.
"""

from autoif.datasets.exports.axolotl import sft_row
from autoif.datasets.exports.files import RowTable, TextFile, make_files
from autoif.datasets.exports.ground_truth import write_functions
from autoif.datasets.rows import Columns, PreferenceRow, RewardRow, RowSets
from autoif.runs.store import PREFERENCES, SFT

VERIFIER = '''\
"""The verifiers of rl.jsonl: its functions judge a prediction in autoif's sandbox.

"autoif", as the rows say, is 1 where more than half of them pass, else 0; "autoif_fraction" is the share that pass:
--remap_verifier autoif=autoif_fraction.
"""

from open_instruct.ground_truth_utils import VerificationResult, VerifierFunction

from autoif.datasets.exports.ground_truth import score


class AutoIFVerifier(VerifierFunction):
    def __init__(self, verifier_config=None):
        super().__init__("autoif", verifier_config=verifier_config)

    def __call__(self, tokenized_prediction, prediction, label, query=None, rollout_state=None):
        return VerificationResult(score=score(prediction, label, "binary"))


class AutoIFFractionVerifier(VerifierFunction):
    def __init__(self, verifier_config=None):
        super().__init__("autoif_fraction", verifier_config=verifier_config)

    def __call__(self, tokenized_prediction, prediction, label, query=None, rollout_state=None):
        return VerificationResult(score=score(prediction, label, "fraction"))
'''

LAUNCHER = '''\
"""open_instruct/grpo_fast.py with the verifiers of rl.jsonl. Takes its arguments:

PYTHONPATH=DIR python DIR/autoif_grpo.py --dataset_mixer_list DIR/rl.jsonl 1.0 --verification_reward 1.0 ...
"""

import runpy

import autoif_verifier  # noqa: F401  open-instruct finds verifiers among the subclasses there are

if __name__ == "__main__":
    runpy.run_module("open_instruct.grpo_fast", run_name="__main__", alter_sys=True)
'''


def export(rows: RowSets) -> list[RowTable | TextFile]:
    """Return sft.jsonl, preferences.jsonl, and rl.jsonl with its verifiers and a launcher."""
    texts = TextFile("autoif_verifier.py", VERIFIER), TextFile("autoif_grpo.py", LAUNCHER)
    return [
        *make_files(SFT, sft_row, rows.sft),
        *make_files(PREFERENCES, preference_row, rows.preferences),
        *make_files("rl.jsonl", rl_row, rows.rewards, *texts),
    ]


def preference_row(row: PreferenceRow) -> Columns:
    """Return both conversations in full; open-instruct takes all but the last message of `chosen` as the prompt."""
    prompt = row.prompt[0].model_dump()
    return {"chosen": [prompt, row.chosen[0].model_dump()], "rejected": [prompt, row.rejected[0].model_dump()]}


def rl_row(row: RewardRow) -> Columns:
    """Return the RLVR columns."""
    return {
        "messages": [row.prompt[0].model_dump()],
        "ground_truth": write_functions(row),
        "dataset": "autoif",
    }
