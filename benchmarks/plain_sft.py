"""Supervised fine-tuning as one writes it with TRL alone, for `training_overhead.py`.

    python plain_sft.py ROWS MODEL OUTPUT ARGUMENTS

ROWS is a file of {"prompt": [...], "completion": [...]}, ARGUMENTS a JSON object for SFTConfig. The log of the trainer
goes into OUTPUT/log.json.
"""

import json
import sys
from pathlib import Path

from datasets import Dataset
from trl import SFTConfig, SFTTrainer


def main() -> None:
    rows, model, output, arguments = sys.argv[1:]
    lines = Path(rows).read_text("utf-8").splitlines()
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(output_dir=output, **json.loads(arguments)),
        train_dataset=Dataset.from_list([json.loads(line) for line in lines]),
    )
    trainer.train()
    trainer.save_model(output)
    Path(output, "log.json").write_text(json.dumps(trainer.state.log_history), "utf-8")


if __name__ == "__main__":
    main()
