"""Samples K responses to each prompt from a policy. They are stored batch by batch; interruptions don't change them.

    settings.py        settings, prompts, samples, seeds
    samples.py         the loop, and the file that it resumes from
    backends.py        chooses the backend that samples
    policy.py          loads tokenizer and weights; encodes prompts, decodes answers
    turn_end.py        finds the token that ends a turn, and names it in a model's files
    tokens.py          finds tokens that a model has no weights for, and special tokens in texts
    quiet.py           silences libraries
    precision.py       chooses bfloat16 where the machine computes in it, else 32 bits
    transformers.py    batched generation in this process
    vllm.py            vLLM in this process, if installed
    endpoint.py        any OpenAI-compatible endpoint; and llama.cpp, for GGUF files and embedded models

All but `policy`, `turn_end`, `transformers` and `vllm` can be imported without the extra `train`. Nothing here depends
on training.
"""

from autoif.sampling.backends import Backend, open_sampler
from autoif.sampling.samples import sample_all
from autoif.sampling.settings import Draw, Sample, Sampler, SamplingPrompt, SamplingSettings

__all__ = [
    "Backend", "Draw", "Sample", "Sampler", "SamplingPrompt", "SamplingSettings", "open_sampler", "sample_all",
]  # fmt: skip
