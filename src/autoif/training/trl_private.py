"""All code of this package that relies on undocumented parts of TRL, as they are in TRL 1.16."""

from typing import Any

import torch
from transformers import TrainerCallback
from trl import GRPOTrainer

_NO_ADVANTAGE = 1e-3
"""Advantages up to this size count as 0: TRL divides rounding errors of equal rewards by a tiny deviation."""


class FilteringTrainer(GRPOTrainer):  # type: ignore[misc]  # trl is untyped here
    """Leaves groups whose completions all earn the same reward out of the policy loss, the KL and the loss's mean."""

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        output = super()._generate_and_score_completions(inputs)
        if not self.model.training:
            return output
        advantages = output["advantages"]  # of this process
        groups = self.accelerator.gather(advantages.abs()).view(-1, self.num_generations)
        kept = (groups.max(dim=1).values > _NO_ADVANTAGE).repeat_interleave(self.num_generations)
        first = self.accelerator.process_index * len(advantages)
        mask = output["completion_mask"] * kept[first : first + len(advantages)].unsqueeze(1).int()
        total = self.accelerator.gather(mask.sum()).sum()
        return {**output, "completion_mask": mask, "num_items_in_batch": total}


class OrderOfEpoch(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Gives a training that resumes in a later epoch the prompt order of that epoch.

    TRL's sampler draws the orders of all epochs from one generator, which starts from its seed in each process.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **_: Any) -> None:
        sampler = train_dataloader.batch_sampler
        while hasattr(sampler, "batch_sampler"):  # unwrap what accelerate adds
            sampler = sampler.batch_sampler
        sampler = sampler.sampler  # of prompts
        steps = len(train_dataloader) // args.gradient_accumulation_steps
        for _epoch in range(state.global_step // max(1, steps)):
            torch.randperm(sampler.num_samples, generator=sampler.generator)
