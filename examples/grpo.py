"""Train a model with its own verification functions as rewards: python examples/grpo.py MODEL REWARDS.jsonl OUTPUT

Needs `pip install 'autoif[train]'`. REWARDS.jsonl comes from `autoif run`: prompts with their functions.
"""

import sys

import torch
from datasets import load_dataset
from trl import GRPOConfig, GRPOTrainer

from autoif import Limits, VerificationReward

model, rewards, output = sys.argv[1:]
config = GRPOConfig(
    output,
    num_generations=4,
    per_device_train_batch_size=4,
    max_completion_length=64,
    max_steps=2,
    use_cpu=not torch.cuda.is_available(),
)

with VerificationReward("fraction", limits=Limits(timeout_s=1.0)) as reward:
    data = load_dataset("json", data_files=rewards, split="train")
    trainer = GRPOTrainer(model, reward_funcs=reward, args=config, train_dataset=data)
    trainer.train()
    trainer.save_model()
