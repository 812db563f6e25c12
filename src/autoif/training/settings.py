"""§3.4 and App. B, hyperparameters: the defaults are the paper's, and every setting of TRL's trainers can be set.

They come from a TOML file and then from `--set key=value`, under TRL's own names. There are also

    global_batch_size   rows (GRPO: completions) of one optimiser step, over all devices; gradient accumulation follows
    save_dtype          precision of the trained weights: auto, that of the model's files; float32, bfloat16, float16
    lora.KEY            with `--lora`: any setting of peft's LoraConfig
    reward.KEY          GRPO: how completions are judged; see `RewardSettings`

The attention is transformers' own choice; Flash-Attention 2, which the paper uses, is one setting away:
model_init_kwargs.attn_implementation=flash_attention_2 (docs/training.md).
"""

import dataclasses
import os
import typing
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from autoif.config import merge_layer, parse_setting
from autoif.errors import ConfigError, first_line
from autoif.reading.json_text import read_toml
from autoif.reward import RewardMode
from autoif.reward_parts import check_weights
from autoif.sampling.precision import computes_in_bf16
from autoif.sampling.settings import check_template_kwargs
from autoif.sandbox import SandboxSettings
from autoif.training.data import Kind
from autoif.training.setting_checks import (
    check_installed,
    check_values,
    refuse_drawn_start,
    refuse_idle,
    unknown_setting,
)

_ALL: dict[str, Any] = {
    "bf16": True,  # App. B; False on a processor without instructions for it
    "per_device_train_batch_size": 1,
    "seed": 0,
    "logging_steps": 1,
    "save_steps": 50,
    "save_total_limit": 2,
    "report_to": "none",
}

DEFAULTS: dict[Kind, dict[str, Any]] = {
    "sft": {  # App. B, supervised fine-tuning
        **_ALL,
        "learning_rate": 7e-6,
        "lr_scheduler_type": "linear",
        "warmup_steps": 20,
        "num_train_epochs": 3,
        "global_batch_size": 128,  # 512 for 70B
        "weight_decay": 0.1,
        "max_length": 8192,
    },
    "dpo": {  # App. B, offline DPO
        **_ALL,
        "loss_type": ["sigmoid"],
        "beta": 0.3,
        "learning_rate": 5e-7,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,  # below 1 it is a share of all steps: the paper's warm-up ratio
        "num_train_epochs": 2,
        "global_batch_size": 64,
        "max_length": 4096,
    },
    "grpo": {  # the paper has no GRPO: TRL's, or as docs/training.md says
        **_ALL,
        "per_device_train_batch_size": 8,
        "learning_rate": 1e-6,
        "lr_scheduler_type": "linear",
        "num_train_epochs": 1,
        "global_batch_size": 64,
        "num_generations": 8,
        "temperature": 1.0,
        "max_completion_length": 1024,
        "beta": 0.04,
        "mask_truncated_completions": True,
        "num_completions_to_print": 0,  # they go into files: a terminal would drown
    },
}

LORA: dict[str, Any] = {"r": 16, "lora_alpha": 32, "lora_dropout": 0.0, "target_modules": "all-linear"}
"""The usual choice for all linear layers. The paper trains all weights instead."""

LAYOUT = frozenset({
    "per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps",
    "gradient_checkpointing", "logging_steps", "save_steps", "save_strategy", "save_total_limit", "report_to",
    "deepspeed", "dataset_num_proc", "dataloader_num_workers", "disable_tqdm", "log_completions",
    "num_completions_to_print",
})  # fmt: skip
"""Settings that don't change the result: a training may resume with other values."""

RESERVED = {
    "output_dir": "--output is the folder",
    "resume_from_checkpoint": "use --resume",
    "save_only_model": "a checkpoint without its optimiser can't be resumed from",
    "assistant_only_loss": "the loss is on the assistant turn in any case",
    "use_cpu": "hide the GPU with CUDA_VISIBLE_DEVICES= in its place",
    "dataloader_pin_memory": "it is on where there is a GPU",
    "completion_only_loss": "the loss is on the assistant turn in any case",
    "dataset_kwargs": "the rows are prepared here",
    "remove_unused_columns": "the reward needs the functions, and nothing else is handed over",
    "push_to_hub": "push the finished folder instead",
    "hub_token": "a secret has no place in a card: log in to the hub beforehand",
    "trust_remote_code": "code that comes with a model is never run",
    "truncation_mode": "what is too long is cut at its end: cut at its beginning, a row would lose what it answers",
    "eos_token": "the token that ends a turn is read from the chat template",
    "chat_template_path": "put the template into the model's folder, as chat_template.jinja",
    "reward_weights": "set reward.weights, from which they follow",
    **dict.fromkeys(("lora.task_type", "lora.peft_type", "lora.inference_mode"), "it follows from the training"),
}

S = TypeVar("S", bound=SandboxSettings)
_DTYPES = ("auto", "float32", "bfloat16", "float16")
TEMPLATE = "chat_template_kwargs"
_EVALUATION = {"eval_strategy": "epoch", "eval_on_start": True}
"""With `--eval-data`, unless set otherwise: evaluate before the training and after each epoch."""


class RewardSettings(SandboxSettings):
    """How completions are judged, and how functions run on them. With 0 workers, the training processes on this machine
    share its processors."""

    mode: RewardMode = RewardMode.BINARY
    gate: bool = True
    """Whether texts that pass functions vacuously, such as empty or copied ones, earn nothing."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Weights of a reward of several parts (`reward_parts`), in place of `mode`; TRL's `reward_weights` follow."""
    filter_zero_std: bool = False
    """Whether groups whose completions all earn the same are left out of the loss, including the KL."""

    def identity(self) -> dict[str, Any]:
        """Return what shapes the result. Options that were added later are left out at their defaults, so that older
        records stay comparable."""
        later = {name for name in ("filter_zero_std", "packages", "weights") if not getattr(self, name)}
        return self.model_dump(mode="json", exclude={"workers", *later})


@dataclasses.dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Resolved settings of one training: plain values, as they go to TRL and into training.json."""

    arguments: dict[str, Any]
    """Settings of TRL's SFTConfig, DPOConfig or GRPOConfig; output folder and gradient accumulation come later."""
    lora: dict[str, Any] | None
    """Settings of peft's LoraConfig; None trains all weights."""
    global_batch_size: int
    """Rows (SFT), pairs (DPO) or completions (GRPO) of one optimiser step."""
    reward: RewardSettings | None = None
    """GRPO only."""
    template_kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Arguments of the chat template besides the messages of each row."""
    save_dtype: str = "auto"
    """Precision of the trained weights; auto is that of the model's files."""

    def record(self) -> dict[str, Any]:
        """Return the settings by their names, without those of LoRA and the reward."""
        return {**self.arguments, "global_batch_size": self.global_batch_size, **self._list_later()}

    def _list_later(self) -> dict[str, Any]:
        """Return the settings that were added later, unless at their defaults: so older records stay comparable."""
        given: dict[str, Any] = {TEMPLATE: self.template_kwargs} if self.template_kwargs else {}
        return given if self.save_dtype == "auto" else {**given, "save_dtype": self.save_dtype}

    def identity(self) -> dict[str, Any]:
        """Return the settings that shape the result, which may not change when a training resumes."""
        shaping = {key: value for key, value in self.arguments.items() if key not in LAYOUT}
        reward = self.reward and self.reward.identity()
        return {
            **shaping, **self._list_later(), "global_batch_size": self.global_batch_size, "lora": self.lora,
            "reward": reward,
        }  # fmt: skip


def resolve_settings(
    kind: Kind, file: Path | None, settings: Sequence[str], *, lora: bool, evaluates: bool = False
) -> TrainingSettings:
    """Merge the paper's defaults, a TOML file and `key=value` settings; later ones override earlier ones.

    `evaluates` tells whether there is data to evaluate on.

    Raises ConfigError: an unreadable file, an unknown setting or a value of a wrong type; the message names it.
    """
    merged = merge_settings(file, settings)
    given_lora = take_table(merged, "lora", "of LoraConfig's settings, as in --set lora.r=8; the switch is --lora")
    if given_lora and not lora:
        raise ConfigError("lora.* is set and LoRA is off: add --lora")
    given_reward = take_table(merged, "reward", "of settings, as in --set reward.mode=fraction")
    if given_reward and kind != "grpo":
        raise ConfigError(f"reward.* is set, but {kind} has no reward: it is of grpo")
    template = take_table(
        merged, TEMPLATE, "of what the chat template is given, as in chat_template_kwargs.think=false"
    )
    check_template_kwargs(template)
    loading = take_table({"model_init_kwargs": {}, **merged}, "model_init_kwargs", "of settings of from_pretrained")
    given = merged.keys() | (loading.keys() & {"trust_remote_code"}) | {f"lora.{name}" for name in given_lora}
    for name in given & RESERVED.keys():
        raise ConfigError(f'setting "{name}" can\'t be set: {RESERVED[name]}')
    if "gradient_accumulation_steps" in merged:
        raise ConfigError('set "global_batch_size" in place of gradient_accumulation_steps, which follows from it')
    values = {**DEFAULTS[kind], **({} if computes_in_bf16() else {"bf16": False}), **merged}
    if template and kind == "grpo":  # for SFT and DPO, TRL takes it from the rows
        values[TEMPLATE] = dict(template)
    batch = values.pop("global_batch_size")
    if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
        raise ConfigError(f'setting "global_batch_size": {batch!r} is no whole number of 1 or more')
    save_dtype = values.pop("save_dtype", "auto")
    if save_dtype not in _DTYPES:
        raise ConfigError(f'setting "save_dtype": {save_dtype!r} is none of {", ".join(_DTYPES)}')
    values = _add_evaluation(values, kind) if evaluates else _check_no_evaluation(values)
    check_installed(values)
    arguments = check_values(values, _list_types(_arguments_class(kind)), "")
    adapter = check_values({**LORA, **given_lora}, _lora_types(), "lora.") if lora else None
    refuse_drawn_start(adapter or {})
    refuse_idle(kind, arguments, adapter or {})
    return TrainingSettings(
        arguments,
        adapter,
        batch,
        _read_reward(given_reward) if kind == "grpo" else None,
        dict(template),
        save_dtype,
    )


def merge_settings(file: Path | None, settings: Sequence[str]) -> dict[str, Any]:
    """Return the settings of a TOML file, overridden by `key=value` settings."""
    merged: dict[str, Any] = {}
    for layer in (read_toml(file) if file else {}, *map(parse_setting, settings)):
        merge_layer(merged, layer)
    return merged


def take_table(merged: dict[str, Any], name: str, what: str) -> Mapping[str, Any]:
    """Take a table out of the settings. Raises ConfigError if it is no table; `what` tells what it should hold."""
    table = merged.pop(name, {})
    if not isinstance(table, Mapping):
        raise ConfigError(f"{name} is a table {what}")
    return table


def read_settings(kind: type[S], given: Mapping[str, Any], prefix: str) -> S:
    """Return the settings of a table. Raises ConfigError for an unknown setting or a wrong value."""
    for name in given.keys() - kind.model_fields.keys():
        raise unknown_setting(name, kind.model_fields, prefix)
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f'setting "{prefix}{first["loc"][0]}": {message}, not {first["input"]!r}') from None


def _read_reward(given: Mapping[str, Any]) -> RewardSettings:
    reward = read_settings(RewardSettings, given, "reward.")
    if "weights" in given:
        check_weights(reward.weights)
        if "mode" in given or not reward.gate:
            raise ConfigError("reward.weights takes the place of reward.mode, and is gated: leave out mode and gate")
    return reward


def _add_evaluation(values: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """Return the values, with defaults for an evaluation: for GRPO, batches of whole groups of completions."""
    batch = values["num_generations" if kind == "grpo" else "per_device_train_batch_size"]
    return {**_EVALUATION, "per_device_eval_batch_size": batch, **values}


def _check_no_evaluation(values: dict[str, Any]) -> dict[str, Any]:
    for name in ("eval_strategy", "eval_on_start", "load_best_model_at_end"):
        if values.get(name, "no") not in {"no", False}:
            raise ConfigError(f"{name} is set, but there is nothing to evaluate on: give --eval-data a file or a run")
    return values


def make_arguments(kind: Kind, settings: TrainingSettings, output: Path) -> Any:
    """Return TRL's SFTConfig, DPOConfig or GRPOConfig.

    Raises ConfigError: TRL refuses a value, or the global batch can't be divided over the devices.
    """
    import torch

    per_device = settings.arguments["per_device_train_batch_size"]
    devices = int(os.environ.get("WORLD_SIZE", "1"))
    accumulation, rest = divmod(settings.global_batch_size, per_device * devices)
    if rest:
        raise ConfigError(
            f"global_batch_size={settings.global_batch_size} is no multiple of per_device_train_batch_size={per_device}"
            f" x {devices} processes: change one of them"
        )
    if kind == "grpo":
        _check_groups(settings)
    layout: dict[str, Any] = {"output_dir": str(output), "gradient_accumulation_steps": accumulation}
    if not torch.accelerator.is_available():  # else torch warns about pinning, and refuses bf16 for lack of a GPU
        layout |= {"use_cpu": True, "dataloader_pin_memory": False}
    try:
        with renamed_settings():
            arguments = _arguments_class(kind)(**layout, **settings.arguments)
    except (TypeError, ValueError, ImportError, RuntimeError, OSError) as error:
        hint = "; set bf16=false on this device" if "bf16" in str(error) else ""
        raise ConfigError(f"TRL refuses the settings: {first_line(error)}{hint}") from None
    if arguments.router_aux_loss_coef is not None:  # goes into the model's config, which refuses the integer 0
        arguments.router_aux_loss_coef = float(arguments.router_aux_loss_coef)
    return arguments


def _check_groups(settings: TrainingSettings) -> None:
    """Refuse a step that doesn't hold whole groups of completions, which the advantages are computed from."""
    group = settings.arguments["num_generations"]
    if not isinstance(group, int) or group < 2:
        raise ConfigError(f'setting "num_generations": {group!r}; a group has 2 completions or more to compare')
    if settings.global_batch_size % group:
        raise ConfigError(
            f"global_batch_size={settings.global_batch_size} counts the completions of one step and is no multiple of "
            f"num_generations={group}, those of one prompt: change one of them"
        )


@contextmanager
def renamed_settings() -> Iterator[None]:
    """Ignore warnings of transformers about a setting that TRL and peft still use under its old name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*gradient_checkpointing.* is deprecated", FutureWarning)
        yield


def _arguments_class(kind: Kind) -> Any:
    import trl

    return {"sft": trl.SFTConfig, "dpo": trl.DPOConfig, "grpo": trl.GRPOConfig}[kind]


def _list_types(config: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(config)
    return {field.name: hints[field.name] for field in dataclasses.fields(config) if field.init}


def _lora_types() -> dict[str, Any]:
    from peft import LoraConfig

    types = {name: kind if kind in {int, float, bool} else Any for name, kind in _list_types(LoraConfig).items()}
    return {**types, "lora_alpha": float}  # peft's other types are too narrow
