"""`autoif contamination`: what of benchmarks is in training data."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autoif.cli.judge_options import judge_options
from autoif.cli.options import QUIET, LocalPath, OutputPath, choose_say
from autoif.errors import ConfigError, needing_extra

if TYPE_CHECKING:
    from autoif.contamination.measure import ContaminationComparison
    from autoif.contamination.nearest import Nearest
    from autoif.evaluation.judge import Judge


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
@click.option("-o", "--output", type=OutputPath(file_okay=False), help="Folder for the report and the rows.")
@click.option("--ngram", type=click.IntRange(min=1), default=13, show_default=True, help="Words of an overlap.")
@click.option(
    "--neighbours", type=click.IntRange(min=1), default=3, show_default=True, help="Nearest training prompts to keep."
)
@click.option(
    "--clean", type=LocalPath(file_okay=False), metavar="DIR",
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
    output: Path | None,
    ngram: int,
    neighbours: int,
    clean: Path | None,
    fail_over: float | None,
    constraints: bool,
    embeddings: str | None,
    judge: "Judge | None",
    quiet: bool,
) -> None:
    """Find what TRAIN shares with the prompts of benchmarks (extra `eval`).

    TRAIN is a run folder or files of rows: conversations, prompts with answers, Alpaca, ShareGPT. A prompt overlaps if
    13 consecutive words of it are in a training row. The most similar training prompts are reported as well. If rows
    have functions, these show which types of constraints are trained, in whatever words.
    """
    if (embeddings or judge) and not output:
        raise click.UsageError("--embeddings and --judge-model need an --output, where their work is kept")
    with needing_extra("eval", "autoif contamination"):
        from autoif.contamination.constraint_types import find_trained_types
        from autoif.contamination.measure import compare
        from autoif.contamination.prompts import BENCHMARKS, read_prompts
        from autoif.contamination.rephrasing import judge_rephrasing
        from autoif.contamination.results import (
            check_clean,
            list_contaminated,
            list_nearest,
            report,
            write_clean,
            write_results,
        )  # fmt: skip
        from autoif.contamination.training_rows import list_files
        from autoif.report.contamination import describe_contamination

    paths = _read_paths(data)
    names = [name.strip() for name in against.split(",")] if against else [*BENCHMARKS, *paths]
    files = list_files(train)
    if clean:
        check_clean(files, clean)
    say = choose_say(quiet)
    comparison = compare(files, read_prompts(names, paths), ngram, neighbours, say)
    warn = partial(click.echo, err=True)
    types = find_trained_types(comparison, say, warn) if constraints else None  # before torch and its threads are there
    nearest = list(list_nearest(comparison, _embed(comparison, embeddings, output, say)))
    if judge and output:
        nearest = judge_rephrasing(nearest, judge, output, say)
    found = report(comparison, types, nearest, judge.identity if judge else None)
    if output:
        write_results(output, found, nearest, list(list_contaminated(comparison)))
    if clean:
        write_clean(comparison, clean)
    for name, text in describe_contamination(found, clean, output):
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
        paths[name] = Path(path)
    return paths


def _embed(
    comparison: "ContaminationComparison", model: str | None, folder: Path | None, say: Callable[[str], None]
) -> "Nearest | None":
    """Return the neighbours by a model's vectors, if there is a model."""
    if not (model and folder):
        return None
    with needing_extra("train", "--embeddings"):
        from autoif.contamination.embedding import find_nearest_by_embedding
    prompts = [prompt.text for prompt in comparison.prompts]
    return find_nearest_by_embedding(
        prompts, list(comparison.data.asked), comparison.nearest.texts.shape[1], model, folder, say
    )
