"""Chooses the backend that samples.

That is an endpoint if one is given, llama.cpp for GGUF files, vLLM where it is installed and has a GPU, and otherwise
transformers.
"""

import importlib.util
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

from autoif.errors import ConfigError
from autoif.messages import Say
from autoif.models.catalog import runs_in_llama_cpp
from autoif.models.endpoint import Endpoint
from autoif.sampling.settings import Sampler, SamplingSettings

Chosen = Literal["llama", "transformers", "vllm"] | Endpoint
Backend = Literal["auto"] | Chosen


@contextmanager
def open_sampler(
    model: str, settings: SamplingSettings, backend: Backend = "auto", say: Say = print
) -> Iterator[Sampler]:
    """Load a policy, or connect to the endpoint that serves it; its memory is freed afterwards.

    Args:
        model: a model folder, a name on the hub, a GGUF file or an embedded model. An endpoint names its model itself.
        settings: how to draw.
        backend: see `choose_backend`.
        say: gets a line when a batch has to be divided.

    Raises ConfigError: a package that the backend needs is not installed, or settings for vLLM are given and another
        backend samples.
    """
    chosen = choose_backend(backend, model)
    if chosen != "vllm" and (options := settings.engine_options()):
        name = chosen if isinstance(chosen, str) else chosen.base_url
        raise ConfigError(
            f"{', '.join(options)} can't be set: it is for vLLM in this process, and {name} samples; leave it out, or "
            "choose the backend vllm"
        )
    try:
        opened = _open(chosen, model, settings, say)
    except ImportError as error:
        missing = "vllm" if chosen == "vllm" else "'autoif[train]'"
        raise ConfigError(f"sampling with {chosen} needs {error.name}: pip install {missing}") from None
    with opened as sampler:
        yield sampler


def _open(chosen: Chosen, model: str, settings: SamplingSettings, say: Say) -> AbstractContextManager[Sampler]:
    """Open the chosen backend; only its module, and so only its packages, are imported."""
    if isinstance(chosen, Endpoint):
        from autoif.sampling.endpoint import open_endpoint

        return open_endpoint(chosen, settings)
    if chosen == "llama":
        from autoif.sampling.endpoint import open_llama

        return open_llama(model, settings, say)
    if chosen == "vllm":
        from autoif.sampling.vllm import open_vllm

        return open_vllm(model, settings)
    from autoif.sampling.transformers import open_transformers

    return open_transformers(model, settings, say)


def choose_backend(backend: Backend, model: str) -> Chosen:
    """Return the backend that `auto` means for this model on this machine; any other backend is returned as it is."""
    if backend != "auto":
        return backend
    if runs_in_llama_cpp(model):
        return "llama"
    return "vllm" if importlib.util.find_spec("vllm") is not None and _has_gpu() else "transformers"


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())
