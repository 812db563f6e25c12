"""`autoif run`: from a preset or a config to verified data."""

import asyncio
import json
import os
import shlex
import signal
import sys
from importlib import resources
from pathlib import Path

import click
from rich.console import Console

from autoif import run as pipeline
from autoif.config import load_config
from autoif.errors import BudgetExhausted, ConfigError
from autoif.pipeline import Step
from autoif.queries.scoring import STAGE as SCORING
from autoif.records import Response
from autoif.report.funnel import describe_formats, funnel_table, read_formats, read_funnel, read_lines
from autoif.report.progress import Progress
from autoif.report.show import print_samples

_FLAGS = {
    "seeds": "seeds",
    "queries": "queries",
    "base_url": "models.all.base_url",
    "model": "models.all.model",
    "engine": "execution.engine",
    "workers": "execution.workers",
    "sandbox": "sandbox.backend",
    "budget_tokens": "budget.tokens",
    "budget_usd": "budget.usd",
}
"""Options that are short for a setting."""


@click.command()
@click.argument("config")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Run folder. [default: runs/NAME]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting; may be repeated.")
@click.option("--seeds", metavar="FILE", help="Seed instructions, one a line.")
@click.option("--queries", metavar="SOURCE", help="Text file, JSONL, ShareGPT dump, or hf:NAME for a dataset.")
@click.option("--base-url", metavar="URL", help="OpenAI-compatible endpoint for all roles; ends in /v1.")
@click.option("--model", metavar="NAME", help="Model of all roles.")
@click.option(
    "--until", type=click.Choice(["instructions", "queries"]), default="queries", help="Stop after this step."
)
@click.option(
    "--instructions",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Begin with the verified instructions of an earlier run (its instructions.jsonl).",
)
@click.option("--engine", type=click.Choice(["local", "ray"]), help="Where shards are run.")
@click.option("--workers", type=int, metavar="N", help="Shards in flight at once.")
@click.option("--sandbox", metavar="BACKEND", help="Backend that runs model-written code.")
@click.option("--budget-tokens", type=int, metavar="N", help="Stop, resumable, after so many tokens.")
@click.option("--budget-usd", type=float, metavar="X", help="Stop, resumable, after so much money.")
@click.option("--recorded", is_flag=True, help="Replay the packaged recording of a quickstart run; needs no model.")
@click.option(
    "--recording",
    "recordings",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Replay a recording of your own (autoif record); ask no model. May be repeated.",
)
@click.option(
    "--answers",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Take answers from a recording where it has them; ask the model for the rest. May be repeated.",
)
@click.option("--resume-with-changes", is_flag=True, help="Go on in a folder that was made with other settings.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def run(
    config: str,
    output: Path | None,
    settings: tuple[str, ...],
    until: Step,
    instructions: Path | None,
    recorded: bool,
    recordings: tuple[Path, ...],
    answers: tuple[Path, ...],
    resume_with_changes: bool,
    quiet: bool,
    **flags: str | float | None,
) -> None:
    """Make training data with CONFIG: a preset (quickstart, paper, released) or a TOML file.

    Run the same command again to go on where an interrupted run stopped: no model answer is asked for twice.
    """
    given = [f"{_FLAGS[name]}={value}" for name, value in flags.items() if value is not None]
    resolved = load_config(config, [*given, *settings])
    replayed = (*((_recording(config),) if recorded else ()), *recordings)
    folder = output or Path("runs") / f"{Path(config).stem}{'-recorded' if replayed else ''}"
    options = pipeline.RunOptions(
        output=folder,
        until=until,
        instructions=instructions,
        recordings=(*replayed, *answers),
        replay=bool(replayed),
        resume_with_changes=resume_with_changes,
    )
    console = Console(stderr=True)
    try:
        asyncio.run(_run_until_signal(pipeline.run(resolved, options, Progress(console, quiet=quiet))))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print(f"interrupted; {_resume_hint()}", soft_wrap=True, highlight=False)
        raise click.exceptions.Abort from None
    except BudgetExhausted:
        console.print("the budget is spent; what is there so far:", highlight=False)
        _report(folder, Console())
        raise
    _report(folder, Console())


async def _run_until_signal(work: object) -> None:
    """Run to the end; SIGTERM stops the run as Ctrl-C does."""
    task = asyncio.ensure_future(work)  # type: ignore[call-overload]
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


def _recording(config: str) -> Path:
    path = resources.files("autoif") / "presets" / f"{config}.recording.jsonl.xz"
    if not path.is_file():
        raise ConfigError(f'there is no recording of "{config}": --recorded goes with the preset quickstart')
    return Path(str(path))


def _resume_hint() -> str:
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return f"nothing is lost: run the same command to go on:\n  {command}"


def _report(folder: Path, console: Console) -> None:
    """Print the funnel, three samples and where things are."""
    rows = read_funnel(folder)
    console.print(funnel_table(rows))
    judged = json.loads((folder / "run.json").read_text(encoding="utf-8")).get("sandbox", "not recorded")
    console.print(f"sandbox: {judged}", style="dim", markup=False, highlight=False, soft_wrap=True)
    console.print(describe_formats(read_formats(folder)), style="dim", soft_wrap=True)
    responses = [Response.model_validate(row) for row in read_lines(folder / f"07_{SCORING}", "kept")]
    print_samples(responses[:: max(1, len(responses) // 3)][:3], console)
    console.print()
    for name in (pipeline.INSTRUCTIONS, pipeline.SFT, pipeline.PREFERENCES, pipeline.REWARDS):
        path = folder / name
        if path.exists():
            with path.open("rb") as lines:
                count = sum(1 for _ in lines)
            console.print(f"{count:>7,} rows  {os.path.relpath(path)}", highlight=False, soft_wrap=True)
