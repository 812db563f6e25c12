"""The model that answers: a model folder through lm-eval's own model class, or a GGUF file or an endpoint in chats.

Both are samplers (`autoif.sampling`), so that answers are stored batch by batch and an interrupted evaluation resumes.
The answer to multiple choice is the log-likelihood of each choice, stored as JSON: [[-1.5, false], …].
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from autoif.errors import ConfigError, ModelError
from autoif.evaluation.general.data import GeneralSettings
from autoif.evaluation.general.definitions import Requests
from autoif.messages import Say
from autoif.models.requests import Completion, FinishReason
from autoif.models.wire import read_text
from autoif.sampling import Backend, Draw, Sampler, SamplingSettings, open_sampler
from autoif.sampling.quiet import keep_quiet
from autoif.sampling.settings import seed_rows
from autoif.sampling.tokens import check_tokens

_CHOICES_AT_ONCE = 8
"""How many batches of multiple choice are stored together: lm-eval sorts them by length. Generated answers take longer,
and are stored batch by batch."""


class FolderModel:
    """A model folder or a name on the hub, loaded when first needed. It continues plain texts, or answers in chats."""

    def __init__(self, name: str, settings: GeneralSettings) -> None:
        self.name = name
        self._settings = settings

    @cached_property
    def lm(self) -> Any:
        """lm-eval's model. Raises ModelError: it can't be loaded completely, or its tokenizer names no end token."""
        from lm_eval.models.huggingface import HFLM

        from autoif.sampling.policy import load_named, load_to_answer

        size, arguments = self._settings.batch_size, self._settings.chat_template_kwargs
        with keep_quiet():
            model = load_to_answer(self.name, self._settings.dtype)  # lm-eval would draw missing weights at random
            loaded = load_named(
                self.name, "tokenizer", lambda: HFLM(pretrained=model, batch_size=size, chat_template_args=arguments)
            )
        if loaded.tokenizer.eos_token_id is None:
            raise ModelError(f"the tokenizer of {self.name} names no end: set eos_token in its tokenizer_config.json")
        return loaded

    def read_template(self) -> Callable[..., str] | None:
        """Return the function that applies the chat template; None if the model is asked in plain text.
        Raises ConfigError: the model has no chat template."""
        if not self._settings.chat_template:
            return None
        if not self.lm.tokenizer.chat_template:
            raise ConfigError(f"the tokenizer of {self.name} has no chat template: leave out --chat-template")
        template: Callable[..., str] = self.lm.apply_chat_template
        return template

    def phrase(self, instances: Sequence[Any]) -> tuple[dict[str, str], ...]:
        """Return the messages of a question."""
        return ({"role": "user", "content": instances[0].args[0]},)

    @contextmanager
    def open(self, requests: Requests, settings: SamplingSettings) -> Iterator[Sampler]:
        """Yield the sampler for these questions. Raises ConfigError: the context has no room for an answer."""
        if any(map(_generates, requests.values())) and self.lm.max_length <= settings.max_tokens:
            raise ConfigError(
                f"the context of {self.name}, {self.lm.max_length} tokens, leaves no room for answers of "
                f"{settings.max_tokens}: lower --max-tokens"
            )
        yield _LocalSampler(self.lm, requests, settings)


@dataclass(frozen=True, slots=True)
class ChatModel:
    """A model at an OpenAI-compatible endpoint or in llama.cpp, with the interface of `FolderModel`. The server applies
    the chat template.
    """

    name: str
    backend: Backend
    say: Say

    def read_template(self) -> Callable[..., str] | None:
        return lambda turns, **_: json.dumps(turns)

    def phrase(self, instances: Sequence[Any]) -> tuple[dict[str, str], ...]:
        return tuple(json.loads(instances[0].args[0]))

    @contextmanager
    def open(self, requests: Requests, settings: SamplingSettings) -> Iterator[Sampler]:
        with open_sampler(self.name, settings, self.backend, self.say) as sampler:
            yield sampler


Answerer = FolderModel | ChatModel
"""A model that questions can be put to."""


class _LocalSampler:
    """A `sampling.Sampler` that passes lm-eval's requests to lm-eval's model.

    If a question did not fit into the context and lost its beginning, its answer has the finish reason `length`.
    """

    def __init__(self, lm: Any, requests: Requests, settings: SamplingSettings) -> None:
        generates = any(_generates(some) for some in requests.values())
        self.batch_size = settings.batch_size * (1 if generates else _CHOICES_AT_ONCE)
        self._lm = lm
        self._requests = requests
        self._settings = settings

    def sample(self, rows: Sequence[Draw]) -> list[Completion]:
        import torch

        asked = [self._requests[row.prompt.id] for row in rows]
        everything = [instance for some in asked for instance in some]
        known = self._lm.model.get_input_embeddings().num_embeddings
        if len(self._lm.tokenizer) > known:  # otherwise every token has an embedding
            for instance in everything:
                tokens = self._lm.tok_encode("".join(map(str, instance.args[: 1 + (not _generates([instance]))])))
                check_tokens(tokens, self._lm.tokenizer, known, "a question")
        with keep_quiet(), torch.random.fork_rng():
            torch.manual_seed(seed_rows(self._settings.seed, rows))
            replies = iter(getattr(self._lm, everything[0].request_type)(everything, disable_tqdm=True))
        answers = []
        for instances in asked:
            found = [next(replies) for _ in instances]
            ended: FinishReason = "length" if any(map(self._is_cut, instances)) else "stop"
            if isinstance(found[0], str):
                answers.append(read_text(found[0], ended, clean=False))
            else:
                answers.append(Completion(json.dumps(found), ended))
        return answers

    def _is_cut(self, instance: Any) -> bool:
        text, room = instance.args[0], self._lm.max_length - self._settings.max_tokens
        if instance.request_type == "loglikelihood":
            text, room = text + instance.args[1], self._lm.max_length + 1
        return bool(len(self._lm.tok_encode(text)) > room)


def _generates(instances: Sequence[Any]) -> bool:
    return bool(instances[0].request_type == "generate_until")
