"""The tokenizer with its own chat template and the model of a folder or the hub, checked before weights are loaded."""

from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import CONFIG_NAME, cached_file

from autoif.errors import ModelError


def check_model(model: str) -> None:
    """Refuse what can't be a model, before a tokenizer or weights are asked for.

    Raises:
        ModelError: a file, a folder without a model, a folder with only an adapter, or a path that isn't there.
    """
    path = Path(model)
    if path.is_file():
        raise ModelError(f"{model} is a file: --model takes a folder with config.json and weights, or a hub name")
    if path.is_dir():
        if (path / "config.json").is_file():
            return
        if (path / "adapter_config.json").is_file():
            raise ModelError(f"{model} holds an adapter and no model: give the folder that it was merged into")
        raise ModelError(f"{model} is not a model folder: it has no config.json; give one that transformers can load")
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1 or model.endswith("/"):
        raise ModelError(f"there is no model folder {model}: --model takes a folder, or a hub name such as OWNER/NAME")


def load_tokenizer(model: str, revision: str | None = None) -> Any:
    """Return the tokenizer, with a padding token; `revision` is of a name on the hub.

    Raises:
        ModelError: none there, or one without a chat template.
    """
    tokenizer = _load(
        model, "tokenizer", lambda: AutoTokenizer.from_pretrained(model, trust_remote_code=False, **_at(revision))
    )
    if not tokenizer.chat_template:
        raise ModelError(
            f"the tokenizer of {model} has no chat template: take an instruct model, or put a chat_template.jinja "
            "into the model's folder"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def read_context(model: str, revision: str | None = None) -> int | None:
    """Return how many tokens the model can take, or None where its config doesn't say."""
    config = _read_config(model, revision)
    found = getattr(config.get_text_config(), "max_position_embeddings", None)
    return found if isinstance(found, int) and found > 0 else None


def read_dtype(model: str, revision: str | None = None) -> Any:
    """Return the precision of the model's files, a torch.dtype; None where its config doesn't say."""
    return getattr(_read_config(model, revision).get_text_config(), "dtype", None)


def read_commit(model: str, revision: str | None = None) -> str:
    """Return the commit that a name on the hub stands for, 40 hexadecimal digits.

    Raises:
        ModelError: there is no such name, or it can't be reached.
    """
    path = _load(model, "config", lambda: cached_file(model, CONFIG_NAME, **_at(revision)))
    return Path(path).parent.name  # the hub's cache holds each commit in a folder named by it


def load_model(model: str, arguments: Any) -> Any:
    """Return the model as TRL loads it: weights in 32 bits unless `model_init_kwargs.dtype` says otherwise.

    Raises:
        ModelError: the weights are missing or damaged.
    """
    from trl.trainer.utils import create_model_from_path  # slow to import, and of no use to who only samples

    options = dict(arguments.model_init_kwargs or {})
    if arguments.distributed_state.distributed_type in {"MULTI_GPU", "DEEPSPEED"}:
        options["device_map"] = None
    options.setdefault("trust_remote_code", arguments.trust_remote_code)
    return _load(model, "model", lambda: create_model_from_path(model, **options))


def load_weights(model: str, dtype: str) -> Any:
    """Return the model to sample from, on the CPU; `dtype` is a name of torch's, or auto for that of the files.

    Raises:
        ModelError: the weights are missing or damaged.
    """
    return _load(
        model, "model", lambda: AutoModelForCausalLM.from_pretrained(model, dtype=dtype, trust_remote_code=False)
    )


def _read_config(model: str, revision: str | None) -> Any:
    return _load(model, "config", lambda: AutoConfig.from_pretrained(model, trust_remote_code=False, **_at(revision)))


def _at(revision: str | None) -> dict[str, str]:
    return {"revision": revision} if revision else {}


def _load(model: str, what: str, load: Any) -> Any:
    """Call a loader of transformers; what it says of a folder or a name becomes one line."""
    try:
        return load()
    except MemoryError:
        raise
    except Exception as error:  # each file format of a model has its own errors
        if _is_out_of_memory(error):
            raise
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(f"the {what} of {model} can't be loaded: {said[:300]}") from None


def _is_out_of_memory(error: Exception) -> bool:
    return type(error).__name__ == "OutOfMemoryError"
