"""§3.4 and App. B, hyperparameters: the paper's are the defaults, and every setting of TRL's trainers can be set.

They come from a TOML file and then from `--set key=value`, under TRL's own names; beside these there are

    global_batch_size   rows of one optimiser step, over all devices; gradient accumulation follows from it
    lora.KEY            with `--lora`: any setting of peft's LoraConfig

The attention is transformers' own choice; Flash-Attention 2, which the paper uses, is one setting away:
model_init_kwargs.attn_implementation=flash_attention_2 (docs/training.md).
"""

import dataclasses
import difflib
import importlib.util
import os
import tomllib
import typing
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from autoif.config import merge_layer, parse_setting
from autoif.errors import ConfigError
from autoif.training.data import Kind

_BOTH: dict[str, Any] = {
    "bf16": True,  # App. B
    "per_device_train_batch_size": 1,
    "seed": 0,
    "logging_steps": 1,
    "save_steps": 50,
    "save_total_limit": 2,
    "report_to": "none",
}

PAPER: dict[Kind, dict[str, Any]] = {
    "sft": {  # App. B, supervised fine-tuning
        **_BOTH,
        "learning_rate": 7e-6,
        "lr_scheduler_type": "linear",
        "warmup_steps": 20,
        "num_train_epochs": 3,
        "global_batch_size": 128,  # 512 for 70B
        "weight_decay": 0.1,
        "max_length": 8192,
    },
    "dpo": {  # App. B, offline DPO
        **_BOTH,
        "loss_type": ["sigmoid"],
        "beta": 0.3,
        "learning_rate": 5e-7,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,  # below 1 it is a share of all steps: the paper's warm-up ratio
        "num_train_epochs": 2,
        "global_batch_size": 64,
        "max_length": 4096,
    },
}

LORA: dict[str, Any] = {"r": 16, "lora_alpha": 32, "lora_dropout": 0.0, "target_modules": "all-linear"}
"""Not of the paper, which trains all weights; the usual choice for all linear layers."""

LAYOUT = frozenset({
    "per_device_train_batch_size", "gradient_accumulation_steps", "gradient_checkpointing", "logging_steps",
    "save_steps", "save_strategy", "save_total_limit", "report_to", "deepspeed", "dataset_num_proc",
    "dataloader_num_workers", "disable_tqdm",
})  # fmt: skip
"""Settings of how the work is laid out: a training may be gone on with under others."""

_RESERVED = {
    "output_dir": "--output is the folder",
    "resume_from_checkpoint": "use --resume",
    "save_only_model": "a checkpoint without its optimiser can't be resumed from",
    "assistant_only_loss": "the loss is on the assistant turn in any case",
    "use_cpu": "hide the GPU with CUDA_VISIBLE_DEVICES= in its place",
    "dataloader_pin_memory": "it is on where there is a GPU",
    "completion_only_loss": "the loss is on the assistant turn in any case",
    "dataset_kwargs": "the rows are prepared here",
    "push_to_hub": "push the finished folder instead",
    "hub_token": "a secret has no place in a card: log in to the hub beforehand",
}
_TRACKERS = {"tensorboard", "wandb"}


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """Resolved settings of one training: plain values, as they go to TRL and into training.json."""

    arguments: dict[str, Any]
    """Settings of TRL's SFTConfig or DPOConfig; output folder and gradient accumulation come later."""
    lora: dict[str, Any] | None
    """Settings of peft's LoraConfig; None trains all weights."""
    global_batch_size: int
    """Rows (pairs) of one optimiser step."""

    def identity(self) -> dict[str, Any]:
        """Return the settings that shape the result: those that a training may not change on the way."""
        shaping = {key: value for key, value in self.arguments.items() if key not in LAYOUT}
        return {**shaping, "global_batch_size": self.global_batch_size, "lora": self.lora}


def resolve_settings(kind: Kind, file: Path | None, settings: Sequence[str], *, lora: bool) -> Settings:
    """Put the paper's defaults, a TOML file and `key=value` settings together, the later one winning.

    Raises:
        ConfigError: an unreadable file, an unknown setting or a value of the wrong kind; each is named.
    """
    merged: dict[str, Any] = {}
    for layer in (_read_file(file) if file else {}, *map(parse_setting, settings)):
        merge_layer(merged, layer)
    given_lora = merged.pop("lora", {})
    if not isinstance(given_lora, Mapping):
        raise ConfigError("lora is a table of LoraConfig's settings, as in --set lora.r=8; the switch is --lora")
    if given_lora and not lora:
        raise ConfigError("lora.* is set and LoRA is off: add --lora")
    for name in merged.keys() & _RESERVED.keys():
        raise ConfigError(f'setting "{name}" can\'t be set: {_RESERVED[name]}')
    if "gradient_accumulation_steps" in merged:
        raise ConfigError('set "global_batch_size" in place of gradient_accumulation_steps, which follows from it')
    values = {**PAPER[kind], **merged}
    batch = values.pop("global_batch_size")
    if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
        raise ConfigError(f'setting "global_batch_size": {batch!r} is no number of rows from 1 on')
    _check_trackers(values.get("report_to"))
    arguments = _check_values(values, _argument_types(kind), "")
    return Settings(arguments, _check_values({**LORA, **given_lora}, _lora_types(), "lora.") if lora else None, batch)


def make_arguments(kind: Kind, settings: Settings, output: Path) -> Any:
    """Return TRL's SFTConfig or DPOConfig.

    Raises:
        ConfigError: TRL refuses a value, or the global batch can't be divided over the devices.
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
    layout: dict[str, Any] = {"output_dir": str(output), "gradient_accumulation_steps": accumulation}
    if not torch.accelerator.is_available():  # else torch warns of pinning, and bf16 is refused as for a GPU
        layout |= {"use_cpu": True, "dataloader_pin_memory": False}
    try:
        with renamed_settings():
            return _arguments_class(kind)(**layout, **settings.arguments)
    except (TypeError, ValueError, ImportError, RuntimeError) as error:
        raise ConfigError(f"TRL refuses the settings: {_first_line(error)}{_precision_hint(error)}") from None


@contextmanager
def renamed_settings() -> Iterator[None]:
    """Pass over the warnings of transformers of a setting that TRL and peft still call by its old name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*gradient_checkpointing.* is deprecated", FutureWarning)
        yield


def _precision_hint(error: Exception) -> str:
    return "; set bf16=false on this device" if "bf16" in str(error) else ""


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _arguments_class(kind: Kind) -> Any:
    import trl

    return trl.SFTConfig if kind == "sft" else trl.DPOConfig


def _argument_types(kind: Kind) -> dict[str, Any]:
    kinds = _arguments_class(kind)
    hints = typing.get_type_hints(kinds)
    return {field.name: hints[field.name] for field in dataclasses.fields(kinds) if field.init}


def _lora_types() -> dict[str, Any]:
    from peft import LoraConfig

    return {field.name: Any for field in dataclasses.fields(LoraConfig) if field.init}


def _check_values(values: Mapping[str, Any], types: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the values, each as its setting's type has it."""
    checked = {}
    for name, value in values.items():
        if name not in types:
            near = difflib.get_close_matches(name, types, 1)
            hint = f'; did you mean "{prefix}{near[0]}"?' if near else " (docs/training.md says where they are listed)"
            raise ConfigError(f'unknown setting "{prefix}{name}"{hint}')
        checked[name] = _check_value(f"{prefix}{name}", value, types[name])
    return checked


def _check_value(name: str, value: Any, kind: Any) -> Any:
    try:
        adapter = TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True))
    except (PydanticSchemaGenerationError, PydanticUserError):
        return value  # a type that only TRL can judge
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError as error:
        raise ConfigError(f'setting "{name}": {error.errors()[0]["msg"]}, not {value!r}') from None
    return value


def _check_trackers(report_to: object) -> None:
    asked = report_to if isinstance(report_to, list) else [report_to]
    for name in _TRACKERS & {each for each in asked if isinstance(each, str)}:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"report_to={name}, but it is not installed: pip install {name}, or leave it out")


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} can't be read as TOML: {error}") from None
