"""`autoif export`: a run's data in the form that a trainer reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from autoif.cli.options import LocalPath, OutputPath, refuse_loss
from autoif.datasets.exports import EXPORTERS
from autoif.datasets.exports.files import RowTable, WrittenFile, write_files
from autoif.datasets.reviewed_rows import read_rows
from autoif.datasets.rows import Form
from autoif.errors import ConfigError
from autoif.messages import list_some
from autoif.runs.store import read_manifest

_SHOWN = 5


@click.command()
@click.argument("data", type=LocalPath(), nargs=-1, required=True)
@click.option("--to", "trainer", type=click.Choice(list(EXPORTERS)), required=True, help="Trainer whose form to write.")
@click.option("-o", "--output", type=OutputPath(), required=True, help="Folder to write.")
@click.option("--overwrite", is_flag=True, help="Replace files of the same names.")
def export(data: tuple[Path, ...], trainer: str, output: Path, overwrite: bool) -> None:
    """Write the data of a run in every form that the trainer reads: SFT, preference, RL.

    DATA is a run folder, or some of its sft.jsonl, preferences.jsonl and rewards.jsonl. An RL form includes a reward
    that runs in the sandbox, through the trainer's own interface. What reviewers rejected is left out.
    """
    rows = read_rows(data)
    files = EXPORTERS[trainer](rows)
    forms = {file.form for file in files if isinstance(file, RowTable)}
    if not forms:
        raise ConfigError(f"{trainer} has no form for the rows of {', '.join(map(str, data))}")
    for file in files:
        refuse_loss(output / file.name, click.get_current_context(), written=True)
    written = write_files(output, files, overwrite=overwrite)
    for each in written:
        click.echo(f"{each.path}: {each.rows} rows, {each.form}" if each.form else str(each.path))
    if overwrite and (others := _list_other_tables(written)):
        click.echo(f"left as before, as this export has no such file: {list_some(others, _SHOWN)}", err=True)
    warnings = {
        "rows left out that reviewers rejected": rows.left_out,
        "rows that are there more than once (is one of the inputs a copy?)": rows.repeated,
        "rows with a thought or tokens of a chat template, which a model would learn": rows.marked,
    }
    for what, count in warnings.items():
        if count:
            click.echo(f"{what}: {count:,}", err=True)
    if Form.RL in forms and trainer != "parquet" and (packages := _list_packages(data)):
        click.echo(
            f"the run's functions may import {', '.join(packages)}, and the reward of this export lets no package in: "
            "functions that import one accept nothing",
            err=True,
        )
    for form in Form:
        if form not in rows.forms:
            click.echo(f"no {form} form: there are no rows for it", err=True)
        elif form not in forms:
            click.echo(f"no {form} form: {trainer} has none that autoif can write", err=True)


def _list_packages(data: Sequence[Path]) -> list[str]:
    """Return the packages that the functions of these runs may import."""
    configs: list[Any] = [read_manifest(each).get("config", {}) for each in data]
    return sorted({package for each in configs for package in each.get("sandbox", {}).get("packages", ())})


def _list_other_tables(written: Sequence[WrittenFile]) -> list[Path]:
    """Return other tables in the same folders: perhaps left by an earlier export, and a trainer may read them."""
    tables = {each.path for each in written if each.form}
    return sorted({other for table in tables for other in table.parent.glob(f"*{table.suffix}")} - tables)
