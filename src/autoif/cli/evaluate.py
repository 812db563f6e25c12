"""`autoif eval`, `autoif compare` and `autoif plot`: how good a model is, how much better, and how it was trained."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from pydantic import ValidationError

from autoif.errors import ConfigError
from autoif.models.endpoint import Endpoint
from autoif.sandbox import Limits, Sandbox
from autoif.store import storage_errors

if TYPE_CHECKING:
    from autoif.evaluation.results import Scores
    from autoif.sampling import Backend


@click.group("eval")
def evaluate() -> None:
    """Measure a model on prompts that it was not trained on (extra `eval`)."""


@evaluate.command("pass-rate")
@click.argument("model", required=False)
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="Prompts with functions: rewards.jsonl's form."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write."
)
@click.option("--samples", type=click.IntRange(min=1), default=8, show_default=True, help="Responses to each prompt.")
@click.option("--temperature", type=click.FloatRange(0, 2), default=0.8, show_default=True)
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True)
@click.option("--max-tokens", type=click.IntRange(min=1), default=1024, show_default=True, help="Of a response.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sampling.")
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Responses at once.")
@click.option(
    "--dtype", type=click.Choice(["auto", "bfloat16", "float16", "float32"]), default="bfloat16", show_default=True,
    help="Of the weights.",
)  # fmt: skip
@click.option(
    "--backend", type=click.Choice(["auto", "transformers", "vllm"]), default="auto", show_default=True,
    help="What samples from a folder or a name on the hub.",
)  # fmt: skip
@click.option("--base-url", metavar="URL", help="OpenAI-compatible endpoint that serves MODEL; ends in /v1.")
@click.option("--api-key-env", default="OPENAI_API_KEY", show_default=True, help="Variable that holds its key.")
@click.option(
    "--responses", type=click.Path(path_type=Path), metavar="FILE",
    help='Verify recorded responses, rows {"prompt", "response"}, and ask no model.',
)  # fmt: skip
@click.option(
    "--unseen-by", type=click.Path(path_type=Path), multiple=True, metavar="DATA",
    help="Training data, a run folder or a file, that must have nothing in common with the prompts; may be repeated.",
)  # fmt: skip
@click.option("--timeout", "timeout_s", type=float, default=2.0, show_default=True, help="Seconds for one verdict.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def pass_rate(
    model: str | None,
    data: Path,
    output: Path,
    samples: int,
    temperature: float,
    top_p: float,
    max_tokens: int,
    seed: int,
    batch_size: int,
    dtype: str,
    backend: Literal["auto", "transformers", "vllm"],
    base_url: str | None,
    api_key_env: str,
    responses: Path | None,
    unseen_by: tuple[Path, ...],
    timeout_s: float,
    quiet: bool,
) -> None:
    """Sample from MODEL and report the share of answers that the verification functions accept.

    MODEL is a folder, a name on the hub, or with --base-url the name at an endpoint. The same command goes on where it
    was interrupted.
    """
    if (model is None) == (responses is None):
        raise click.UsageError("name a MODEL, or recorded --responses FILE")
    with require_extra("autoif eval"):
        from autoif.evaluation.pass_rate import Policy, Task, measure_policy, measure_recorded, read_prompts
        from autoif.evaluation.provenance import check_held_out, identify_policy
    from autoif.sampling import SamplingSettings, open_sampler

    say = choose_say(quiet)
    prompts = read_prompts(data)
    seen = check_held_out(model if model and not base_url else "", prompts.sources, unseen_by)
    with Sandbox(Limits(timeout_s=timeout_s)) as sandbox:  # before torch and its threads are there
        task = Task(prompts, output, sandbox, say)
        if model:
            settings = SamplingSettings.model_validate({
                "responses": samples, "temperature": temperature, "top_p": top_p, "max_tokens": max_tokens,
                "seed": seed, "batch_size": batch_size, "dtype": dtype,
            })  # fmt: skip
            asked: Backend = read_endpoint(base_url, model, api_key_env) if base_url else backend
            policy = Policy(model, identify_policy(model, asked), settings, seen)
            scores = measure_policy(policy, lambda: open_sampler(model, settings, asked, say), task)
        else:
            assert responses
            scores = measure_recorded(responses, seen, task)
    _report(scores, output)


@click.command()
@click.argument("folders", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE.md", help="Write the table here, too.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.svg", help="Draw scores and differences.")
def compare(folders: tuple[Path, ...], output: Path | None, plot: Path | None) -> None:
    """Compare evaluated FOLDERS with the first of them: scores, and paired differences with 95 % intervals.

    They must have been measured on the same prompts with the same settings.
    """
    with require_extra("autoif compare"):
        from autoif.evaluation.comparison import compare as compare_folders
        from autoif.evaluation.comparison import render_markdown
    if plot:
        with require_extra("autoif compare --plot"):
            from autoif.evaluation.plots import check_kind, plot_comparison
        check_kind(plot)
    compared = compare_folders(folders)
    table = render_markdown(compared)
    click.echo(table, nl=False)
    if output:
        with storage_errors(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(table, encoding="utf-8")
    if plot:
        plot_comparison(compared, plot)


@click.command("plot")
@click.argument("folders", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="FILE", help="A .svg, .png or .pdf."
)
def plot_curves(folders: tuple[Path, ...], output: Path) -> None:
    """Draw the curves of trained FOLDERS: loss, DPO margin and accuracy, reward, as their metrics.jsonl have them."""
    with require_extra("autoif plot"):
        from autoif.evaluation.plots import plot_training
    drawn = plot_training(folders, output)
    click.echo(f"{', '.join(drawn)}: {output}")


@contextmanager
def require_extra(command: str) -> Iterator[None]:
    """Say what to install where an import fails."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(f"{command} needs {error.name}: pip install 'autoif[eval]'") from None


def read_endpoint(base_url: str, model: str, api_key_env: str) -> Endpoint:
    """Return the endpoint that serves a model; raise `ConfigError` for what is no address."""
    try:
        return Endpoint(base_url=base_url, model=model, api_key_env=api_key_env)
    except ValidationError as error:
        raise ConfigError(f"--base-url: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def _report(scores: "Scores", output: Path) -> None:
    from autoif.evaluation.comparison import describe

    partial = f" PARTIAL: {scores.prompts_missing} prompts have no response." if scores.prompts_missing else ""
    cut = "not recorded" if scores.truncated is None else f"{scores.truncated:.1f} %"
    faults = ", ".join(f"{fault} {count}" for fault, count in scores.faults.items())
    lines = {
        "pass rate, %": f"{describe(scores.pass_rate)}  95 %, over {scores.instructions} instructions",
        "… by prompt": f"{describe(scores.pass_rate_by_prompt)}  these instructions, over {scores.prompts} prompts",
        "… without faults": describe(scores.faultless_pass_rate),
        "samples": f"{scores.prompts} x {scores.responses_per_prompt}.{partial} Faults: {faults}",
        "truncated": cut,
        "no verdict": f"{scores.undecided:.1f} % of verdicts: the function raised, hung or crashed",
        "training": scores.seen.describe(),
        "written": str(output),
    }
    for name, text in lines.items():
        click.echo(f"{name:>18}  {text}")


def choose_say(quiet: bool) -> Callable[[str], None]:
    """Return what shows lines of progress, or swallows them."""
    return (lambda line: None) if quiet else (lambda line: click.echo(line, err=True))
