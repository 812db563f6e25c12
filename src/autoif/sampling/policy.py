"""A policy's tokenizer, weights and context; the tokens of a prompt and of an answer; and what ends a turn.

A base model's chat template often ends a turn with another token than its files name: Qwen2's template writes
<|im_end|>, its config, generation config and tokenizer say <|endoftext|>. A model trained so writes <|im_end|>, and
sampling would go on until the limit. So the token is read from the template, and named beside the old one in all three.
"""

import gc
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch
from jinja2 import TemplateError
from pydantic import JsonValue
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import CONFIG_NAME, cached_file

from autoif.errors import ConfigError, ModelError, first_line
from autoif.models.reasoning import find_opening, split_reasoning
from autoif.models.requests import Completion
from autoif.models.wire import read_text
from autoif.sampling.settings import SamplingPrompt

_ANSWER = "autoif"
"""Stands for an answer; what the template puts after it ends the turn."""
_ASK = ({"role": "user", "content": "Hello"},)
_TEMPLATE_ERRORS = (TemplateError, TypeError, ValueError, KeyError, AttributeError)
"""What applying a template raises: its own, and those of what it does in Python."""
_COMPARED = 16
"""Tensors of two models that are compared, more or less."""
_TAIL_TOKENS = 32
"""Of a prompt, in which a chat template may open the model's thought."""


def check_model(model: str) -> None:
    """Refuse what can't be a model, before a tokenizer or weights are asked for.

    Raises ModelError: a file, a folder without a model, a folder with only an adapter, or a path that isn't there.
    """
    path = Path(model)
    if path.is_file():
        raise ModelError(f"{model} is a file: --model takes a folder with config.json and weights, or a hub name")
    if path.is_dir():
        if (path / "adapter_config.json").is_file():  # beside a config.json transformers would load its base model
            raise ModelError(f"{model} holds an adapter and no model: give the folder that it was merged into")
        if (path / "config.json").is_file():
            return
        raise ModelError(f"{model} is not a model folder: it has no config.json; give one that transformers can load")
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1 or model.endswith("/"):
        raise ModelError(f"there is no model folder {model}: --model takes a folder, or a hub name such as OWNER/NAME")


def load_tokenizer(model: str, revision: str | None = None) -> Any:
    """Return the tokenizer, with a padding token; `revision` is of a name on the hub.

    Raises ModelError: none there, or one without a chat template.
    """
    size = read_vocabulary(model, revision)  # the tokenizer reads the config, too: what is wrong there is told of it
    tokenizer = load_named(
        model, "tokenizer", lambda: AutoTokenizer.from_pretrained(model, trust_remote_code=False, **_at(revision))
    )
    if not tokenizer.chat_template:
        raise ModelError(
            f"the tokenizer of {model} has no chat template: take an instruct model, or put a chat_template.jinja "
            "into the model's folder"
        )
    if tokenizer.pad_token is None or (size is not None and tokenizer.pad_token_id >= size):  # one that was added
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def read_context(model: str, revision: str | None = None) -> int | None:
    """Return how many tokens the model can take, or None where its config doesn't say."""
    config = _read_config(model, revision)
    found = getattr(config.get_text_config(), "max_position_embeddings", None)
    return found if isinstance(found, int) and found > 0 else None


def read_vocabulary(model: str, revision: str | None = None) -> int | None:
    """Return how many tokens the model has weights for, or None where its config doesn't say."""
    found = getattr(_read_config(model, revision).get_text_config(), "vocab_size", None)
    return found if isinstance(found, int) and found > 0 else None


def read_dtype(model: str, revision: str | None = None) -> Any:
    """Return the precision of the model's files, a torch.dtype; None where its config doesn't say.

    Of files in 8 bits or fewer, which need scales beside them, it is bfloat16.
    """
    found = getattr(_read_config(model, revision).get_text_config(), "dtype", None)
    return torch.bfloat16 if isinstance(found, torch.dtype) and found.itemsize < 2 else found


def find_folder(model: str, revision: str | None = None) -> Path:
    """Return a model's folder, or that of the hub's cache, whose name is the commit, 40 hexadecimal digits.

    Raises:
        ModelError: there is no such name on the hub, or it can't be reached.
    """
    if Path(model).is_dir():
        return Path(model)
    return Path(load_named(model, "config", lambda: cached_file(model, CONFIG_NAME, **_at(revision)))).parent


def load_weights(model: str, **options: Any) -> Any:
    """Return the model; `options` are those of `from_pretrained`, as `dtype`, of which "auto" is that of the files.

    Raises:
        ModelError: the weights are missing or damaged, or some of them are: transformers would draw these at random.
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
    """Return the model with its weights on the GPU, if there is one; `dtype` is as `load_weights` takes it.

    Raises ModelError: as there, or the memory is too small.
    """
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        return load_weights(model, dtype=dtype).to(device).eval()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(f"out of memory: {model} doesn't fit on {device}; use vLLM or an endpoint") from None


def leave_out_routing(model: Any) -> Any:
    """Have a mixture of experts answer without saying how it routes, and return it.

    Trainers ask for that, for the loss that balances the experts, and leave it in the config that they save. A model
    that says so can't generate in batches.
    """
    config = model.config.get_text_config()
    if getattr(config, "output_router_logits", False):
        config.output_router_logits = False
    return model


def describe_left_out(model: Any, name: str, revision: str | None = None) -> str | None:
    """Return a line where a model that was loaded is but a part of what its files hold; else None."""
    whole, part = _read_config(name, revision).architectures or [], type(model).__name__
    if not whole or part in whole:
        return None
    return (
        f"the files of {name} are a {whole[0]}, of which only the language model ({part}) is trained and saved: what "
        "sees images or hears is not in the trained folder"
    )


def _mend_generation_config(model: Any) -> None:
    """Mend a generation config that transformers would refuse to save, such as a temperature beside greedy decoding.
    Sampling here sets its own values."""
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
    """Write the weights of a folder anew, in another precision (a torch.dtype)."""
    load_weights(str(folder), dtype=dtype).save_pretrained(folder)


def measure_common(one: Path, other: Path) -> float:
    """Return the share of weights that are the same in two folders, of some tensors; 0 where they can't be compared."""
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
    """Return the tokens of a prompt up to where the assistant begins; the chat template is given `template_kwargs`.

    Raises ConfigError: the template refuses the conversation.
    """
    try:
        tokens = list(
            tokenizer.apply_chat_template(
                list(prompt.messages), tokenize=True, return_dict=False, add_generation_prompt=True, **template_kwargs
            )
        )
    except _TEMPLATE_ERRORS as error:
        given = f" with {json.dumps(template_kwargs)}" if template_kwargs else ""
        raise ConfigError(f"the model's chat template refuses prompt {prompt.id}{given}: {first_line(error)}") from None
    if not tokens:
        raise ConfigError(f"the model's chat template makes no token of prompt {prompt.id}: nothing can be asked")
    return tokens


def measure_room(tokens: int, max_tokens: int, context: int | None) -> int:
    """Return how many tokens an answer to a prompt of so many may have; 0 if the prompt fills the context."""
    return max_tokens if context is None else max(0, min(max_tokens, context - tokens))


def read_tokens(
    tokenizer: Any, tokens: Sequence[int], prompt: Sequence[int], finish_reason: Literal["stop", "length"]
) -> Completion:
    """Read the tokens that a model wrote after a prompt, without the one that ended them: the answer and its thought.

    Some families mark a thought with special tokens, and some templates open it in the prompt. Special tokens that
    mark none are no text.
    """
    opening = find_opening(tokenizer.decode(prompt[-_TAIL_TOKENS:], skip_special_tokens=False))
    marked = opening + tokenizer.decode(tokens, skip_special_tokens=False)
    if split_reasoning(marked).answer != marked:
        return read_text(marked, finish_reason)
    return read_text(tokenizer.decode(tokens, skip_special_tokens=True), finish_reason)


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """The token that ends a turn, and what the model's files named before."""

    token: str
    id: int
    before: str | None
    """The tokenizer's end, as its files have it."""
    before_id: int | None

    def describe(self, model: Any) -> str | None:
        """Return a line for a person where a file of the model lacks the token; else None."""
        configs = {"config.json": model.config.get_text_config(), "generation_config.json": model.generation_config}
        lacking = [name for name, config in configs.items() if self.id not in read_ends(config)]
        lacking += ["the tokenizer"] * (self.before_id != self.id)
        if not lacking:
            return None
        return (
            f"the chat template ends a turn with {self.token}, which {_join(lacking)} of the model "
            f"{'does' if len(lacking) == 1 else 'do'} not name as an end: the trained folder names it"
            + (f", beside {self.before}" if self.before and self.before_id != self.id else "")
        )


def find_turn_end(
    tokenizer: Any, prompt: Sequence[Mapping[str, str]] = _ASK, kwargs: Mapping[str, Any] = MappingProxyType({})
) -> int | None:
    """Return the token that the chat template puts after an answer to a prompt; None where it puts none there.

    A template that refuses a conversation without a system turn is given one.
    """
    rest = _write_after_answer(tokenizer, prompt, kwargs)
    if rest is None:
        return None
    ids = tokenizer(rest, add_special_tokens=False)["input_ids"]
    added = tokenizer.added_tokens_decoder
    special = {*tokenizer.all_special_ids, *(token for token, found in added.items() if found.special)}
    special.discard(tokenizer.unk_token_id)
    for known in (special, set(added) - {tokenizer.unk_token_id}):
        for token in ids:
            if token in known:
                return int(token)
    return None


def _write_after_answer(tokenizer: Any, prompt: Sequence[Mapping[str, str]], kwargs: Mapping[str, Any]) -> str | None:
    """Return what the chat template writes after an answer; None where it refuses the prompt or shows no answer."""
    answer = {"role": "assistant", "content": _ANSWER}
    for turns in ([*prompt, answer], [{"role": "system", "content": "Be helpful."}, *prompt, answer]):
        try:
            text = tokenizer.apply_chat_template(turns, tokenize=False, **kwargs)
        except _TEMPLATE_ERRORS:
            continue
        _, answered, rest = text.rpartition(_ANSWER)
        return rest if answered else None
    return None


def adopt_turn_end(
    tokenizer: Any, model: str, prompt: Sequence[Mapping[str, str]] = _ASK, kwargs: Mapping[str, Any] | None = None
) -> TurnEnd:
    """Make the token that ends the assistant's turn the tokenizer's end, and return it.

    Args:
        tokenizer: with a chat template; is changed.
        model: as it was named.
        prompt: of a row, which the template takes.
        kwargs: what the template is given beside the messages.

    Raises ModelError: the template ends a turn with no token of its own, so the model could learn no end.
    """
    found = find_turn_end(tokenizer, prompt, kwargs or {})
    if found is None and _write_after_answer(tokenizer, prompt, kwargs or {}) is None:
        raise ModelError(
            f"the chat template of {model} leaves out what the assistant says, as those of some models that see images "
            "do where it is a text: put one that takes texts into its chat_template.jinja"
        )
    if found is None:
        raise ModelError(
            f"the chat template of {model} ends an assistant's turn with no token of its own, so a model trained with "
            "it would never stop: put {{ eos_token }} after the assistant's content in its chat_template.jinja"
        )
    before, before_id = tokenizer.eos_token, tokenizer.eos_token_id
    token = str(tokenizer.convert_ids_to_tokens(found))
    if found != before_id:
        if before and isinstance(tokenizer.chat_template, str) and "eos_token" in tokenizer.chat_template:
            named = f"{{% set eos_token = {json.dumps(before)} %}}"  # what the template writes stays as it is
            tokenizer.chat_template = named + tokenizer.chat_template
        tokenizer.eos_token = token
    return TurnEnd(token, found, before, before_id)


def read_ends(config: Any) -> list[int]:
    """Return the tokens that a model's config, or its generation config, names as ends."""
    ends = getattr(config, "eos_token_id", None)
    return [token for token in (ends if isinstance(ends, list | tuple) else [ends]) if isinstance(token, int)]


def name_turn_end(model: Any, end: TurnEnd) -> None:
    """Name the token in the model's config and generation config, beside the ends that they have."""
    for config in (model.config.get_text_config(), model.generation_config):
        old = [*read_ends(config), *([] if end.before_id is None else [end.before_id])]
        named = list(dict.fromkeys([end.id, *old]))
        config.eos_token_id = named if len(named) > 1 else end.id


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
    """Call a loader of transformers; what it says of a folder or a name becomes one line."""
    try:
        return load()
    except MemoryError:
        raise
    except Exception as error:  # each file format of a model has its own errors
        if is_out_of_memory(error):
            raise
        raise ModelError(f"the {what} of {model} can't be loaded: {first_line(error)}") from None


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether the memory of a GPU, or of the machine, is too small."""
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)


def free_memory() -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _join(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
