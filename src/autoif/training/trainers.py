"""§3.4, the trainers of TRL, all built from the same parts: SFT, offline DPO, and GRPO with its reward.

SFT     On prompt and completion: TRL then masks the prompt under any chat template. Its assistant-only loss would need
        a template with generation marks, which most lack. The last assistant turn is learnt; others are context.
DPO     On preference pairs; the reference is the SFT model. Instruction level and query level are shuffled together.
GRPO    With a run's functions as reward. Not in the paper, which trains online by rounds of DPO. A group whose
        completions all earn the same teaches nothing; `frac_reward_zero_std` in metrics.jsonl is the share of those.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from logging import LogRecord, getLogger
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from datasets import Dataset
from safetensors import SafetensorError
from transformers import PrinterCallback, TrainerCallback

from autoif.errors import ConfigError, StoreError, in_one_line
from autoif.models.requests import Completion
from autoif.processors import count_processors
from autoif.reward import VerificationReward
from autoif.reward_parts import Part, RewardParts
from autoif.sampling.policy import encode_prompt, is_out_of_memory, load_weights, read_tokens
from autoif.sampling.settings import SamplingPrompt
from autoif.sampling.turn_end import TurnEnd
from autoif.training.data import Kind
from autoif.training.folder import is_full_disk
from autoif.training.settings import RewardSettings

_SETTINGS_ERRORS = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    ImportError,
    NotImplementedError,
)
"""What TRL and torch raise somewhere for invalid settings."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that the three trainers share.

    Attributes:
        load: loads the model that `--model` names; each call returns another copy.
        tokenizer: has a chat template; its end-of-sequence token is the one that ends a turn.
        turn_end: what ends a turn.
        rows: rows to train on, in the form that `data.read_data` returns.
        eval_rows: rows to evaluate on; None evaluates nothing.
        arguments: TRL's config for this kind of training.
        lora: a LoraConfig, or None to train all weights.
        callbacks: callbacks for the trainer.
    """

    load: Callable[[], Any]
    tokenizer: Any
    turn_end: TurnEnd
    rows: Dataset
    eval_rows: Dataset | None
    arguments: Any
    lora: Any
    callbacks: Sequence[Any]

    def trainer_options(self) -> dict[str, Any]:
        """Return the arguments that all of TRL's trainers take."""
        return {
            "args": self.arguments,
            "train_dataset": self.rows,
            "eval_dataset": self.eval_rows,
            "processing_class": self.tokenizer,
            "peft_config": self.lora,
            "callbacks": list(self.callbacks),
        }


def make_trainer(
    kind: Kind, parts: Parts, reward: VerificationReward | RewardParts | None, *, filter_zero_std: bool = False
) -> Any:
    """Return TRL's trainer of a kind.

    With `filter_zero_std`, GRPO leaves groups whose completions all earn the same out of the loss.

    Raises ConfigError: TRL refuses the settings because they contradict each other or need missing packages.
    """
    # TRL warns that it ignores model_init_kwargs, as it doesn't load the model; but `load` applies them.
    getLogger(f"trl.trainer.{kind}_trainer").addFilter(_is_other_warning)
    try:
        trainer = _make_trainer(kind, parts, reward, filter_zero_std)
    except (*_SETTINGS_ERRORS, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise ConfigError(f"TRL refuses the settings: {_explain(error)}") from None
    trainer.remove_callback(PrinterCallback)  # metrics.jsonl has it
    return trainer


def _is_other_warning(record: LogRecord) -> bool:
    return "your model is already instantiated" not in record.getMessage()


def _make_trainer(
    kind: Kind, parts: Parts, reward: VerificationReward | RewardParts | None, filter_zero_std: bool
) -> Any:
    # Imported one by one: trainers load slowly, GRPO's in a second.
    if kind == "sft":
        from trl import SFTTrainer

        return SFTTrainer(model=parts.load(), **parts.trainer_options())
    if kind == "dpo":
        from trl import DPOTrainer

        # Policy and reference are two copies of the model. With LoRA, the policy without its adapter is the reference;
        # with `precompute_ref_log_probs`, the model is evaluated once, before the training.
        alone = parts.lora is not None or parts.arguments.precompute_ref_log_probs
        return DPOTrainer(model=parts.load(), ref_model=None if alone else parts.load(), **parts.trainer_options())
    assert reward is not None
    return _make_grpo_trainer(parts, reward, filter_zero_std)


def _explain(error: Exception) -> str:
    """Return an error's message in one line, with its type if the message is only a name, and a hint if known."""
    message = in_one_line(error)
    if "num_experts" in message:  # TRL needs it for that loss; not all configs of mixtures have it
        message += "; router_aux_loss_coef=0 leaves out the loss that balances the experts"
    return f"{type(error).__name__}, {message}" if isinstance(error, LookupError | AttributeError) else message


class Beginning(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Explains errors that a trainer raises before its first step. That is when wrong settings or a damaged checkpoint
    show: when the optimiser is created, the checkpoint read, and the first batch computed."""

    def __init__(self, checkpoint: Path | None, refuse_diverged: Callable[[], None]) -> None:
        """`refuse_diverged` is called before each save: a diverged checkpoint must not replace a good one."""
        self.checkpoint = checkpoint
        self.refuse_diverged = refuse_diverged
        self.is_open = self.is_reading = True

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.is_reading = False

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any) -> None:
        """Refuse an unknown metric for the best model now; the trainer would only at its first save."""
        name = str(args.metric_for_best_model or "eval_loss").removeprefix("eval_")
        if args.load_best_model_at_end and f"eval_{name}" not in metrics:
            known = ", ".join(sorted(metrics))
            raise ConfigError(f'setting "metric_for_best_model": nothing evaluates {name}; choose of {known}')

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.is_open = False
        if control.should_save:
            self.refuse_diverged()

    @contextmanager
    def plain_errors(self) -> Iterator[None]:
        """Raise ConfigError for refused settings and StoreError for an unreadable checkpoint; pass on other errors."""
        try:
            yield
        except (*_SETTINGS_ERRORS, RuntimeError, EOFError, SafetensorError, UnpicklingError) as error:
            if self.checkpoint and self.is_reading and not is_out_of_memory(error) and not is_full_disk(error):
                raise StoreError(
                    f"{self.checkpoint} can't be gone on from ({_explain(error)}): delete it if it is damaged, and "
                    "--resume goes on from the one before, or begins anew"
                ) from None
            if self.is_open and not self.checkpoint and isinstance(error, _SETTINGS_ERRORS):
                raise ConfigError(f"TRL refuses the settings: {_explain(error)}") from None
            raise


def load_model(model: str, arguments: Any) -> Any:
    """Return the model to train, in 32 bits unless `model_init_kwargs.dtype` says otherwise.

    As in TRL, a single process spreads it over all its GPUs.

    Raises:
        ModelError: the weights are missing or damaged.
    """
    state = arguments.distributed_state
    whole = state.device.type in {"cpu", "mps"} or state.distributed_type in {"MULTI_GPU", "DEEPSPEED"}
    options = {"dtype": "float32", "device_map": None if whole else "auto", **(arguments.model_init_kwargs or {})}
    return load_weights(model, **options)


def make_lora_config(settings: Mapping[str, Any] | None) -> Any:
    """Return peft's LoraConfig, or None if all weights are trained. Raises ConfigError: peft refuses a value."""
    if settings is None:
        return None
    from peft import LoraConfig

    try:
        return LoraConfig(task_type="CAUSAL_LM", **settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"peft refuses the settings of lora: {error}") from None


def describe_adapter(model: Any) -> str | None:
    """Return a warning if an adapter leaves out the model's experts, which are plain parameters rather than linear
    layers; else None."""
    sizes = {name: weight.numel() for name, weight in model.named_parameters()}
    experts = {name: size for name, size in sizes.items() if ".experts." in name}
    if not experts or any("lora_" in name for name in experts):
        return None
    named = sorted({f"experts.{name.rpartition('.')[2]}" for name in experts if "bias" not in name})
    return (
        f"the adapter leaves out the experts, {sum(experts.values()) / sum(sizes.values()):.0%} of the weights: "
        f"lora.target_parameters={json.dumps(named)} includes them"
    )


def make_reward(settings: RewardSettings) -> VerificationReward | RewardParts:
    """Return the reward, with its sandbox already started: so a machine that can't contain code fails early.

    Raises:
        SandboxError: model code can't be contained on this machine.
    """
    shared = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    limits = settings.make_limits()
    workers = settings.workers or max(1, count_processors() // shared)
    reward: VerificationReward | RewardParts
    if settings.weights:
        reward = RewardParts(settings.weights, limits=limits, backend=settings.backend, workers=workers)
    else:
        reward = VerificationReward(
            settings.mode, limits=limits, backend=settings.backend, workers=workers, gate=settings.gate
        )
    reward([], functions=[])
    return reward


def _make_grpo_trainer(parts: Parts, reward: VerificationReward | RewardParts, filter_zero_std: bool) -> Any:
    from trl import GRPOTrainer

    from autoif.training.trl_private import FilteringTrainer, OrderOfEpoch

    first = SamplingPrompt(id="of the first row", messages=tuple(parts.rows[0]["prompt"]))
    # All prompts end in the same way, where the model begins to write.
    asked = encode_prompt(parts.tokenizer, first, parts.arguments.chat_template_kwargs or {})
    ends = set[int]()

    def read_all(columns: Mapping[str, Any]) -> list[Completion]:
        # From tokens: TRL's texts lack special tokens, which mark the thoughts of some model families.
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
    options["callbacks"] = [OrderOfEpoch(), *options["callbacks"]]
    trainer_class = FilteringTrainer if filter_zero_std else GRPOTrainer
    trainer = trainer_class(model=parts.load(), reward_funcs=functions, **options)
    ends.update(trainer.eos_token_ids)
    return trainer


def _read(tokenizer: Any, tokens: Sequence[int], asked: Sequence[int], ends: Set[int]) -> Completion:
    ended = bool(tokens) and tokens[-1] in ends
    return read_tokens(tokenizer, tokens[:-1] if ended else tokens, asked, "stop" if ended else "length")


def check_prompts(count: int, arguments: Any) -> int:
    """Return how many prompts each epoch leaves out, since TRL makes whole steps only.

    Raises ConfigError: there are fewer prompts than one step takes.
    """
    step: int = arguments.generation_batch_size // arguments.num_generations
    if count < step:
        raise ConfigError(
            f"{count} prompts are fewer than the {step} of one step ({arguments.generation_batch_size} completions, "
            f"num_generations={arguments.num_generations} of each): lower global_batch_size, or give more prompts"
        )
    return count % step
