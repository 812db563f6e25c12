"""§3.4, supervised fine-tuning: TRL's SFTTrainer on prompt and completion.

In this form TRL masks the prompt, and with it the opening of the assistant's turn, under any chat template. Its
assistant-only loss would need a template with generation marks, which most tokenizers lack. Of several assistant turns
the last is learnt; those before it are context.
"""

from collections.abc import Callable, Sequence
from typing import Any

from datasets import Dataset
from trl import SFTTrainer

from autoif.training.data import Row


def make_sft_trainer(
    load: Callable[[], Any], tokenizer: Any, rows: Sequence[Row], arguments: Any, lora: Any, callbacks: Sequence[Any]
) -> Any:
    """Return the trainer; `load` returns the model, `rows` have `prompt` and `completion`, `lora` is a LoraConfig."""
    return SFTTrainer(
        model=load(),
        args=arguments,
        train_dataset=Dataset.from_list(list(rows)),
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=list(callbacks),
    )
