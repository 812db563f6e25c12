"""`autoif eval followbench`: HSR, SSR and CSL, by rules and a judge."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from autoif.cli.evaluate import choose_say, require_extra
from autoif.cli.judge_options import judge_options
from autoif.cli.sampling_options import SampledModel, SampledOrRecorded, policy_options
from autoif.errors import ConfigError

if TYPE_CHECKING:
    from autoif.evaluation.bootstrap import Interval
    from autoif.evaluation.followbench.measure import Scores
    from autoif.evaluation.judge import Judge

_NAMED = 5
"""How many of what was left aside the terminal names; scores.json names all."""


@click.command("followbench")
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder with the benchmark's TYPE_constraints.json; by default the official data set is fetched.",
)  # fmt: skip
@click.option(
    "--language", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Of the official data set."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write."
)
@policy_options(
    samples=1, temperature=0.0, max_tokens=2048, recorded_form="FILE|DIR",
    recorded='Score recorded responses, rows {"prompt", "response"} or a folder as FollowBench writes it',
)  # fmt: skip
@judge_options(judges="Model that judges what no rule decides.", max_tokens=1024)
@click.option(
    "--judgements", type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="DIR",
    help="Take recorded judgements of the --responses, and ask no judge.",
)  # fmt: skip
@click.option("--quiet", is_flag=True, help="Show no progress.")
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
    Rules decide what they can, and a judge model the rest, constraint by constraint. The same command goes on where it
    was interrupted.
    """
    if judgements and (judge or isinstance(policy, SampledModel)):
        raise click.UsageError("--judgements go with recorded --responses, and without --judge-model")
    with require_extra("autoif eval"):
        from autoif.evaluation.followbench.data import read_benchmark
        from autoif.evaluation.followbench.hub import fetch_benchmark
        from autoif.evaluation.followbench.measure import Task, measure, read_answers, sample_answers

    benchmark = read_benchmark(data) if data else fetch_benchmark(language)
    if not (judge or judgements) and any(item.rule is None for item in benchmark.items):
        raise ConfigError("what no rule decides needs a judge: name a --judge-model, or recorded --judgements")
    task = Task(benchmark, judge or judgements, output, choose_say(quiet), keep_thinking)
    if isinstance(policy, Path):
        answers = read_answers(policy, task)
    else:
        answers = sample_answers(policy.name, policy.backend, policy.settings, task)
    _report(measure(answers, task), output)


def _report(scores: "Scores", output: Path) -> None:
    from autoif.evaluation.bootstrap import describe
    from autoif.evaluation.followbench.scoring import AVERAGE

    def write(name: str, text: str) -> None:
        click.echo(f"{name:>18}  {text}")

    def show(found: "Interval | None") -> str:
        return "-" if found is None else describe(found)

    overall, read = scores.scores.overall, scores.scores_of_read
    write("HSR, %", f"{show(overall.hsr[AVERAGE])}  95 %, over {overall.groups} initial instructions")
    write("SSR, %", show(overall.ssr[AVERAGE]))
    write("CSL, levels", show(overall.csl))
    for kind, table in scores.scores.types.items():
        found = show(table.hsr[AVERAGE]), show(table.ssr[AVERAGE]), show(table.csl)
        write(f"… {kind}", "HSR {}, SSR {}, CSL {}".format(*found))
    for name, rates in (("HSR", overall.hsr), ("SSR", overall.ssr)):
        levels = (f"{rate.value:.1f}" if rate else "-" for level, rate in rates.items() if level != AVERAGE)
        write(f"{name} by level", "  ".join(levels))
    whole = f"PARTIAL: {'; '.join(scores.partial)}" if scores.partial else "all of the benchmark"
    write("prompts", f"{scores.prompts:,}, {whole}")
    write("judge", scores.judge or "none: rules decide")
    if read:
        alone = f"HSR {show(read.overall.hsr[AVERAGE])}, SSR {show(read.overall.ssr[AVERAGE])}"
        write("unreadable", f"{_name(scores.unread)}. They count -1, as officially; without them {alone}")
    for name, text in scores.responses.describe(keep_thinking=scores.keep_thinking).items():
        write(name, text)
    for name, rows in (
        ("no response", scores.missing), ("no judgement", scores.unjudged), ("not in the data", scores.unknown),
        ("there twice", scores.duplicates), ("blank responses", scores.empty), ("cut responses", scores.truncated),
    ):  # fmt: skip
        if rows:
            write(name, _name(rows))
    write("written", str(output))


def _name(rows: Sequence[str]) -> str:
    return f"{len(rows):,}: {', '.join(rows[:_NAMED])}{', …' if len(rows) > _NAMED else ''}"
