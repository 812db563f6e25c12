"""`autoif eval ifeval`, `autoif eval ifbench` and `autoif eval fetch`: the benchmarks of checkable instructions."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autoif.cli.evaluate import report
from autoif.cli.options import OUTPUT, QUIET, LocalPath, add_options, choose_say
from autoif.cli.sampling_options import SampledOrRecorded, policy_options, take_subject
from autoif.errors import needing_extra

if TYPE_CHECKING:
    from autoif.benchmark_wordings import Suite
    from autoif.evaluation.ifeval_ifbench.checkers import Revision

_OPTIONS = (
    click.option(
        "--data", type=LocalPath(), metavar="FILE",
        help="Prompts in the benchmark's own form; by default the official data set is fetched.",
    ),
    OUTPUT,
    policy_options(
        samples=1, temperature=0.0, max_tokens=1280,
        recorded='FILE: Score recorded responses, rows {"prompt", "response"}'
    ),
    click.option("--corrected", is_flag=True, help="Score without the known faults of the official checkers."),
    click.option(
        "--workers", type=click.IntRange(1, 1_000), help="Scoring processes. [default: up to one a processor]"
    ),
    QUIET,
)  # fmt: skip


@click.command()
@add_options(_OPTIONS)
def ifeval(**options: Any) -> None:
    """Score MODEL on IFEval: 541 prompts whose 25 types of instructions are checked by code.

    MODEL is a folder, a name on the hub, a GGUF file, an embedded model, or with --base-url the name at an endpoint.
    The same command continues an interrupted evaluation.
    """
    _measure("ifeval", **options)


@click.command()
@add_options(_OPTIONS)
@click.option(
    "--revision",
    type=click.Choice(["2026", "2025"]),
    default="2026",
    show_default=True,
    help="Official checkers to use: those of allenai/IFBench at db69a6f, or from before the fixes of 2026.",
)
def ifbench(**options: Any) -> None:
    """Score MODEL on IFBench: 300 prompts with 58 types of instructions that are rarely trained on.

    MODEL is a folder, a name on the hub, a GGUF file, an embedded model, or with --base-url the name at an endpoint.
    The same command continues an interrupted evaluation.
    """
    _measure("ifbench", **options)


@click.command()
def fetch() -> None:
    """Fetch the tokenizer data that the checkers of IFEval and IFBench need, once; no evaluation downloads it."""
    with needing_extra("eval", "autoif eval fetch"):
        from autoif.evaluation.ifeval_ifbench.tokenizer_data import fetch_data

        fetch_data(choose_say(quiet=False))


def _measure(
    benchmark: "Suite",
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
    with needing_extra("eval", f"autoif eval {benchmark}"):
        from autoif.evaluation.benchmark import evaluate
        from autoif.evaluation.ifeval_ifbench.benchmark import load_benchmark
        from autoif.evaluation.ifeval_ifbench.data import read_questions

    say = choose_say(quiet)
    questions = read_questions(benchmark, data)
    asked = load_benchmark(questions, corrected=corrected, revision=revision, workers=workers)
    report(evaluate(asked, take_subject(policy, say), output, say, keep_thinking=keep_thinking), output)
