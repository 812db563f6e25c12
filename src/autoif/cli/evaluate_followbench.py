"""`autoif eval followbench`: HSR, SSR and CSL, by rules and a judge."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from autoif.cli.evaluate import report
from autoif.cli.judge_options import judge_options
from autoif.cli.options import OUTPUT, QUIET, LocalPath, choose_say
from autoif.cli.sampling_options import SampledModel, SampledOrRecorded, policy_options, take_subject
from autoif.errors import needing_extra

if TYPE_CHECKING:
    from autoif.evaluation.judge import Judge


@click.command("followbench")
@click.option(
    "--data", type=LocalPath(file_okay=False, exists=True),
    help="Folder with the benchmark's TYPE_constraints.json; by default the official data set is fetched.",
)  # fmt: skip
@click.option(
    "--language", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Of the official data set."
)
@OUTPUT
@policy_options(
    samples=1, temperature=0.0, max_tokens=2048,
    recorded='FILE|DIR: Score recorded responses, rows {"prompt", "response"} or a folder as FollowBench writes it',
)  # fmt: skip
@judge_options(judges="Model that judges what no rule decides.", max_tokens=1024)
@click.option(
    "--judgements", type=LocalPath(file_okay=False, exists=True), metavar="DIR",
    help="Use recorded judgements of the --responses, and ask no judge.",
)  # fmt: skip
@QUIET
def followbench(
    policy: SampledOrRecorded,
    data: Path | None,
    language: Literal["en", "zh"],
    output: Path,
    judge: "Judge | None",
    judgements: Path | None,
    keep_thinking: bool,
    quiet: bool,
) -> None:
    """Measure MODEL on FollowBench: HSR, SSR and CSL over five levels and six types of constraints.

    MODEL is a folder, a name on the hub, a GGUF file, an embedded model, or with --base-url the name at an endpoint.
    Rules decide a part of the prompts, a judge model the rest, constraint by constraint. The same command continues an
    interrupted evaluation.
    """
    if judgements and (judge or isinstance(policy, SampledModel)):
        raise click.UsageError("--judgements go with recorded --responses, and without --judge-model")
    with needing_extra("eval", "autoif eval"):
        from autoif.evaluation.benchmark import evaluate
        from autoif.evaluation.followbench.benchmark import load_benchmark
        from autoif.evaluation.followbench.data import fetch_items, read_items
        from autoif.evaluation.followbench.judging import find_files

    say = choose_say(quiet)
    items = read_items(data) if data else fetch_items(language)
    benchmark = load_benchmark(items, judge or judgements, output, say)
    subject = take_subject(policy, say, find_files)
    report(evaluate(benchmark, subject, output, say, keep_thinking=keep_thinking), output)
