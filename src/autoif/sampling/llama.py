"""Sampling with llama.cpp on this machine: GGUF files, and the embedded models by name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from autoif.models.embedded import EmbeddedServer
from autoif.models.endpoint import Endpoint
from autoif.sampling.endpoint import EndpointSampler, open_endpoint
from autoif.sampling.settings import SamplingSettings

_PROMPT_TOKENS = 4096
"""Room for a prompt, where the model's context has it: FollowBench's longest take 2,000 to 3,000."""
_MOST_SLOTS = 8
"""More make nothing faster on a CPU, and each takes memory (`models.embedded`)."""


@contextmanager
def open_model(model: str, settings: SamplingSettings, say: Callable[[str], None]) -> Iterator[EndpointSampler]:
    """Start llama.cpp with a model, and end it afterwards; `batch_size` bounds how many answers it gives at once.

    Raises:
        ModelError: the model can't be loaded, or llama.cpp is not installed.
    """
    server = EmbeddedServer(
        model,
        slots=min(settings.batch_size, _MOST_SLOTS),
        context_tokens=_PROMPT_TOKENS + settings.max_tokens,
        truncate_sampling=False,
    )
    say(f"{model}: llama.cpp starts")
    with server, open_endpoint(server.endpoint(Endpoint()), settings) as sampler:
        yield sampler
