"""§3.4, supervised fine-tuning: TRL's SFTTrainer on prompt and completion.

In this form TRL masks the prompt, and with it the opening of the assistant's turn, under any chat template. Its
assistant-only loss would need a template with generation marks, which most tokenizers lack. Of several assistant turns
the last is learnt; those before it are context.
"""

from typing import Any

from trl import SFTTrainer

from autoif.training.parts import Parts


def make_sft_trainer(parts: Parts) -> Any:
    """Return the trainer; the rows have `prompt` and `completion`."""
    return SFTTrainer(model=parts.load(), **parts.trainer_options())
