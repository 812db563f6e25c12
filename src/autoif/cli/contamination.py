"""`autoif contamination`: find benchmark prompts in training data."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from autoif.cli.judge_options import judge_options
from autoif.cli.options import QUIET, LocalPath, OutputPath, choose_say
from autoif.errors import ConfigError, needing_extra
from autoif.reading.text_lines import expand_home


@click.command()
@click.argument("train", type=LocalPath(exists=True), nargs=-1, required=True)
@click.option(
    "--against", metavar="NAMES",
    help="Benchmarks, separated by commas. [default: ifeval,followbench,ifbench, and those of --data]",
)  # fmt: skip
@click.option(
    "--data", multiple=True, metavar="NAME=PATH",
    help='Prompts of a benchmark: its own file, FollowBench\'s folder, or under a new name rows {"prompt"}; may be '
    "repeated. By default the official data sets are fetched.",
)  # fmt: skip
@click.option("-o", "--output", type=OutputPath(), help="Folder for the report and the rows.")
@click.option("--ngram", type=click.IntRange(min=1), default=13, show_default=True, help="Words of an overlap.")
@click.option(
    "--neighbours", type=click.IntRange(min=1), default=3, show_default=True, help="Nearest training prompts to keep."
)
@click.option(
    "--clean", type=OutputPath(), metavar="DIR",
    help="Write the training files here, without the rows that overlap.",
)  # fmt: skip
@click.option(
    "--fail-over", type=click.FloatRange(0, 100), metavar="PERCENT",
    help="Exit with code 1 if more of a benchmark's prompts overlap.",
)  # fmt: skip
@click.option(
    "--constraints/--no-constraints", default=True, show_default=True,
    help="Run the functions of the training data, to find which types of constraints it trains.",
)  # fmt: skip
@click.option(
    "--embeddings", metavar="MODEL",
    help="Also find the nearest training prompts by this model's vectors: a folder or a hub name (extra `train`).",
)  # fmt: skip
@judge_options(judges="Ask this model whether the nearest prompts are rephrasings.", max_tokens=512)
@QUIET
def contamination(
    train: tuple[Path, ...],
    against: str | None,
    data: tuple[str, ...],
    fail_over: float | None,
    quiet: bool,
    **search: Any,
) -> None:
    """Find what TRAIN shares with the prompts of benchmarks (extra `eval`).

    TRAIN is a run folder or files of rows: conversations, prompts with answers, Alpaca, ShareGPT. A prompt overlaps if
    13 consecutive words of it are in a training row. The most similar training prompts are reported as well. If rows
    have functions, these show which types of constraints are trained, in whatever words.
    """
    if (search["embeddings"] or search["judge"]) and not search["output"]:
        raise click.UsageError("--embeddings and --judge-model need an --output, where their work is kept")
    with needing_extra("eval", "autoif contamination"):
        from autoif.contamination.search import Search, find_contamination
        from autoif.report.contamination import describe_contamination

    names = [name.strip() for name in against.split(",")] if against else []
    asked = Search(against=names, data=_read_paths(data), **search)
    found = find_contamination(train, asked, choose_say(quiet), partial(click.echo, err=True))
    for name, text in describe_contamination(found, asked.clean, asked.output):
        click.echo(f"{name:>18}  {text}")
    if fail_over is not None and any(each.overlapping_percent > fail_over for each in found.benchmarks.values()):
        click.echo(f"{'failed':>18}  more than {fail_over:g} % of a benchmark's prompts overlap")
        sys.exit(1)


def _read_paths(data: tuple[str, ...]) -> dict[str, Path]:
    paths = {}
    for each in data:
        name, equals, path = each.partition("=")
        if not (name and equals and path):
            raise ConfigError(f"--data {each}: write it as NAME=PATH, as in ifeval=input_data.jsonl")
        if name in paths:
            raise ConfigError(f"--data names {name} twice: one file or folder a benchmark")
        paths[name] = expand_home(path)
    return paths
