"""Checks on the settings of a training, before a model is loaded: names, types, ranges, and that weights change."""

import difflib
import importlib.util
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from autoif.errors import ConfigError
from autoif.training.data import Kind

_ABOVE_0 = {
    "num_train_epochs", "per_device_train_batch_size", "per_device_eval_batch_size", "num_iterations", "temperature",
    "steps_per_generation", "generation_batch_size", "max_length", "max_completion_length", "top_p", "save_steps",
    "eval_steps", "repetition_penalty", "lora.r", "lora.lora_alpha",
}  # fmt: skip
_MAY_BE_NEGATIVE = {"local_rank", "max_steps", "save_total_limit"}
_SHARES = {"top_p", "min_p", "label_smoothing", "label_smoothing_factor", "adam_beta1", "adam_beta2"}
"""Settings of at most 1."""
_TRACKERS = set("clearml codecarbon comet_ml dvclive mlflow neptune swanlab tensorboard trackio wandb".split())


def check_values(values: Mapping[str, Any], types: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the values if all are valid. Raises ConfigError: a setting is unknown, or its value has a wrong type or is
    out of range."""
    checked = {}
    for name, value in values.items():
        if name not in types:
            raise unknown_setting(name, types, prefix)
        checked[name] = _check_value(f"{prefix}{name}", value, types[name])
    return checked


def unknown_setting(name: str, known: Iterable[str], prefix: str) -> ConfigError:
    """Return the error for an unknown setting, which suggests the nearest known one."""
    near = difflib.get_close_matches(name, known, 1)
    hint = f'; did you mean "{prefix}{near[0]}"?' if near else " (docs/training.md says where they are listed)"
    return ConfigError(f'unknown setting "{prefix}{name}"{hint}')


def _check_value(name: str, value: Any, kind: Any) -> Any:
    try:
        adapter = TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True))
    except (PydanticSchemaGenerationError, PydanticUserError):
        return value  # a type that only TRL can judge
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError as error:
        raise ConfigError(f'setting "{name}": {error.errors()[0]["msg"]}, not {value!r}') from None
    if isinstance(value, int | float):
        _check_range(name, value)
    return value


def _check_range(name: str, value: float) -> None:
    """Refuse numbers that TRL and torch accept unchecked, or only refuse once the model is loaded."""
    if name == "max_steps" and (value == 0 or value < -1):
        raise ConfigError(f'setting "max_steps": {value} is no number of steps: give 1 or more, or -1 for whole epochs')
    if (name in _ABOVE_0 and value <= 0) or (value < 0 and name not in _MAY_BE_NEGATIVE):
        raise ConfigError(f'setting "{name}": {value} is {"not above" if name in _ABOVE_0 else "below"} 0')
    if name in _SHARES and value > 1:
        raise ConfigError(f'setting "{name}": {value} is above 1')


def check_installed(values: Mapping[str, Any]) -> None:
    """Refuse settings that need a package that isn't installed. Raises ConfigError."""
    report_to = values.get("report_to")
    asked = report_to if isinstance(report_to, list) else [report_to]
    if values.get("use_vllm") is True and importlib.util.find_spec("vllm") is None:
        raise ConfigError("use_vllm=true, but vLLM is not installed: pip install vllm, or leave it out")
    for name in _TRACKERS & {each for each in asked if isinstance(each, str)}:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"report_to={name}, but it is not installed: pip install {name}, or leave it out")


def refuse_drawn_start(lora: Mapping[str, Any]) -> None:
    """Refuse an adapter that starts from a random estimate of a part of the weights. No file holds the estimate, and
    merged with another one the adapter would give another model. Raises ConfigError."""
    if str(start := lora.get("init_lora_weights")).startswith("pissa_niter"):
        raise ConfigError(
            f'setting "lora.init_lora_weights": {start} estimates at random what the adapter begins with, so neither '
            "the merged model nor a resumed training would be that of the adapter: set pissa"
        )


def refuse_idle(kind: Kind, values: Mapping[str, Any], lora: Mapping[str, Any]) -> None:
    """Refuse settings under which no step changes the weights: otherwise that shows only at the end of a training.
    Raises ConfigError."""
    weights = values.get("loss_weights")
    uses_beta = kind == "dpo" and values["loss_type"] != ["sft"]  # in GRPO, beta only weighs the KL
    idle = {
        "learning_rate": values["learning_rate"] == 0,
        "beta": uses_beta and values["beta"] == 0,
        "loss_weights": weights is not None and not any(weights),
        "lora.lora_dropout": lora.get("lora_dropout", 0) >= 1,
    }
    for name in filter(idle.__getitem__, idle):
        value = lora["lora_dropout"] if name == "lora.lora_dropout" else values[name]
        raise ConfigError(f'setting "{name}": with {value} no step changes the weights, so nothing would be learnt')
