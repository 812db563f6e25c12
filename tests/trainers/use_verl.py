"""verl's own configuration, datasets and reward loop on an export: see tests/test_export_trainers.py."""

import asyncio
import json
import sys
from pathlib import Path

import torch
import verl
from byte_tokenizer import write_byte_tokenizer
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from tensordict import TensorDict
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase
from verl import DataProto
from verl.experimental.reward_loop import RewardLoopWorker
from verl.utils import hf_tokenizer
from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn


def configure(name: str, *settings: str) -> DictConfig:
    """Return the configuration that verl's command line makes of these arguments."""
    with initialize_config_dir(str(Path(verl.__file__).parent / "trainer" / "config"), version_base=None):
        return compose(name, overrides=list(settings))


def read_conversations(path: Path, tokenizer: PreTrainedTokenizerBase) -> list[tuple[str, str]]:
    """Return what verl trains on: the text without loss and the text with loss of each row."""
    config = configure("sft_trainer_engine", "data.max_length=100000", "data.pad_mode=no_padding").data
    rows = MultiTurnSFTDataset(str(path), tokenizer, config)
    return [
        tuple(tokenizer.decode(row["input_ids"][row["loss_mask"] == part]) for part in (0, 1))
        for row in (rows[number] for number in range(len(rows)))
    ]


def make_batch(rows: Dataset, answers: list[str], tokenizer: PreTrainedTokenizerBase) -> DataProto:
    """Return what a rollout of `answers` for each row would hand to the reward loop."""
    samples = DataProto.from_single_dict(collate_fn([rows[number] for number in range(len(rows)) for _ in answers]))
    encoded = [tokenizer.encode(answer, add_special_tokens=False) for answer in answers] * len(rows)
    width = max(map(len, encoded))
    responses = torch.tensor([ids + [tokenizer.pad_token_id] * (width - len(ids)) for ids in encoded])
    mask = torch.tensor([[1] + [1] * len(ids) + [0] * (width - len(ids)) for ids in encoded])
    prompts = torch.zeros((len(encoded), 1), dtype=torch.long)
    samples.batch = TensorDict(
        {"prompts": prompts, "responses": responses, "attention_mask": mask}, batch_size=len(encoded)
    )
    return samples


def main(folder: Path, answers: list[str]) -> dict[str, object]:
    model = write_byte_tokenizer(folder / "tokenizer")
    tokenizer = hf_tokenizer(str(model))
    found: dict[str, object] = {"sft": read_conversations(folder / "sft.parquet", tokenizer)}
    for mode, more in (("binary", []), ("fraction", ["+reward.custom_reward_function.reward_kwargs.mode=fraction"])):
        config = configure(
            "ppo_trainer",
            f"data.train_files={folder / 'rl.parquet'}",
            f"+data.cache_dir={folder / 'cache'}",
            "data.max_prompt_length=100000",
            f"actor_rollout_ref.model.path={model}",
            f"reward.custom_reward_function.path={folder / 'autoif_reward.py'}",
            *more,
        )
        rows = RLHFDataset(config.data.train_files, tokenizer, config.data)
        found["prompts"] = [rows[number]["raw_prompt"] for number in range(len(rows))]
        batch = make_batch(rows, answers, tokenizer)
        scores = asyncio.run(score(config, batch))
        found[mode] = [scores[start : start + len(answers)] for start in range(0, len(scores), len(answers))]
    return found


async def score(config: DictConfig, batch: DataProto) -> list[float]:
    return [each["reward_score"] for each in await RewardLoopWorker(config).compute_score_batch(batch)]


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(main(Path(sys.argv[1]), json.loads(sys.argv[3]))), encoding="utf-8")
