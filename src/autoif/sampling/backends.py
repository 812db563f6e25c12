"""Which backend samples: llama.cpp for GGUF files, vLLM where it is installed and has a GPU, else transformers; or an
endpoint by name."""

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from autoif.errors import ConfigError
from autoif.models.endpoint import Endpoint
from autoif.models.gguf import runs_in_llama_cpp
from autoif.sampling.settings import Sampler, SamplingSettings

Chosen = Literal["llama", "transformers", "vllm"] | Endpoint
Backend = Literal["auto"] | Chosen


@contextmanager
def open_sampler(
    model: str, settings: SamplingSettings, backend: Backend = "auto", say: Callable[[str], None] = print
) -> Iterator[Sampler]:
    """Load a policy, or connect to the endpoint that serves it; its memory is free again afterwards.

    Args:
        model: a model folder, a name on the hub, a GGUF file or an embedded model; an endpoint has a name of its own.
        settings: how to draw.
        backend: see `choose_backend`.
        say: gets a line when a batch has to be divided.

    Raises:
        ConfigError: what the backend needs is not installed.
        ModelError: the model can't be used.
    """
    chosen = choose_backend(backend, model)
    if isinstance(chosen, Endpoint):
        from autoif.sampling.endpoint import open_endpoint

        with open_endpoint(chosen, settings) as sampler:
            yield sampler
        return
    try:
        module = importlib.import_module(f"autoif.sampling.{chosen}")
    except ImportError as error:
        missing = "vllm" if chosen == "vllm" else "'autoif[train]'"
        raise ConfigError(f"sampling with {chosen} needs {error.name}: pip install {missing}") from None
    with module.open_model(model, settings, say) as sampler:
        yield sampler


def choose_backend(backend: Backend, model: str) -> Chosen:
    """Return the backend that `auto` stands for with this model on this machine; any other as it is."""
    if backend != "auto":
        return backend
    if runs_in_llama_cpp(model):
        return "llama"
    return "vllm" if importlib.util.find_spec("vllm") is not None and _has_gpu() else "transformers"


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())
