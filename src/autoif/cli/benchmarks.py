"""`autoif eval ifeval`, `autoif eval ifbench` and `autoif eval fetch`: the benchmarks of checkable instructions."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autoif.cli.evaluate import choose_say, require_extra
from autoif.cli.sampling_options import SampledOrRecorded, policy_options

if TYPE_CHECKING:
    from autoif.evaluation.benchmark_results import BenchmarkScores
    from autoif.evaluation.checkers import Benchmark, Revision

_OPTIONS = (
    click.option(
        "--data", type=click.Path(path_type=Path), metavar="FILE",
        help="Prompts in the benchmark's own form; by default the official data set is fetched.",
    ),
    click.option(
        "-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write."
    ),
    policy_options(
        samples=1, temperature=0.0, max_tokens=1280, recorded='Score recorded responses, rows {"prompt", "response"}'
    ),
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

    MODEL is a folder, a name on the hub, a GGUF file, an embedded model, or with --base-url the name at an endpoint.
    The same command goes on where it was interrupted.
    """
    _measure("ifeval", **options)


@click.command()
@_with_options
@click.option(
    "--revision",
    type=click.Choice(["2026", "2025"]),
    default="2026",
    show_default=True,
    help="Of the official checkers: those of allenai/IFBench at db69a6f, or as they were before the fixes of 2026.",
)
def ifbench(**options: Any) -> None:
    """Score MODEL on IFBench: 300 prompts with 58 types of instructions that are rarely trained on.

    MODEL is a folder, a name on the hub, a GGUF file, an embedded model, or with --base-url the name at an endpoint.
    The same command goes on where it was interrupted.
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
    policy: SampledOrRecorded,
    data: Path | None,
    output: Path,
    keep_thinking: bool,
    corrected: bool,
    workers: int | None,
    quiet: bool,
    revision: "Revision" = "2026",
) -> None:
    with require_extra(f"autoif eval {benchmark}"):
        from autoif.evaluation.benchmark import BenchmarkTask, measure_model, measure_responses
        from autoif.evaluation.benchmarks import read_questions
        from autoif.evaluation.pass_rate import Policy
        from autoif.evaluation.results import Seen

    say = choose_say(quiet)
    task = BenchmarkTask(read_questions(benchmark, data), output, say, corrected, keep_thinking, workers, revision)
    if isinstance(policy, Path):
        scores = measure_responses(policy, task)
    else:
        who = Policy(policy.name, policy.identity, policy.settings, Seen())
        scores = measure_model(who, lambda: policy.open(say), task)
    _report(scores, output)


def _report(scores: "BenchmarkScores", output: Path) -> None:
    from autoif.evaluation.bootstrap import describe

    partial = f"  PARTIAL: {scores.prompts} of {scores.prompts_of_benchmark} prompts" if scores.partial else ""
    for name in ("prompt_strict", "prompt_loose", "instruction_strict", "instruction_loose"):
        click.echo(f"{name:>18}  {describe(getattr(scores, name))}{partial}")
    cut = "not recorded" if scores.truncated is None else str(scores.truncated.count)
    click.echo(f"{'responses':>18}  {scores.prompts} x {scores.responses_per_prompt}, cut: {cut}")
    for name, text in scores.responses.describe(keep_thinking=scores.keep_thinking).items():
        click.echo(f"{name:>18}  {text}")
    click.echo(f"{'checkers':>18}  {scores.checkers}")
    click.echo(f"{'data':>18}  {scores.data}")
    for name in ("missing", "unknown", "duplicates", "empty", "unjudgeable", "raised", "drawn"):
        counted = getattr(scores, name)
        if counted.count:
            named = ", ".join(" ".join(each.split())[:50] for each in counted.named[:3]) + (
                " …" if len(counted.named) > 3 else ""
            )
            left = (
                f"; beyond {scores.responses_per_prompt} to each prompt, and not scored" if name == "duplicates" else ""
            )
            click.echo(f"{name:>18}  {counted.count}: {named}{left}")
    decided = "would have decided" if scores.corrected else "decided"
    for name, fault in scores.faults.items():
        if fault.strict or fault.loose:
            click.echo(
                f"{'fault':>18}  {name}: {fault.fault}; {decided} {fault.strict} strict, {fault.loose} loose verdicts"
            )
    click.echo(f"{'written':>18}  {output}")
