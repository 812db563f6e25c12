"""`autoif push`: write a run as a data set with a card, to a folder or the Hugging Face hub."""

from pathlib import Path

import click

from autoif.cli.options import LocalPath, OutputPath
from autoif.datasets.exports.files import write_files
from autoif.datasets.exports.hub import export_run, upload


@click.command()
@click.argument("run", type=LocalPath())
@click.option("--repository", metavar="OWNER/NAME", help="Data set on the hub; created if needed.")
@click.option("--private", is_flag=True, help="Create it as a private repository.")
@click.option("-o", "--output", type=OutputPath(), help="Write to this folder instead of the hub.")
@click.option("--overwrite", is_flag=True, help="Replace files of the same names in the folder.")
def push(run: Path, repository: str | None, private: bool, output: Path | None, overwrite: bool) -> None:
    """Write the data of the finished RUN with a data card, to the Hugging Face hub or to a folder.

    The card, README.md, says how the data was made (from run.json), without addresses and paths of this machine. Read
    it with -o before you publish. The hub is accessed with `hf auth login` or HF_TOKEN.
    """
    if (repository is None) == (output is None):
        raise click.UsageError("name either --repository OWNER/NAME or --output FOLDER")
    if repository:
        click.echo(upload(run, repository, private=private))
        return
    assert output
    for written in write_files(output, export_run(run), overwrite=overwrite):
        click.echo(f"{written.path}: {written.rows} rows" if written.form else str(written.path))
