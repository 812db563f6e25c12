"""Sampling from a policy: K responses to each prompt, stored batch by batch, the same however often it is interrupted.

    settings.py        what to sample: settings, prompts, samples, seeds
    samples.py         the loop, and the file that it goes on from
    backends.py        which backend samples
    tokens.py          prompts as tokens, the room that the context leaves, and tokens as answers
    transformers.py    batched generation in this process
    vllm.py            vLLM in this process, if installed
    llama.py           llama.cpp in a process of its own: GGUF files and embedded models
    endpoint.py        any OpenAI-compatible endpoint that serves the policy

`settings` and `samples` can be imported without the extra `train`.
"""

from autoif.sampling.backends import Backend, open_sampler
from autoif.sampling.samples import sample_all
from autoif.sampling.settings import Row, Sample, Sampler, SamplingPrompt, SamplingSettings

__all__ = [
    "Backend",
    "Row",
    "Sample",
    "Sampler",
    "SamplingPrompt",
    "SamplingSettings",
    "open_sampler",
    "sample_all",
]
