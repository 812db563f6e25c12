"""§3.4, offline DPO: TRL's DPOTrainer on preference pairs; the reference is the SFT model that is trained on.

Instruction level and query level are one data set, shuffled by the trainer's seed.
"""

from typing import Any

from trl import DPOTrainer

from autoif.training.parts import Parts


def make_dpo_trainer(parts: Parts) -> Any:
    """Return the trainer; the rows have `prompt`, `chosen` and `rejected`.

    Policy and reference are the model, loaded twice. With LoRA the policy without its adapter is the reference; with
    `precompute_ref_log_probs` the model is asked once, before the training.
    """
    alone = parts.lora is not None or parts.arguments.precompute_ref_log_probs
    return DPOTrainer(model=parts.load(), ref_model=None if alone else parts.load(), **parts.trainer_options())
