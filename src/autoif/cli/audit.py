"""`autoif audit`: how right a run's functions are."""

import os
from pathlib import Path

import click
from rich.console import Console

from autoif.cli.options import LocalPath, OutputPath
from autoif.cli.sandbox_options import sandbox_options
from autoif.errors import ConfigError, needing_extra
from autoif.renewing import FIGURE
from autoif.runs.store import AUDIT
from autoif.sandbox import SandboxSettings

_PLOTS_GOLD = "--plot draws scores against gold: name a --gold of answers that follow and others that don't"


@click.command()
@click.argument("run", type=LocalPath())
@click.option(
    "--gold", metavar="GOLD",
    help='Compare with gold: a file of rows {"instruction", "response", "followed"}, or ifeval or ifbench, whose '
    "checkers judge recorded responses.",
)  # fmt: skip
@click.option(
    "--data", type=LocalPath(), metavar="FOLDER",
    help="Recorded responses for ifeval and ifbench. [default: $AUTOIF_DATA]",
)  # fmt: skip
@click.option(
    "--second", type=LocalPath(), metavar="RUN",
    help="Compare with the functions of another model: a run over the same instructions.",
)  # fmt: skip
@click.option("--plot", type=OutputPath(FIGURE), metavar="FILE.svg", help="With --gold, draw how well scores hold.")
@sandbox_options()
def audit(
    run: Path, gold: str | None, data: Path | None, second: Path | None, plot: Path | None, sandbox: SandboxSettings
) -> None:
    """Measure how right the functions of RUN are, without asking a model (extra `eval`).

    Every function runs on some 550 texts of every kind, on texts made from its instruction's words, and on answers to
    other instructions. The audit reports its faults, and a score: how likely it is right.

    With --gold, it compares with responses that are known to follow or not, and reports rates of true and false
    verdicts and the share of training rows that are right. With --second, it lists the texts on which another model's
    functions for the same instructions differ. Everything is printed, and written to audit.json in RUN.
    """
    with needing_extra("eval", "autoif audit"):
        from autoif.audit.run import audit_run
        from autoif.report.audit import print_audit

    if plot:
        with needing_extra("eval", "autoif audit --plot"):
            from autoif.figures.plots import plot_calibration
            from autoif.figures.style import check_kind
        check_kind(plot)
        if not gold:
            raise ConfigError(_PLOTS_GOLD)
    with Console(stderr=True).status("audit") as status:
        found = audit_run(run, sandbox, gold, second, data, lambda step: status.update(f"audit: {step}"))
    print_audit(found, Console())
    click.echo(f"\nwritten: {os.path.relpath(run / AUDIT)}")
    if plot:
        if not found.scores.calibration:
            raise ConfigError(_PLOTS_GOLD)
        bins = [(each.score, each.right, each.functions) for each in found.scores.calibration.bins]
        plot_calibration(bins, plot)
