"""`autoif run`: make verified data with a preset or a config."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from autoif import api
from autoif.cli.interruption import RUN_GRACE_S, interruptible
from autoif.cli.options import QUIET, SETTINGS, LocalPath
from autoif.errors import BudgetExhausted, NoData
from autoif.planning.plan import RunPlan
from autoif.report.plan import print_plan
from autoif.report.show import show_made


@click.command()
@click.argument("config")
@click.option("-o", "--output", help="Run folder, or an address such as s3://BUCKET/runs/NAME. [default: runs/NAME]")
@click.option("--work", type=LocalPath(), metavar="FOLDER", help="Folder to work in if --output is an address.")
@SETTINGS
@click.option(
    "--seeds", metavar="FILE", help="Seed instructions: a file of any form (docs/queries.md), or a run folder."
)
@click.option(
    "--queries", metavar="SOURCE", help="Queries: a file of any form, a run folder, or hf:NAME for a dataset."
)
@click.option("--base-url", metavar="URL", help="OpenAI-compatible endpoint for all roles; ends in /v1.")
@click.option("--model", metavar="NAME", help="Model of all roles.")
@click.option(
    "--until", type=click.Choice(["instructions", "queries"]), default="queries", help="Stop after this step."
)
@click.option(
    "--instructions",
    type=LocalPath(),
    metavar="FILE",
    help="Begin with the verified instructions of an earlier run: its folder, or its instructions.jsonl.",
)
@click.option("--engine", type=click.Choice(["local", "ray"]), help="Where shards run.")
@click.option(
    "--ray-address", metavar="ADDRESS", help='A running Ray cluster, as "auto" or "10.0.0.1:6379" (docs/scale.md).'
)
@click.option("--workers", type=int, metavar="N", help="Shards in flight at once.")
@click.option(
    "--shards", metavar="K/N", help="Run slice K of N, one a task of a batch system; the last merges (docs/scale.md)."
)
@click.option("--sandbox", metavar="BACKEND", help="Sandbox for model-written code: auto, cpython or monty.")
@click.option("--budget-tokens", type=int, metavar="N", help="Stop after so many tokens; the same command resumes.")
@click.option("--budget-usd", type=float, metavar="X", help="Stop after so much money; the same command resumes.")
@click.option("--recorded", is_flag=True, help="Replay the packaged recording of a quickstart run; needs no model.")
@click.option(
    "--recording",
    "recordings",
    type=LocalPath(),
    multiple=True,
    metavar="FILE",
    help="Replay a recording (`autoif record`), and ask no model; may be repeated.",
)
@click.option(
    "--answers",
    type=LocalPath(),
    multiple=True,
    metavar="FILE",
    help="Use the answers in a recording or a completions.sqlite, and ask for the rest; may be repeated.",
)
@click.option("--resume-with-changes", is_flag=True, help="Continue in a folder that was made with other settings.")
@click.option("--retry-refused", is_flag=True, help="Ask again for answers that the server refused.")
@click.option("--plan", is_flag=True, help="Print what the run will ask, cost and make; don't run it.")
@click.option("--json", "as_json", is_flag=True, help="With --plan, print JSON.")
@click.option(
    "--yields", metavar="RUN", help="With --plan, estimate from this run or published source (docs/planning.md)."
)
@click.option(
    "--tokens-per-second", type=click.FloatRange(min=0, min_open=True), metavar="X", help="With --plan, at this speed."
)
@QUIET
def run(
    config: str,
    output: str | None,
    work: Path | None,
    settings: tuple[str, ...],
    plan: bool,
    as_json: bool,
    yields: str | None,
    tokens_per_second: float | None,
    sandbox: str | None,
    budget_tokens: int | None,
    budget_usd: float | None,
    recorded: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Make training data with CONFIG: a preset (quickstart, recommended, paper, released) or a TOML file.

    With a server: `autoif run recommended --base-url http://127.0.0.1:8000/v1 --model NAME`. Without one, a small model
    runs on this machine.

    Run the same command again to resume an interrupted run: no stored answer is asked for twice.
    """
    short = {"sandbox.backend": sandbox, "budget.tokens": budget_tokens, "budget.usd": budget_usd}
    changed = [f"{key}={value}" for key, value in short.items() if value is not None]
    replayed = recorded or options["recordings"]
    folder, _ = api.place_run(output, work, f"{Path(config).stem}{'-recorded' if replayed else ''}")
    given = {name: value for name, value in options.items() if value is not None}
    given |= {"output": output or folder, "work": work, "set": [*changed, *settings], "recorded": recorded}
    if plan:
        _show_plan(api.plan(config, yields=yields, tokens_per_second=tokens_per_second, **given), as_json)
        return
    if yields or tokens_per_second or as_json:
        raise click.UsageError("--json, --yields and --tokens-per-second go with --plan")
    try:
        with interruptible(_resume_hint(), RUN_GRACE_S):
            made = api.run(config, progress=not quiet, **given)
    except (BudgetExhausted, NoData) as error:
        if isinstance(error, BudgetExhausted):
            Console(stderr=True).print("the budget is spent; what is there so far:", highlight=False)
        show_made(folder, Console())
        raise
    if made.manifest.get("status") == "complete":
        show_made(folder, Console())


def _show_plan(planned: RunPlan, as_json: bool) -> None:
    if as_json:
        click.echo(planned.model_dump_json(indent=2))
    else:
        print_plan(planned, Console())


def _resume_hint() -> str:
    script = Path(sys.argv[0]).name
    program = [Path(sys.executable).name, "-m", "autoif"] if script == "__main__.py" else [script]
    command = shlex.join([*program, *sys.argv[1:]])
    return f"nothing is lost: run the same command to go on:\n  {command}"
