"""Sampling from a policy: K responses to each prompt, stored batch by batch; interruptions don't change them.

    settings.py        what to sample: settings, prompts, samples, seeds
    samples.py         the loop, and the file that it resumes from
    backends.py        which backend samples
    policy.py          tokenizer, weights and context; prompts as tokens, tokens as answers; what ends a turn
    tokens.py          tokens without weights, and special tokens in texts
    quiet.py           silence around libraries
    precision.py       bfloat16 where the machine computes in it, else 32 bits
    transformers.py    batched generation in this process
    vllm.py            vLLM in this process, if installed
    endpoint.py        any OpenAI-compatible endpoint; llama.cpp, which is one: GGUF files and embedded models

All but `policy`, `transformers` and `vllm` can be imported without the extra `train`. Nothing here knows of training.
"""

from autoif.sampling.backends import Backend, open_sampler
from autoif.sampling.samples import sample_all
from autoif.sampling.settings import Draw, Sample, Sampler, SamplingPrompt, SamplingSettings

__all__ = [
    "Backend", "Draw", "Sample", "Sampler", "SamplingPrompt", "SamplingSettings", "open_sampler", "sample_all",
]  # fmt: skip
