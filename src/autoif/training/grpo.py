"""§3.4, online training by GRPO: TRL's GRPOTrainer, with a run's verification functions as its reward.

Of each prompt `num_generations` completions are sampled from the policy and judged in the sandbox; what one earns
beyond its group's mean is its advantage. A group whose completions all earn the same teaches nothing (but to stay near
the reference): `frac_reward_zero_std` of metrics.jsonl is the share of such groups.

The paper trains online by rounds of DPO; GRPO on the same prompts and functions is not of it.
"""

import os
from collections.abc import Mapping, Sequence, Set
from functools import wraps
from typing import Any

import torch
from transformers import TrainerCallback
from trl import GRPOTrainer

from autoif.errors import ConfigError
from autoif.models.requests import Completion
from autoif.reward import VerificationReward
from autoif.reward_parts import Part, RewardParts
from autoif.sampling.tokens import read_tokens
from autoif.training.parts import Parts
from autoif.training.settings import RewardSettings

_NO_ADVANTAGE = 1e-3
"""What rounding makes of equal rewards, over the deviation that TRL takes for none."""


def make_reward(settings: RewardSettings) -> VerificationReward | RewardParts:
    """Return the reward, with its sandbox started: a machine that can't contain code says so before a model is loaded.

    Raises:
        SandboxError: model code can't be contained on this machine.
    """
    shared = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    limits = settings.make_limits()
    workers = settings.workers or max(1, (os.cpu_count() or 1) // shared)
    reward: VerificationReward | RewardParts
    if settings.weights:
        reward = RewardParts(settings.weights, limits=limits, backend=settings.backend, workers=workers)
    else:
        reward = VerificationReward(
            settings.mode, limits=limits, backend=settings.backend, workers=workers, gate=settings.gate
        )
    reward([], functions=[])
    return reward


def make_grpo_trainer(parts: Parts, reward: VerificationReward | RewardParts, *, filter_zero_std: bool = False) -> Any:
    """Return the trainer; the rows are those of `read_data`.

    With `filter_zero_std`, groups whose completions all earn the same are left out of the loss.
    """
    asked, ends = _render_prompt(parts), set[int]()

    def read_all(columns: Mapping[str, Any]) -> list[Completion]:
        # From the tokens: in TRL's texts the special tokens are lost that mark the thoughts of some families.
        return [_read(parts.tokenizer, tokens, asked, ends) for tokens in columns["completion_ids"]]

    async def verification(completions: Sequence[Any], **columns: Any) -> list[float | None]:
        assert isinstance(reward, VerificationReward)
        return await reward.verify(read_all(columns), **columns)

    def make_part(part: Part) -> Part:
        @wraps(part)
        def judged(completions: Sequence[Any], **columns: Any) -> list[float | None]:
            return part(read_all(columns), **columns)

        return judged

    functions: Any = verification
    if isinstance(reward, RewardParts):
        functions = [make_part(part) for part in reward.functions]
        parts.arguments.reward_weights = reward.weights
    options = parts.trainer_options()
    options["callbacks"] = [_OrderOfEpoch(), *options["callbacks"]]
    trainer = (_FilteringTrainer if filter_zero_std else GRPOTrainer)(
        model=parts.load(), reward_funcs=functions, **options
    )
    ends.update(trainer.eos_token_ids)
    return trainer


def _render_prompt(parts: Parts) -> list[int]:
    """Return the tokens of a prompt, whose end, where the model begins, all have in common."""
    kwargs = parts.arguments.chat_template_kwargs or {}
    return list(
        parts.tokenizer.apply_chat_template(
            parts.rows[0]["prompt"], tokenize=True, return_dict=False, add_generation_prompt=True, **kwargs
        )
    )


def _read(tokenizer: Any, tokens: Sequence[int], asked: Sequence[int], ends: Set[int]) -> Completion:
    ended = bool(tokens) and tokens[-1] in ends
    return read_tokens(tokenizer, tokens[:-1] if ended else tokens, asked, "stop" if ended else "length")


def check_prompts(count: int, arguments: Any) -> int:
    """Return how many of the prompts each epoch leaves out, as TRL makes whole steps only.

    Raises:
        ConfigError: there are fewer prompts than one step takes.
    """
    step: int = arguments.generation_batch_size // arguments.num_generations
    if count < step:
        raise ConfigError(
            f"{count} prompts are fewer than the {step} of one step ({arguments.generation_batch_size} completions, "
            f"num_generations={arguments.num_generations} of each): lower global_batch_size, or give more prompts"
        )
    return count % step


def describe_cut(rows: Sequence[Mapping[str, Any]], arguments: Any) -> str | None:
    """Return a line for a person where most completions were cut, and so nothing was learnt from them; else None.

    `rows` are those of metrics.jsonl.
    """
    shares = [row["completions/clipped_ratio"] for row in rows if "completions/clipped_ratio" in row]
    share = sum(shares) / len(shares) if shares else 0.0
    if share <= 0.5 or not arguments.mask_truncated_completions:
        return None
    return (
        f"{share:.0%} of the completions were cut at max_completion_length={arguments.max_completion_length} and not "
        "learnt from: raise it, or set mask_truncated_completions=false"
    )


class _FilteringTrainer(GRPOTrainer):  # type: ignore[misc]  # trl is untyped here
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


class _OrderOfEpoch(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Has a training that goes on in a later epoch draw the prompts in that epoch's order.

    TRL's sampler draws the orders of all epochs from one generator, which begins anew with each process.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **_: Any) -> None:
        sampler = _find_sampler(train_dataloader)
        steps = len(train_dataloader) // args.gradient_accumulation_steps
        for _epoch in range(state.global_step // max(1, steps)):
            torch.randperm(sampler.num_samples, generator=sampler.generator)


def _find_sampler(loader: Any) -> Any:
    """Return the sampler of prompts below what accelerate wraps around it."""
    found = loader.batch_sampler
    while hasattr(found, "batch_sampler"):
        found = found.batch_sampler
    return found.sampler
