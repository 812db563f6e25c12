"""Samples with vLLM in this process. Each response has its own seed, so none depends on the batch.

vLLM gets prompts as tokens, encoded as in training, so that both see the same.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import vllm  # type: ignore[import-not-found]

from autoif.errors import ModelError, first_line
from autoif.models.requests import Completion
from autoif.sampling.policy import check_model, encode_prompt, load_tokenizer, measure_room, read_tokens
from autoif.sampling.settings import Draw, SamplingSettings, seed_rows
from autoif.sampling.turn_end import find_turn_end

_BATCH = 1024
"""vLLM itself schedules what runs together. This many responses are lost at most when the machine goes down."""


class VllmSampler:
    """Generates through vLLM; see `settings.Sampler`."""

    batch_size = _BATCH

    def __init__(self, engine: Any, tokenizer: Any, settings: SamplingSettings) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._settings = settings
        self._end = find_turn_end(tokenizer)

    def sample(self, rows: Sequence[Draw]) -> list[Completion]:
        """Return an answer to each row. If a prompt fills the context, its answer is empty, and cut by length.

        Raises ConfigError: the chat template refuses a prompt.
        """
        context = self._engine.llm_engine.model_config.max_model_len
        prompts, parameters, asked_places = [], [], []
        for place, row in enumerate(rows):
            tokens = encode_prompt(self._tokenizer, row.prompt, self._settings.chat_template_kwargs)
            room = measure_room(len(tokens), self._settings.max_tokens, context)
            if room:
                asked_places.append(place)
                prompts.append({"prompt_token_ids": tokens})
                parameters.append(self._make_parameters(row, room))
        answers = [Completion("", "length")] * len(rows)
        outputs = self._engine.generate(prompts, parameters, use_tqdm=False)
        for place, prompt, output in zip(asked_places, prompts, outputs, strict=True):
            [found] = output.outputs
            answers[place] = self._read(found, prompt["prompt_token_ids"])
        return answers

    def _read(self, found: Any, prompt: list[int]) -> Completion:
        """Read an answer. If it stopped by itself, its last token is the one that ended it, and is left out."""
        ended = found.finish_reason == "stop"
        tokens = list(found.token_ids)
        return read_tokens(self._tokenizer, tokens[:-1] if ended else tokens, prompt, "stop" if ended else "length")

    def _make_parameters(self, row: Draw, room: int) -> Any:
        settings = self._settings
        return vllm.SamplingParams(
            n=1,
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_tokens=room,
            stop_token_ids=[] if self._end is None else [self._end],  # the files of a base model don't name it
            seed=seed_rows(settings.seed, [row]),
        )


@contextmanager
def open_vllm(model: str, settings: SamplingSettings) -> Iterator[VllmSampler]:
    """Start vLLM on a model folder, or a name on the hub; end it and free its memory at the end.

    Raises:
        ModelError: there is no model or no chat template, or vLLM can't start on it.
    """
    check_model(model)
    tokenizer = load_tokenizer(model)
    try:
        options = {"dtype": settings.dtype, "seed": settings.seed, **settings.engine_options()}
        engine = vllm.LLM(model=model, trust_remote_code=False, **options)
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelError(f"vLLM can't start on {model}: {first_line(error)}") from None
    sampler = VllmSampler(engine, tokenizer, settings)
    try:
        yield sampler
    finally:
        del sampler._engine, engine
        gc.collect()  # the engine's process ends with the last reference to it
        vllm.distributed.cleanup_dist_env_and_memory()
