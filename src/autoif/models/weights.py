"""Converts a GGUF file, as llama.cpp runs it, into a folder that transformers can load and train.

The weights are dequantised to bf16. This is for small models of the catalog, where no hub can be reached.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path

from autoif.errors import ModelError, StoreError


def write_weights(gguf: Path, folder: Path) -> None:
    """Write the model and the tokenizer of a GGUF file to a new folder, completely or not at all.

    Raises:
        ModelError: transformers can't read the file, or is not installed.
        StoreError: the folder can't be written, or exists already.
    """
    if folder.exists():
        raise StoreError(f"{folder} is there already: remove it, or choose another folder")
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        _convert(gguf, unfinished)
        unfinished.rename(folder)
    except ImportError as error:
        raise ModelError(f"weights need {error.name}: pip install 'autoif[train]'") from None
    except OSError as error:
        raise StoreError(f"{folder} can't be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _convert(gguf: Path, folder: Path) -> None:
    import_module("gguf")  # if it is missing, transformers would fail only later and with another error
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    try:
        with _making_once("GGUFReader", "get_tensor_name_map"):
            read = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.bfloat16, trust_remote_code=False)
            tokenizer = AutoTokenizer.from_pretrained(**source, trust_remote_code=False)
    except (ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"transformers can't read {gguf.name} ({str(error).splitlines()[0][:200]})") from None
    config = read.config
    del config.quantization_config  # with it, transformers would refuse to train the model
    with torch.device("meta"):  # no weights are initialised, as they would be replaced
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict(read.state_dict(), assign=True)
    model.tie_weights()
    model.generation_config = read.generation_config
    model.generation_config.do_sample = True  # the file has a temperature, which greedy decoding would contradict
    folder.parent.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def _making_once(*names: str) -> Iterator[None]:
    """Cache what these names of gguf make: transformers would read the file three times, and map names 397 times."""
    package = import_module("gguf")
    plain = {name: getattr(package, name) for name in names}
    for name, make in plain.items():
        setattr(package, name, cache(make))
    try:
        yield
    finally:
        for name, make in plain.items():
            setattr(package, name, make)
