"""axolotl's own configs, dataset strategies and reward look-up on an export: see tests/test_export_trainers.py."""

import json
import os
import sys
from pathlib import Path

import yaml
from axolotl.core.trainers.grpo import GRPOStrategy
from axolotl.utils.data.rl import prepare_preference_datasets
from axolotl.utils.data.sft import prepare_datasets
from axolotl.utils.dict import DictDefault
from axolotl.utils.schemas.enums import RLType
from byte_tokenizer import write_byte_tokenizer
from transformers import AutoTokenizer

IGNORED = -100


def configure(name: str, model: Path) -> DictDefault:
    """Return an exported part of a config with what it lacks: the model and how to train it."""
    part = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
    rest = {
        "tokenizer_config": str(model), "base_model": str(model), "tokenizer_type": "AutoTokenizer",
        "sequence_len": 100_000, "micro_batch_size": 1, "gradient_accumulation_steps": 1, "num_epochs": 1,
        "batch_size": 1, "world_size": 1, "train_on_inputs": False, "seed": 1, "dataset_num_proc": 1,
        "dataset_prepared_path": f"prepared/{name}", "max_steps": 1, "val_set_size": 0,
    }  # fmt: skip
    config = DictDefault({**part, **rest})
    if config.rl:
        config.rl = RLType(config.rl)
    return config


def main(folder: Path, answers: list[str]) -> dict[str, object]:
    model = write_byte_tokenizer(folder / "tokenizer").resolve()
    tokenizer = AutoTokenizer.from_pretrained(model)
    os.chdir(folder)  # where its configs are to be used, with PYTHONPATH=.
    sys.path.insert(0, "")
    sft, *_ = prepare_datasets(configure("sft.yml", model), tokenizer)
    preferences, _ = prepare_preference_datasets(configure("dpo.yml", model), tokenizer)
    config = configure("grpo.yml", model)
    rows, _ = prepare_preference_datasets(config, tokenizer)
    columns = rows.to_dict()
    found: dict[str, object] = {
        "sft": [
            [
                tokenizer.decode([token for token, label in zip(*pair, strict=True) if (label != IGNORED) == loss])
                for loss in (False, True)
            ]
            for pair in zip(sft["input_ids"], sft["labels"], strict=True)
        ],
        "preferences": preferences.to_list(),
        "prompts": columns["prompt"],
    }
    for mode in ("binary", "fraction"):
        config.trl.reward_funcs = [name.replace("binary", mode) for name in config.trl.reward_funcs]
        [[reward]] = GRPOStrategy.set_trainer_args(config)
        said = [[{"role": "assistant", "content": answer}] for answer in answers]
        by_answer = [reward(completions=[completion] * len(rows), **columns) for completion in said]
        found[mode] = [list(rewards) for rewards in zip(*by_answer, strict=True)]
    return found


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(
        json.dumps(main(Path(sys.argv[1]), json.loads(sys.argv[3])), default=str), encoding="utf-8"
    )
