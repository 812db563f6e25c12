"""`autoif contamination`: what of benchmarks is in training data."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autoif.cli.evaluate import choose_say, require_extra
from autoif.errors import ConfigError

if TYPE_CHECKING:
    from autoif.evaluation.contamination.results import Report


@click.command()
@click.argument("train", type=click.Path(path_type=Path, exists=True), nargs=-1, required=True)
@click.option(
    "--against", metavar="NAMES",
    help="Benchmarks, with commas between. [default: ifeval,followbench,ifbench, and what --data names]",
)  # fmt: skip
@click.option(
    "--data", multiple=True, metavar="NAME=PATH",
    help='Prompts of a benchmark: its own file, FollowBench\'s folder, or under a new name rows {"prompt"}; may be '
    "repeated. By default the official data sets are fetched.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder for the report and the rows."
)
@click.option("--ngram", type=click.IntRange(min=1), default=13, show_default=True, help="Words of an overlap.")
@click.option(
    "--neighbours", type=click.IntRange(min=1), default=3, show_default=True, help="Nearest training prompts to keep."
)
@click.option(
    "--clean", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Write the training files here without the rows that overlap.",
)  # fmt: skip
@click.option(
    "--fail-over", type=click.FloatRange(0, 100), metavar="PERCENT",
    help="End with exit code 1 if more of a benchmark's prompts than this overlap.",
)  # fmt: skip
@click.option("--quiet", is_flag=True, help="Show no progress.")
def contamination(
    train: tuple[Path, ...],
    against: str | None,
    data: tuple[str, ...],
    output: Path | None,
    ngram: int,
    neighbours: int,
    clean: Path | None,
    fail_over: float | None,
    quiet: bool,
) -> None:
    """Look in TRAIN for what it has in common with benchmarks' prompts (extra `eval`).

    TRAIN is a run folder or files of rows: conversations, prompts with answers, Alpaca, ShareGPT. A prompt overlaps if
    13 words that follow one another are in a training row; the training prompts that are most like it are told as well.
    """
    with require_extra("autoif contamination"):
        from autoif.evaluation.contamination.cleaning import check_clean, write_clean
        from autoif.evaluation.contamination.measure import compare, list_contaminated, list_nearest, report
        from autoif.evaluation.contamination.prompts import BENCHMARKS, read_prompts
        from autoif.evaluation.contamination.results import write_results
        from autoif.evaluation.contamination.training_rows import list_files

    paths = _read_paths(data)
    names = [name.strip() for name in against.split(",")] if against else [*BENCHMARKS, *paths]
    files = list_files(train)
    if clean:
        check_clean(files, clean)
    comparison = compare(files, read_prompts(names, paths), ngram, neighbours, choose_say(quiet))
    found = report(comparison)
    if output:
        write_results(output, found, list(list_nearest(comparison)), list(list_contaminated(comparison)))
    if clean:
        write_clean(comparison, clean)
    _report(found, output, clean)
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


def _report(found: "Report", output: Path | None, clean: Path | None) -> None:
    def write(name: str, text: str) -> None:
        click.echo(f"{name:>18}  {text}")

    write("training data", f"{found.rows:,} rows, {found.asked:,} different prompts")
    for name, each in found.benchmarks.items():
        write(name, f"{each.overlapping_percent:.1f} % of {each.prompts:,} prompts overlap")
        write(f"… {found.ngram} words", f"{each.overlapping:,} prompts")
        if each.short:
            write(
                "… short", f"{each.short:,} prompts have fewer words; {each.short_matching:,} of them are asked whole"
            )
        write("… rows", f"{each.rows:,} training rows overlap, {each.rows_percent:.2f} %")
        write(
            "… nearest prompt",
            f"similarity {each.similarity_median:.2f} in the middle, {each.similarity_p90:.2f} at the tenth highest "
            f"of a hundred, {each.similarity_highest:.2f} at most",
        )
    if clean:
        write("clean", f"{clean}: {found.rows - found.contaminated_rows:,} of {found.rows:,} rows")
    if output:
        write("written", str(output))
