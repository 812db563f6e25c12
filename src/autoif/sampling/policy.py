"""Loads a policy's tokenizer and weights, encodes prompts and decodes answers."""

import gc
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import JsonValue
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import CONFIG_NAME, cached_file

from autoif.errors import ConfigError, ModelError, first_line
from autoif.models.reasoning import find_opening, split_reasoning
from autoif.models.requests import Completion
from autoif.models.wire import read_text
from autoif.sampling.settings import SamplingPrompt
from autoif.sampling.turn_end import TEMPLATE_ERRORS

_COMPARED = 16
"""About how many tensors of two models are compared."""
_TAIL_TOKENS = 32
"""Tokens at the end of a prompt in which a chat template may open the model's thought."""


def check_model(model: str) -> None:
    """Check that a path or name can be a model, before its tokenizer or weights are loaded.

    Raises ModelError: it is a file, a folder without a model or with only an adapter, or a path that doesn't exist.
    """
    path = Path(model)
    if path.is_file():
        raise ModelError(f"{model} is a file: --model takes a folder with config.json and weights, or a hub name")
    if path.is_dir():
        # With a config.json beside the adapter, transformers would load its base model.
        if (path / "adapter_config.json").is_file():
            raise ModelError(f"{model} holds an adapter and no model: give the folder that it was merged into")
        if (path / "config.json").is_file():
            return
        raise ModelError(f"{model} is not a model folder: it has no config.json; give one that transformers can load")
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1 or model.endswith("/"):
        raise ModelError(f"there is no model folder {model}: --model takes a folder, or a hub name such as OWNER/NAME")


def load_tokenizer(model: str, revision: str | None = None) -> Any:
    """Return the tokenizer, with a padding token; `revision` applies to a name on the hub.

    Raises ModelError: there is no tokenizer, or it has no chat template.
    """
    # The config comes first: the tokenizer reads it, too, and an error in it would be reported as the tokenizer's.
    size = read_vocabulary(model, revision)
    tokenizer = load_named(
        model, "tokenizer", lambda: AutoTokenizer.from_pretrained(model, trust_remote_code=False, **_at(revision))
    )
    if not tokenizer.chat_template:
        raise ModelError(
            f"the tokenizer of {model} has no chat template: take an instruct model, or put a chat_template.jinja "
            "into the model's folder"
        )
    # A padding token that was added to the tokenizer may have no weights.
    if tokenizer.pad_token is None or (size is not None and tokenizer.pad_token_id >= size):
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def read_context(model: str, revision: str | None = None) -> int | None:
    """Return the length of the model's context in tokens, or None if its config doesn't say."""
    config = _read_config(model, revision)
    found = getattr(config.get_text_config(), "max_position_embeddings", None)
    return found if isinstance(found, int) and found > 0 else None


def read_vocabulary(model: str, revision: str | None = None) -> int | None:
    """Return how many tokens the model has weights for, or None if its config doesn't say."""
    found = getattr(_read_config(model, revision).get_text_config(), "vocab_size", None)
    return found if isinstance(found, int) and found > 0 else None


def read_dtype(model: str, revision: str | None = None) -> Any:
    """Return the precision of the model's files as a torch.dtype, or None if its config doesn't say.

    For files in 8 bits or fewer, which need scales beside them, it is bfloat16.
    """
    found = getattr(_read_config(model, revision).get_text_config(), "dtype", None)
    return torch.bfloat16 if isinstance(found, torch.dtype) and found.itemsize < 2 else found


def find_folder(model: str, revision: str | None = None) -> Path:
    """Return a model's folder; for a name on the hub, one in the hub's cache, named by the commit (40 hex digits).

    Raises:
        ModelError: there is no such name on the hub, or it can't be reached.
    """
    if Path(model).is_dir():
        return Path(model)
    return Path(load_named(model, "config", lambda: cached_file(model, CONFIG_NAME, **_at(revision)))).parent


def load_weights(model: str, **options: Any) -> Any:
    """Return the model. `options` are those of `from_pretrained`, such as `dtype` ("auto" is that of the files).

    Raises:
        ModelError: weights are missing or damaged, even if only some: transformers would initialise these at random.
    """
    weights, found = load_named(
        model,
        "model",
        lambda: AutoModelForCausalLM.from_pretrained(
            model, trust_remote_code=False, output_loading_info=True, **options
        ),
    )
    if lacking := sorted(found["missing_keys"]):
        raise ModelError(
            f"the files of {model} lack {len(lacking)} tensors of a causal language model, as {lacking[0]}: it is a "
            "model of another kind, or not whole"
        )
    _mend_generation_config(weights)
    return leave_out_routing(weights)


def load_to_answer(model: str, dtype: Any) -> Any:
    """Return the model for inference, on the GPU if there is one; `dtype` is passed to `load_weights`.

    Raises ModelError: as `load_weights`, or the memory is too small.
    """
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        return load_weights(model, dtype=dtype).to(device).eval()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(f"out of memory: {model} doesn't fit on {device}; use vLLM or an endpoint") from None


def leave_out_routing(model: Any) -> Any:
    """Switch off the output of router logits in a mixture of experts, and return the model.

    Trainers switch it on, for the loss that balances the experts, and save it in the config. With it a model can't
    generate in batches.
    """
    config = model.config.get_text_config()
    if getattr(config, "output_router_logits", False):
        config.output_router_logits = False
    return model


def describe_left_out(model: Any, name: str, revision: str | None = None) -> str | None:
    """Return a line for a person if the loaded model is only a part of what its files hold; else None."""
    whole, part = _read_config(name, revision).architectures or [], type(model).__name__
    if not whole or part in whole:
        return None
    return (
        f"the files of {name} are a {whole[0]}, of which only the language model ({part}) is trained and saved: what "
        "sees images or hears is not in the trained folder"
    )


def _mend_generation_config(model: Any) -> None:
    """Repair a generation config that transformers would refuse to save, such as a temperature with greedy decoding.

    Sampling here doesn't use its values.
    """
    config = getattr(model, "generation_config", None)
    if config is None or _can_be_saved(config):
        return
    config.do_sample = True
    if not _can_be_saved(config):
        ends = {name: getattr(config, name, None) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
        model.generation_config = GenerationConfig(**ends)


def _can_be_saved(config: Any) -> bool:
    try:
        config.validate(strict=True)
    except ValueError:
        return False
    return True


def convert_weights(folder: Path, dtype: Any) -> None:
    """Rewrite the weights of a folder in another precision (a torch.dtype)."""
    load_weights(str(folder), dtype=dtype).save_pretrained(folder)


def measure_common(one: Path, other: Path) -> float:
    """Return the share of weights that are equal in two folders, by some tensors; 0 if they can't be compared."""
    ones, others = _list_tensors(one), _list_tensors(other)
    names = sorted(ones.keys() & others.keys())
    same = total = 0
    for name in names[:: max(1, len(names) // _COMPARED)]:
        with safe_open(ones[name], "pt") as first, safe_open(others[name], "pt") as second:
            mine, theirs = first.get_tensor(name), second.get_tensor(name)
        if (mine.dtype, mine.shape) != (theirs.dtype, theirs.shape):
            return 0.0
        same, total = same + int((mine == theirs).sum()), total + mine.numel()
    return same / total if total else 0.0


def encode_prompt(tokenizer: Any, prompt: SamplingPrompt, template_kwargs: Mapping[str, JsonValue]) -> list[int]:
    """Return the tokens of a prompt up to the beginning of the assistant's turn.

    `template_kwargs` are passed to the chat template. Raises ConfigError: the template refuses the conversation.
    """
    try:
        tokens = list(
            tokenizer.apply_chat_template(
                list(prompt.messages), tokenize=True, return_dict=False, add_generation_prompt=True, **template_kwargs
            )
        )
    except TEMPLATE_ERRORS as error:
        given = f" with {json.dumps(template_kwargs)}" if template_kwargs else ""
        raise ConfigError(f"the model's chat template refuses prompt {prompt.id}{given}: {first_line(error)}") from None
    if not tokens:
        raise ConfigError(f"the model's chat template makes no token of prompt {prompt.id}: nothing can be asked")
    return tokens


def measure_room(tokens: int, max_tokens: int, context: int | None) -> int:
    """Return how many tokens an answer to a prompt of `tokens` tokens may have; 0 if the prompt fills the context."""
    return max_tokens if context is None else max(0, min(max_tokens, context - tokens))


def read_tokens(
    tokenizer: Any, tokens: Sequence[int], prompt: Sequence[int], finish_reason: Literal["stop", "length"]
) -> Completion:
    """Decode the tokens that a model wrote after a prompt, without the one that ended them, into answer and thought.

    Some model families mark a thought with special tokens, and some templates open it in the prompt. All other special
    tokens are left out.
    """
    opening = find_opening(tokenizer.decode(prompt[-_TAIL_TOKENS:], skip_special_tokens=False))
    marked = opening + tokenizer.decode(tokens, skip_special_tokens=False)
    if split_reasoning(marked).answer != marked:
        return read_text(marked, finish_reason)
    return read_text(tokenizer.decode(tokens, skip_special_tokens=True), finish_reason)


def _read_config(model: str, revision: str | None) -> Any:
    return load_named(
        model, "config", lambda: AutoConfig.from_pretrained(model, trust_remote_code=False, **_at(revision))
    )


def _list_tensors(folder: Path) -> dict[str, Path]:
    found = {}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            found.update(dict.fromkeys(file.keys(), path))
    return found


def _at(revision: str | None) -> dict[str, str]:
    return {"revision": revision} if revision else {}


def load_named(model: str, what: str, load: Any) -> Any:
    """Call a loader of transformers. Raises ModelError: its error in one line, with the model's name."""
    try:
        return load()
    except MemoryError:
        raise
    except Exception as error:  # each file format of a model has its own errors
        if is_out_of_memory(error):
            raise
        raise ModelError(f"the {what} of {model} can't be loaded: {first_line(error)}") from None


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error means that the memory of a GPU or of the machine is too small."""
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)


def free_memory() -> None:
    """Free memory, on the GPU too, that nothing refers to any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
