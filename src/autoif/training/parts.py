"""What each trainer of TRL is built from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Dataset

from autoif.training.data import Row
from autoif.training.turns import TurnEnd


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that the three trainers share.

    Attributes:
        load: returns the model that `--model` names, anew each time.
        tokenizer: with a chat template; its end is that of a turn.
        turn_end: what ends a turn.
        rows: to train on, as `data.read_data` returns them.
        eval_rows: to evaluate on; None evaluates nothing.
        arguments: TRL's config of this kind.
        lora: a LoraConfig, or None to train all weights.
        callbacks: of the trainer.
    """

    load: Callable[[], Any]
    tokenizer: Any
    turn_end: TurnEnd
    rows: Sequence[Row]
    eval_rows: Sequence[Row] | None
    arguments: Any
    lora: Any
    callbacks: Sequence[Any]

    def trainer_options(self) -> dict[str, Any]:
        """Return what all trainers of TRL take under the same names."""
        return {
            "args": self.arguments,
            "train_dataset": Dataset.from_list(list(self.rows)),
            "eval_dataset": None if self.eval_rows is None else Dataset.from_list(list(self.eval_rows)),
            "processing_class": self.tokenizer,
            "peft_config": self.lora,
            "callbacks": list(self.callbacks),
        }
