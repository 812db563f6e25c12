"""§3.4, offline DPO: TRL's DPOTrainer on preference pairs; the reference is the SFT model that is trained on.

Instruction level and query level are one data set, shuffled by the trainer's seed.
"""

from collections.abc import Callable, Sequence
from typing import Any

from datasets import Dataset
from trl import DPOTrainer

from autoif.training.data import Row


def make_dpo_trainer(
    load: Callable[[], Any], tokenizer: Any, rows: Sequence[Row], arguments: Any, lora: Any, callbacks: Sequence[Any]
) -> Any:
    """Return the trainer.

    Args:
        load: returns the SFT model anew each time: policy and reference are two of it. With LoRA the policy without
            its adapter is the reference, and with `precompute_ref_log_probs` it is asked once, before the training.
        tokenizer: with a chat template.
        rows: `prompt`, `chosen` and `rejected`.
        arguments: a DPOConfig.
        lora: a LoraConfig, or None to train all weights.
        callbacks: of the trainer.
    """
    return DPOTrainer(
        model=load(),
        ref_model=None if lora is not None or arguments.precompute_ref_log_probs else load(),
        args=arguments,
        train_dataset=Dataset.from_list(list(rows)),
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=list(callbacks),
    )
