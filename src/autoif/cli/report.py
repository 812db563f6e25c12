"""`autoif report`: write a run, or trainings and evaluations, as one HTML file."""

import os
from pathlib import Path

import click

from autoif.cli.options import LocalPath, OutputPath
from autoif.errors import ConfigError, needing_extra
from autoif.page.folders import FolderKind, find_kind
from autoif.page.report import write_report
from autoif.reading.text_lines import refuse_repeats
from autoif.renewing import PAGE, find_place
from autoif.runs.whole_files import replace_file


@click.command()
@click.argument("folders", type=LocalPath(), nargs=-1, required=True)
@click.option(
    "-o", "--output", type=OutputPath(PAGE), metavar="FILE.html",
    help="File to write. [default: report.html in the first of FOLDERS]",
)  # fmt: skip
def report(folders: tuple[Path, ...], output: Path | None) -> None:
    """Make an HTML page of FOLDERS, a run or trainings and evaluations. It needs no network, so you can send it.

    For a run it shows the funnel, every instruction with its functions, cases and verdicts, responses, pairs,
    distributions and settings, as far as the run has come. Beyond 50,000 rows the data is in a folder beside the file.

    Trainings (models/sft) and evaluations (evals/sft) are compared with the first one: curves, scores and differences
    with 95 % intervals, changes by instruction, answers before and after (extra `eval`).
    """
    refuse_repeats(folders)
    place = output or find_place(folders[0] / "report.html", PAGE)
    if place.suffix.lower() not in {".html", ".htm"}:  # a mistyped name must not replace a run's data
        raise ConfigError(f"{place}: name a page with .html")
    if len(folders) == 1 and find_kind(folders[0]) == FolderKind.RUN:
        made = write_report(folders[0], place)
    else:
        with needing_extra("eval", "autoif report of trainings and evaluations"):
            from autoif.page.measured import build_measured_page
        replace_file(place, [build_measured_page(folders)])
        made = [place]
    for path in made:
        click.echo(os.path.relpath(path))
