"""What reaches into TRL beyond its documentation: seen in TRL 1.16, and nowhere else in this package."""

from typing import Any

import torch
from transformers import TrainerCallback
from trl import GRPOTrainer

_NO_ADVANTAGE = 1e-3
"""What rounding makes of equal rewards, over the deviation that TRL takes for none."""


class FilteringTrainer(GRPOTrainer):  # type: ignore[misc]  # trl is untyped here
    """Leaves groups whose completions all earn the same out of the loss: of the policy, of the KL and of its mean."""

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        output = super()._generate_and_score_completions(inputs)
        if not self.model.training:
            return output
        mine = output["advantages"]
        groups = self.accelerator.gather(mine.abs()).view(-1, self.num_generations)
        kept = (groups.max(dim=1).values > _NO_ADVANTAGE).repeat_interleave(self.num_generations)
        first = self.accelerator.process_index * len(mine)
        mask = output["completion_mask"] * kept[first : first + len(mine)].unsqueeze(1).int()
        total = self.accelerator.gather(mask.sum()).sum()
        return {**output, "completion_mask": mask, "num_items_in_batch": total}


class OrderOfEpoch(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Has a training that goes on in a later epoch draw the prompts in that epoch's order.

    TRL's sampler draws the orders of all epochs from one generator, which begins anew with each process.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **_: Any) -> None:
        sampler = train_dataloader.batch_sampler
        while hasattr(sampler, "batch_sampler"):  # what accelerate wraps around it
            sampler = sampler.batch_sampler
        sampler = sampler.sampler  # of prompts
        steps = len(train_dataloader) // args.gradient_accumulation_steps
        for _epoch in range(state.global_step // max(1, steps)):
            torch.randperm(sampler.num_samples, generator=sampler.generator)
