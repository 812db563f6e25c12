"""LoRA by one switch: peft's adapter on all linear layers; the trained folder holds the merged model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM

from autoif.errors import ConfigError
from autoif.training.turns import TurnEnd, name_turn_end


def make_lora_config(settings: Mapping[str, Any] | None) -> Any:
    """Return peft's LoraConfig, or None where all weights are trained.

    Raises:
        ConfigError: peft refuses a value.
    """
    if settings is None:
        return None
    try:
        return LoraConfig(task_type="CAUSAL_LM", **settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"peft refuses the settings of lora: {error}") from None


def save_merged(model: str, revision: str | None, adapter: Path, output: Path, tokenizer: Any, end: TurnEnd) -> None:
    """Write the base model, of a revision of the hub's if one is named, with the adapter merged into it.

    It is in the base model's own precision.

    A folder that holds a whole model can be trained on, sampled from and evaluated like any other.
    """
    at = {"revision": revision} if revision else {}
    base = AutoModelForCausalLM.from_pretrained(model, dtype="auto", trust_remote_code=False, **at)
    name_turn_end(base, end)
    PeftModel.from_pretrained(base, str(adapter)).merge_and_unload().save_pretrained(output)
    tokenizer.save_pretrained(output)
