"""The `autoif` command: parse, call, print. What goes wrong ends in one line and exit code 2."""

import io
import os
import sys

import click

from autoif.cli.lazy_group import LazyGroup
from autoif.errors import AutoIFError

_COMMANDS = {
    "audit": "autoif.cli.audit:audit",
    "compare": "autoif.cli.evaluate:compare",
    "contamination": "autoif.cli.contamination:contamination",
    "cross-validate": "autoif.cli.cross_validate:cross_validate",
    "decisions": "autoif.cli.decisions:decisions",
    "doctor": "autoif.cli.doctor:doctor",
    "eval": "autoif.cli.evaluate:evaluate",
    "export": "autoif.cli.export:export",
    "models": "autoif.cli.models:models",
    "plot": "autoif.cli.evaluate:plot_curves",
    "prompts": "autoif.cli.split:prompts",
    "push": "autoif.cli.push:push",
    "record": "autoif.cli.record:record",
    "replay": "autoif.cli.replay:replay",
    "report": "autoif.cli.report:report",
    "run": "autoif.cli.run:run",
    "serve": "autoif.cli.serve:serve",
    "show": "autoif.cli.show:show",
    "split": "autoif.cli.split:split",
    "train": "autoif.cli.train:train",
    "verify": "autoif.cli.verify:verify",
    "view": "autoif.cli.view:view",
}


@click.group(
    cls=LazyGroup,
    places=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="autoif")
def cli() -> None:
    """Make instruction-following training data that running code has verified (AutoIF, Dong et al., 2024)."""


def main() -> None:
    """Run the command line; the entry point of the package."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a locale may lack what a model wrote
    try:
        cli.main(standalone_mode=False)
    except AutoIFError as error:
        _fail(str(error))
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except BrokenPipeError:  # the reader (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _fail(message: str) -> None:
    from autoif.reading.text_lines import show_in_line  # here, as a command that succeeds needs none of what this loads

    click.echo(f"autoif: {show_in_line(message)}", err=True)
    sys.exit(2)
