"""Options for the model that `autoif eval` asks: MODEL and its sampling, or recorded --responses.

The commands differ only in their defaults. Each receives one `policy`: a model with its sampling settings, or the path
of recorded responses.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from pydantic import JsonValue, TypeAdapter, ValidationError

from autoif.cli.options import Command, LocalPath, gather_options
from autoif.errors import ConfigError
from autoif.messages import Say
from autoif.models.catalog import runs_in_llama_cpp
from autoif.models.endpoint import Endpoint
from autoif.sampling import Backend, SamplingSettings, open_sampler
from autoif.sampling.precision import choose_precision
from autoif.sampling.settings import check_template_kwargs

if TYPE_CHECKING:
    from autoif.evaluation.benchmark import Subject

FindFiles = Callable[[Path, str], Sequence[Path]]


def _read_template_kwargs(context: click.Context, parameter: click.Parameter, text: str) -> dict[str, JsonValue]:
    try:
        given = TypeAdapter(dict[str, JsonValue]).validate_json(text)
    except ValidationError:
        raise ConfigError(
            f"--chat-template-kwargs {text}: write a JSON object, as in '{{\"enable_thinking\": false}}'"
        ) from None
    check_template_kwargs(given)
    return given


CHAT_TEMPLATE_KWARGS = click.option(
    "--chat-template-kwargs", default="{}", metavar="JSON", callback=_read_template_kwargs,
    help="Arguments for MODEL's chat template, such as '{\"enable_thinking\": false}'.",
)  # fmt: skip
BACKEND = click.option(
    "--backend", type=click.Choice(["auto", "transformers", "vllm"]), default="auto", show_default=True,
    help="Engine that samples from a folder or a name on the hub.",
)  # fmt: skip
API_KEY_ENV = click.option(
    "--api-key-env", default="OPENAI_API_KEY", show_default=True, help="Variable with the endpoint's key."
)
KEEP_THINKING = click.option(
    "--keep-thinking/--strip-thinking",
    default=False,
    show_default=True,
    help="Judge the thought before an answer (<think>…</think>) as well.",
)


@dataclass(frozen=True, slots=True)
class SampledModel:
    """A model to sample from, and how."""

    name: str
    """Folder or name, as the user wrote it."""
    backend: Backend
    settings: SamplingSettings

    @property
    def local_name(self) -> str:
        """The folder or the name on the hub; "" for an endpoint, whose model names say nothing about training."""
        return "" if isinstance(self.backend, Endpoint) else self.name


SampledOrRecorded = SampledModel | Path
"""What a command receives as `policy`: a model, or the path of recorded responses."""


def take_subject(policy: SampledOrRecorded, say: Say, find_files: FindFiles | None = None) -> "Subject":
    """Return the policy as a `Subject` of evaluation; `find_files` lists the files in a folder of responses."""
    from autoif.evaluation.benchmark import Subject, take_recorded
    from autoif.evaluation.provenance import identify_policy

    if isinstance(policy, Path):
        return take_recorded(policy, find_files(policy, "responses") if find_files and policy.is_dir() else ())
    name, settings, backend = policy.name, policy.settings, policy.backend
    return Subject(name, identify_policy(name, backend), settings, lambda: open_sampler(name, settings, backend, say))


def model_options(
    *, recorded: str, samples: int, temperature: float, max_tokens: int | None, plain: bool = True
) -> list[Callable[[Command], Command]]:
    """Return the argument MODEL and the options of sampling and --responses that all commands share.

    Args:
        recorded: metavar and help of --responses, as in "FILE: Score recorded responses".
        samples, temperature, max_tokens: the command's defaults; None for lm-eval's own number.
        plain: whether the command samples responses to each prompt itself. Otherwise lm-eval asks, and the options of
            sampling apply to programs only.
    """
    form, _, purpose = recorded.partition(": ")
    texts = {"samples": "Responses to each prompt, with a seed each; averaged.", "tokens": "Tokens of a response."}
    if not plain:
        texts = {
            "samples": "Programs for each question.",
            "tokens": "Tokens of a written answer, instead of lm-eval's number (256 for gsm8k, 1024 for humaneval).",
        }
    return [
        click.argument("model", required=False),
        click.option(
            "--responses", type=LocalPath(), metavar=form, help=f"{purpose}, and ask no model."
        ),
        click.option(
            "--samples", type=click.IntRange(min=1), default=samples, show_default=True, help=texts["samples"]
        ),
        click.option(
            "--temperature", type=click.FloatRange(0, 2), default=temperature, show_default=True,
            help="0 takes the likeliest token." if plain else "For programs; all else takes the likeliest token.",
        ),
        click.option(
            "--top-p", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True,
            help="Tokens are drawn from this share of the probability." if plain else "For programs.",
        ),
        click.option(
            "--max-tokens", type=click.IntRange(min=1), default=max_tokens, show_default=plain, help=texts["tokens"]
        ),
        click.option(
            "--seed", type=int, default=0, show_default=True,
            help="Seed of the sampling." if plain else "Seed of the sampling and of --limit.",
        ),
        click.option(
            "--batch-size", type=click.IntRange(min=1), default=32 if plain else 8, show_default=True,
            help="Responses at once.",
        ),
        click.option(
            "--dtype", type=click.Choice(["auto", "bfloat16", "float16", "float32"]),
            show_default=f"{'bfloat16' if plain else 'auto'}, and float32 on a processor without bfloat16",
            help="Precision of the weights; auto is that of the files.",
        ),
        click.option("--base-url", metavar="URL", help="OpenAI-compatible endpoint that serves MODEL; ends in /v1."),
        API_KEY_ENV,
        CHAT_TEMPLATE_KWARGS,
    ]  # fmt: skip


def policy_options(*, samples: int, temperature: float, max_tokens: int, recorded: str) -> Callable[[Command], Command]:
    """Add --keep-thinking and the options of the model to a command, which receives the latter as one `policy`.

    The parameters are those of `model_options`.
    """
    options = model_options(recorded=recorded, samples=samples, temperature=temperature, max_tokens=max_tokens)
    options += [
        BACKEND,
        click.option("--tensor-parallel-size", type=click.IntRange(min=1), help="GPUs that vLLM divides MODEL over."),
        click.option(
            "--gpu-memory-utilization", type=click.FloatRange(0, 1, min_open=True),
            help="Share of each GPU's memory that vLLM takes.",
        ),
        click.option(
            "--max-model-len", type=click.IntRange(min=1), help="Tokens of prompt and response together, for vLLM."
        ),
    ]  # fmt: skip

    def make_policy(
        model: str | None,
        responses: Path | None,
        backend: Literal["auto", "transformers", "vllm"],
        base_url: str | None,
        api_key_env: str,
        samples: int,
        **sampled: Any,
    ) -> SampledOrRecorded:
        if sampled["dtype"] is None:
            del sampled["dtype"]
            if model and not base_url and not runs_in_llama_cpp(model):
                sampled["dtype"] = choose_precision()
        settings = SamplingSettings(responses=samples, **sampled)
        if (model is None) == (responses is None):
            raise click.UsageError(f"name a MODEL, or recorded --responses {recorded.partition(':')[0]}")
        if responses:
            return responses
        assert model
        if samples > 1 and settings.temperature == 0:
            raise ConfigError("--temperature 0 gives the same response each time: set it above 0 for several --samples")
        return SampledModel(model, read_backend(model, backend, base_url, api_key_env), settings)

    return lambda command: gather_options(options, "policy", make_policy)(KEEP_THINKING(command))


def read_backend(
    model: str, backend: Literal["auto", "transformers", "vllm"], base_url: str | None, api_key_env: str
) -> Backend:
    """Return the backend that samples from MODEL: the endpoint at `base_url`, or else the named engine."""
    return read_endpoint(base_url, model, api_key_env) if base_url else backend


def read_endpoint(base_url: str, model: str, api_key_env: str) -> Endpoint:
    """Return the endpoint that serves a model.

    Raises:
        ConfigError: `base_url` is no address.
    """
    try:
        return Endpoint(base_url=base_url, model=model, api_key_env=api_key_env)
    except ValidationError as error:
        raise ConfigError(f"--base-url: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
