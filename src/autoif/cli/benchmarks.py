"""`autoif eval ifeval`, `autoif eval ifbench` and `autoif eval fetch`: the benchmarks of checkable instructions."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from autoif.cli.evaluate import choose_say, read_endpoint, require_extra
from autoif.errors import ConfigError

if TYPE_CHECKING:
    from autoif.evaluation.benchmark_results import BenchmarkScores
    from autoif.evaluation.checkers import Benchmark
    from autoif.sampling import Backend

_OPTIONS = (
    click.argument("model", required=False),
    click.option(
        "--data", type=click.Path(path_type=Path), metavar="FILE",
        help="Prompts in the benchmark's own form; by default the official data set is fetched.",
    ),
    click.option(
        "--responses", type=click.Path(path_type=Path), metavar="FILE",
        help='Score recorded responses, rows {"prompt", "response"}, and ask no model.',
    ),
    click.option(
        "-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write."
    ),
    click.option(
        "--samples", type=click.IntRange(min=1), default=1, show_default=True,
        help="Responses to each prompt, each with a seed of its own; averaged.",
    ),
    click.option(
        "--temperature", type=click.FloatRange(0, 2), default=0.0, show_default=True, help="0 takes the likeliest."
    ),
    click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True),
    click.option(
        "--max-tokens", type=click.IntRange(min=1), default=1280, show_default=True, help="Of a response."
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Of the sampling."),
    click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Responses at once."),
    click.option(
        "--dtype", type=click.Choice(["auto", "bfloat16", "float16", "float32"]), default="bfloat16",
        show_default=True, help="Of the weights.",
    ),
    click.option(
        "--backend", type=click.Choice(["auto", "transformers", "vllm"]), default="auto", show_default=True,
        help="What samples from a folder or a name on the hub.",
    ),
    click.option("--base-url", metavar="URL", help="OpenAI-compatible endpoint that serves MODEL; ends in /v1."),
    click.option("--api-key-env", default="OPENAI_API_KEY", show_default=True, help="Variable that holds its key."),
    click.option("--strip-thinking", is_flag=True, help="Score what follows the thinking, as in <think>…</think>."),
    click.option("--corrected", is_flag=True, help="Score without the known faults of the official checkers."),
    click.option(
        "--workers", type=click.IntRange(min=1), help="Processes that score; by default up to the number of cores."
    ),
    click.option("--quiet", is_flag=True, help="Show no progress."),
)  # fmt: skip


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@_with_options
def ifeval(**options: Any) -> None:
    """Score MODEL on IFEval: 541 prompts whose 25 types of instructions are checked by code.

    MODEL is a folder, a name on the hub, or with --base-url the name at an endpoint. The same command goes on where it
    was interrupted.
    """
    _measure("ifeval", **options)


@click.command()
@_with_options
def ifbench(**options: Any) -> None:
    """Score MODEL on IFBench: 300 prompts with 58 types of instructions that are rarely trained on.

    MODEL is a folder, a name on the hub, or with --base-url the name at an endpoint. The same command goes on where it
    was interrupted.
    """
    _measure("ifbench", **options)


@click.command()
def fetch() -> None:
    """Fetch the tokenizer data that the checkers of IFEval and IFBench need, once; no evaluation downloads it."""
    with require_extra("autoif eval fetch"):
        from autoif.evaluation.tokenizer_data import fetch_data
    fetch_data(choose_say(quiet=False))


def _measure(
    benchmark: "Benchmark",
    *,
    model: str | None,
    data: Path | None,
    responses: Path | None,
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
    strip_thinking: bool,
    corrected: bool,
    workers: int | None,
    quiet: bool,
) -> None:
    if (model is None) == (responses is None):
        raise click.UsageError("name a MODEL, or recorded --responses FILE")
    if samples > 1 and temperature == 0 and model:
        raise ConfigError("--temperature 0 gives the same response each time: set it above 0 for several --samples")
    with require_extra(f"autoif eval {benchmark}"):
        from autoif.evaluation.benchmark import BenchmarkTask, measure_model, measure_responses
        from autoif.evaluation.benchmarks import read_questions
        from autoif.evaluation.pass_rate import Policy
        from autoif.evaluation.provenance import identify_policy
        from autoif.evaluation.results import Seen
    from autoif.sampling import SamplingSettings, open_sampler

    say = choose_say(quiet)
    task = BenchmarkTask(read_questions(benchmark, data), output, say, corrected, strip_thinking, workers)
    if responses:
        _report(measure_responses(responses, task), output)
        return
    assert model
    settings = SamplingSettings.model_validate({
        "responses": samples, "temperature": temperature, "top_p": top_p, "max_tokens": max_tokens,
        "seed": seed, "batch_size": batch_size, "dtype": dtype,
    })  # fmt: skip
    asked: Backend = read_endpoint(base_url, model, api_key_env) if base_url else backend
    policy = Policy(model, identify_policy(model, asked), settings, Seen())
    _report(measure_model(policy, lambda: open_sampler(model, settings, asked, say), task), output)


def _report(scores: "BenchmarkScores", output: Path) -> None:
    from autoif.evaluation.comparison import describe

    partial = f"  PARTIAL: {scores.prompts} of {scores.prompts_of_benchmark} prompts" if scores.partial else ""
    for name in ("prompt_strict", "prompt_loose", "instruction_strict", "instruction_loose"):
        click.echo(f"{name:>18}  {describe(getattr(scores, name))}{partial}")
    cut = "not recorded" if scores.truncated is None else str(scores.truncated.count)
    click.echo(f"{'responses':>18}  {scores.prompts} x {scores.responses_per_prompt}, cut: {cut}")
    click.echo(f"{'data':>18}  {scores.data}")
    for name in ("missing", "unknown", "duplicates", "empty", "unjudgeable", "raised", "drawn"):
        counted = getattr(scores, name)
        if counted.count:
            named = ", ".join(" ".join(each.split())[:50] for each in counted.named[:3]) + (
                " …" if len(counted.named) > 3 else ""
            )
            click.echo(f"{name:>18}  {counted.count}: {named}")
    decided = "would have decided" if scores.corrected else "decided"
    for name, fault in scores.faults.items():
        if fault.strict or fault.loose:
            click.echo(
                f"{'fault':>18}  {name}: {fault.fault}; {decided} {fault.strict} strict, {fault.loose} loose verdicts"
            )
    click.echo(f"{'written':>18}  {output}")
