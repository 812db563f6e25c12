"""Records of sampling, the same for every backend: settings, prompts and samples."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import Field, JsonValue

from autoif.errors import ConfigError
from autoif.given_values import Settings
from autoif.models.requests import Completion, FinishReason, sampling_seed
from autoif.records import Record
from autoif.sampling.precision import Precision

ENGINE_OPTIONS = ("tensor_parallel_size", "gpu_memory_utilization", "max_model_len")
"""Settings that only vLLM has."""
_TOKENIZER_OPTIONS = frozenset({
    "add_generation_prompt", "chat_template", "continue_final_message", "conversation", "max_length", "messages",
    "padding", "return_assistant_tokens_mask", "return_dict", "return_tensors", "sanitize_control_tokens", "tokenize",
    "tokenizer_kwargs", "truncation",
})  # fmt: skip


def check_template_kwargs(names: Iterable[str]) -> None:
    """Raise ConfigError for options that no template gets, as the tokenizer takes them itself (such as a length)."""
    if own := _TOKENIZER_OPTIONS & {*names}:
        raise ConfigError(f"chat_template_kwargs: {', '.join(sorted(own))} can't be set: no chat template gets it")


class GenerationSettings(Settings):
    """How a model generates responses, in evaluations and in the rounds of online data."""

    temperature: float = Field(default=0.8, ge=0, le=2)
    """§3.4: 0.8; 0 always takes the likeliest token."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=1024, ge=1)
    """The most tokens of a response; fewer if the model's context ends earlier."""
    seed: int = 0
    batch_size: int = Field(default=32, ge=1)
    """Responses that transformers generates together. The samples depend on it; other backends ignore it."""
    dtype: Precision = "bfloat16"
    """Precision of the weights while generating, under transformers and vLLM; auto is that of the files."""
    chat_template_kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    """Variables for the chat template, such as {"enable_thinking": false}; they are sent to a server, too."""
    tensor_parallel_size: int | None = Field(default=None, ge=1, exclude=True)
    """GPUs that vLLM splits the model over. This and the next two are for vLLM only; None leaves the choice to vLLM."""
    gpu_memory_utilization: float | None = Field(default=None, gt=0, le=1, exclude=True)
    """Share of each GPU's memory that vLLM takes."""
    max_model_len: int | None = Field(default=None, ge=1, exclude_if=lambda found: found is None)
    """Tokens of prompt and answer together that vLLM makes room for. Answers depend on it, so it is stored if set."""

    def engine_options(self) -> dict[str, int | float]:
        """Return the vLLM-only settings that are set, under vLLM's names."""
        return {name: value for name in ENGINE_OPTIONS if (value := getattr(self, name)) is not None}


class SamplingSettings(GenerationSettings):
    """How responses are drawn."""

    responses: int = Field(default=8, ge=1)
    """Responses to each prompt (§3.4: K)."""


class SamplingPrompt(Record):
    """A conversation that ends before the assistant's turn."""

    id: str
    """Made from its content. The sampling seeds come from it."""
    messages: tuple[dict[str, str], ...] = Field(min_length=1)
    """Turns with `role` and `content`."""


class Sample(Record):
    """One response, as a line of a file of samples."""

    prompt_id: str
    index: int
    """0 to K - 1."""
    text: str
    """The answer alone."""
    finish_reason: FinishReason
    reasoning: str = ""
    """The thought before the answer."""
    detail: str = ""
    """For a refusal, the server's own sentence; for an unknown finish reason, what the server wrote."""

    @property
    def completion(self) -> Completion:
        """The sample as a completion."""
        return Completion(self.text, self.finish_reason, reasoning=self.reasoning, detail=self.detail)


@dataclass(frozen=True, slots=True)
class Draw:
    """One response to be drawn."""

    prompt: SamplingPrompt
    index: int


class Sampler(Protocol):
    """A policy that is ready to answer."""

    batch_size: int
    """Rows of one call. It is the same in every run, as the answers may depend on it."""

    def sample(self, rows: Sequence[Draw]) -> list[Completion]:
        """Return an answer to each row, in order."""
        ...


def seed_rows(seed: int, rows: Sequence[Draw]) -> int:
    """Return the seed, 0 to 2^31 - 1, of rows that are drawn together. It depends on their content alone."""
    return sampling_seed("sampling", seed, [[row.prompt.id, row.index] for row in rows])
