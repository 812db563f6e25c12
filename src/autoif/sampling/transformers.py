"""Samples with transformers: batched generation in this process, on a GPU if there is one."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig

from autoif.errors import ModelError
from autoif.messages import Say
from autoif.models.requests import Completion
from autoif.sampling import policy
from autoif.sampling.precision import describe_slow
from autoif.sampling.settings import Draw, SamplingSettings, seed_rows
from autoif.sampling.tokens import check_tokens
from autoif.sampling.turn_end import find_turn_end, read_ends


class TransformersSampler:
    """Generates in batches; see `settings.Sampler`."""

    def __init__(self, model: Any, tokenizer: Any, context: int | None, settings: SamplingSettings, say: Say) -> None:
        self.batch_size = settings.batch_size
        self._model = model
        self._tokenizer = tokenizer
        self._context = context
        self._settings = settings
        self._say = say
        self._ends = _read_ends(model, tokenizer)
        self._pad = 0 if tokenizer.pad_token_id is None else tokenizer.pad_token_id  # any token will do: it is masked

    def sample(self, rows: Sequence[Draw]) -> list[Completion]:
        """Return an answer to each row.

        Rows whose prompts leave less room than `max_tokens` are generated separately, so that none exceeds the context.

        Raises:
            ConfigError: the chat template refuses a prompt.
            ModelError: the memory is too small for a single response, or the model has no weights for a token.
        """
        encoded = [
            policy.encode_prompt(self._tokenizer, row.prompt, self._settings.chat_template_kwargs) for row in rows
        ]
        vocabulary = self._model.get_input_embeddings().num_embeddings
        for row, tokens in zip(rows, encoded, strict=True):
            check_tokens(tokens, self._tokenizer, vocabulary, f"prompt {row.prompt.id}")
        groups: dict[int, list[int]] = defaultdict(list)
        for place, tokens in enumerate(encoded):
            groups[policy.measure_room(len(tokens), self._settings.max_tokens, self._context)].append(place)
        answers: dict[int, Completion] = {}
        for room, places in groups.items():
            group = [(rows[place], encoded[place]) for place in places]
            answers.update(zip(places, self._generate(group, room), strict=True))
        return [answers[place] for place in range(len(rows))]

    def close(self) -> None:
        """Free the model's memory, even if the sampler itself is still referenced."""
        self._model = None
        policy.free_memory()

    def _generate(self, group: Sequence[tuple[Draw, list[int]]], room: int) -> list[Completion]:
        """Generate all together, or in halves if the memory is too small for that."""
        if room == 0:
            return [Completion("", "length")] * len(group)
        try:
            return self._generate_together(group, room)
        except RuntimeError as error:
            if not policy.is_out_of_memory(error):
                raise
        policy.free_memory()  # not within `except`, where the traceback would keep the tensors alive
        if len(group) == 1:
            raise ModelError(
                f"out of memory at a single response: lower max_tokens (now {self._settings.max_tokens}), or sample "
                "through vLLM or an endpoint"
            )
        half = len(group) // 2
        self._say(
            f"out of memory at {len(group)} responses together: divided; a lower batch_size spares the failed tries"
        )
        return self._generate(group[:half], room) + self._generate(group[half:], room)

    def _generate_together(self, group: Sequence[tuple[Draw, list[int]]], room: int) -> list[Completion]:
        device = self._model.device
        width = max(len(tokens) for _, tokens in group)
        pad = self._pad
        # Padded on the left, as generation goes on from the last column.
        tokens = torch.tensor([[pad] * (width - len(each)) + each for _, each in group], device=device)
        mask = torch.tensor([[0] * (width - len(each)) + [1] * len(each) for _, each in group], device=device)
        with torch.inference_mode(), torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed_rows(self._settings.seed, [row for row, _ in group]))
            self._model.generation_config = self._make_config(room)
            generated = self._model.generate(input_ids=tokens, attention_mask=mask)
        written = generated[:, width:].tolist()
        return [self._read(answer, prompt) for answer, (_, prompt) in zip(written, group, strict=True)]

    def _make_config(self, room: int) -> Any:
        """Return a config for the policy's plain distribution: no top-k and no penalties, whatever the folder says."""
        settings = self._settings
        draw = {"do_sample": True, "temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0}
        return GenerationConfig(
            max_new_tokens=room,
            eos_token_id=sorted(self._ends) or None,
            pad_token_id=self._pad,
            **(draw if settings.temperature else {"do_sample": False}),
        )

    def _read(self, tokens: list[int], prompt: list[int]) -> Completion:
        end = next((place for place, token in enumerate(tokens) if token in self._ends), None)
        return policy.read_tokens(self._tokenizer, tokens[:end], prompt, "length" if end is None else "stop")


@contextmanager
def open_transformers(model: str, settings: SamplingSettings, say: Say) -> Iterator[TransformersSampler]:
    """Load a model folder, or a name on the hub; free its memory at the end.

    Raises:
        ModelError: there is no model or no chat template, or the memory is too small for the weights.
    """
    policy.check_model(model)
    tokenizer, context = policy.load_tokenizer(model), policy.read_context(model)
    weights = policy.load_to_answer(model, settings.dtype)
    if slow := describe_slow(weights.dtype, "choose float32 (--dtype, or online.dtype)"):
        say(slow)
    sampler = TransformersSampler(weights, tokenizer, context, settings, say)
    del weights
    try:
        yield sampler
    finally:
        sampler.close()


def _read_ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return all tokens that end an answer: those in the model's files, and the chat template's.

    A chat model often has two. The files of a base model don't name that of its template.
    """
    found = {tokenizer.eos_token_id, find_turn_end(tokenizer)} - {None}
    return frozenset({*found, *read_ends(model.generation_config), *read_ends(model.config)})
