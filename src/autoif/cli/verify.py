"""`autoif verify`: run functions on responses, or verify a data set by the functions that its rows carry."""

import asyncio
import sys
from pathlib import Path

import click

from autoif.cli.options import LocalPath, OutputPath, choose_say
from autoif.cli.sandbox_options import sandbox_options
from autoif.renewing import VERDICTS
from autoif.sandbox import SandboxSettings
from autoif.verifying import VerifiedDataset, verify_dataset, verify_pairs


@click.command()
@click.argument("functions", type=LocalPath(), required=False)
@click.argument("responses", type=LocalPath(), required=False)
@click.option(
    "-o", "--output", type=OutputPath(VERDICTS), help="File to write, without --dataset. [default: standard output]"
)
@click.option(
    "--dataset",
    type=LocalPath(),
    help="Verify rows by their own functions: a run folder (its sft.jsonl), an sft.jsonl or a preferences.jsonl.",
)
@sandbox_options()
def verify(
    functions: Path | None,
    responses: Path | None,
    output: Path | None,
    dataset: Path | None,
    sandbox: SandboxSettings,
) -> None:
    """Run every function of FUNCTIONS on every response of RESPONSES in the sandbox.

    FUNCTIONS has rows {"id", "source"}, RESPONSES rows {"id", "text"}. The output has a row for each pair: {"function",
    "response", "verdict", "detail", "seconds"}. Verdicts: pass, fail, error, timeout, memory, crash.

    With --dataset, prints the rows that their functions no longer accept as recorded; then the exit code is 1.
    """
    say = choose_say(quiet=False)  # to standard error, apart from the verdicts
    if dataset and not functions:
        if output:
            raise click.UsageError("--output goes with FUNCTIONS.jsonl and RESPONSES.jsonl: --dataset only prints")
        sys.exit(_print_verified(verify_dataset(dataset, sandbox.make_sandbox(), say)))
    if dataset or not (functions and responses):
        name = functions if functions and not dataset else "FILE"
        raise click.UsageError(f"name FUNCTIONS.jsonl and RESPONSES.jsonl, or a data set: --dataset {name}")
    asyncio.run(verify_pairs(functions, responses, output, sandbox.make_sandbox(), say))


def _print_verified(verified: VerifiedDataset) -> int:
    """Print the rows whose functions give other verdicts than recorded; return 1 if there are any."""
    for check, rate in verified.changed:
        click.echo(f"{check.name}: pass rate {rate:g}, recorded {check.recorded:g}")
    changed = len({check.name.partition(",")[0] for check, _ in verified.changed})
    click.echo(f"{verified.rows - changed} of {verified.rows} rows hold")
    return int(changed > 0)
