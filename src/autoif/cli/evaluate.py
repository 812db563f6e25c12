"""`autoif eval`, `autoif compare` and `autoif plot`: how good a model is, how much better, and how it was trained."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from autoif.cli.lazy_group import LazyGroup
from autoif.cli.sampling_options import SampledOrRecorded, policy_options
from autoif.cli.sandbox_options import sandbox_options
from autoif.errors import ConfigError
from autoif.sandbox import SandboxSettings
from autoif.store import refuse_repeats, storage_errors

if TYPE_CHECKING:
    from autoif.evaluation.results import Scores


_BENCHMARKS = {
    "fetch": "autoif.cli.benchmarks:fetch",
    "followbench": "autoif.cli.evaluate_followbench:followbench",
    "general": "autoif.cli.evaluate_general:general",
    "ifbench": "autoif.cli.benchmarks:ifbench",
    "ifeval": "autoif.cli.benchmarks:ifeval",
}


@click.group("eval", cls=LazyGroup, places=_BENCHMARKS)
def evaluate() -> None:
    """Measure a model on prompts that it was not trained on (extra `eval`)."""


@evaluate.command("pass-rate")
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="Prompts with functions: rewards.jsonl's form."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write."
)
@policy_options(
    samples=8, temperature=0.8, max_tokens=1024, recorded='Verify recorded responses, rows {"prompt", "response"}'
)
@click.option(
    "--unseen-by", type=click.Path(path_type=Path), multiple=True, metavar="DATA",
    help="Training data, a run folder or a file, that must have nothing in common with the prompts; may be repeated.",
)  # fmt: skip
@sandbox_options(backend="--sandbox")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def pass_rate(
    policy: SampledOrRecorded,
    data: Path,
    output: Path,
    unseen_by: tuple[Path, ...],
    sandbox: SandboxSettings,
    keep_thinking: bool,
    quiet: bool,
) -> None:
    """Sample from MODEL and report the share of answers that the verification functions accept.

    MODEL is a folder, a name on the hub, a GGUF file, an embedded model, or with --base-url the name at an endpoint.
    The same command goes on where it was interrupted.
    """
    with require_extra("autoif eval"):
        from autoif.evaluation.pass_rate import Policy, Task, measure_policy, measure_recorded, read_prompts
        from autoif.evaluation.provenance import check_held_out

    say = choose_say(quiet)
    prompts = read_prompts(data)
    seen = check_held_out("" if isinstance(policy, Path) else policy.local_name, prompts.sources, unseen_by)
    with sandbox.make_sandbox() as entered:  # before torch and its threads are there
        task = Task(prompts, output, entered, say, keep_thinking)
        if isinstance(policy, Path):
            scores = measure_recorded(policy, seen, task)
        else:
            who = Policy(policy.name, policy.identity, policy.settings, seen)
            scores = measure_policy(who, lambda: policy.open(say), task)
    _report(scores, output)


@click.command()
@click.argument("folders", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the tables here, too.")
@click.option(
    "--format", "form", type=click.Choice(["md", "tex", "html"]),
    help="Of FILE, by default as its suffix says; without one, of what is printed.",
)  # fmt: skip
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.svg", help="Draw scores and differences.")
def compare(
    folders: tuple[Path, ...], output: Path | None, form: Literal["md", "tex", "html"] | None, plot: Path | None
) -> None:
    """Compare models with the first of them: scores, and paired differences with 95 % intervals.

    Each of FOLDERS is a model's: what `autoif eval` wrote, or a folder of several such, one a benchmark. The models
    must have been measured on the same prompts with the same settings.
    """
    with require_extra("autoif compare"):
        from autoif.evaluation.comparison import compare as compare_folders
        from autoif.evaluation.comparison.forms import choose_form, render
    form = form or choose_form(output)
    if plot:
        with require_extra("autoif compare --plot"):
            from autoif.evaluation.plots import check_kind, plot_comparison
        check_kind(plot)
    refuse_repeats(folders)
    compared = compare_folders(folders)
    click.echo(render(compared, "md" if output else form), nl=False)
    if output:
        with storage_errors(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(render(compared, form), encoding="utf-8")
    if plot:
        plot_comparison(compared, plot)


@click.command("plot")
@click.argument("folders", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="FILE", help="A .svg, .png or .pdf."
)
def plot_curves(folders: tuple[Path, ...], output: Path) -> None:
    """Draw the curves of trained FOLDERS: loss, DPO margin and accuracy, reward, as their metrics.jsonl have them."""
    with require_extra("autoif plot"):
        from autoif.evaluation.plots import plot_training
    refuse_repeats(folders)
    drawn = plot_training(folders, output)
    click.echo(f"{', '.join(drawn)}: {output}")


@contextmanager
def require_extra(command: str) -> Iterator[None]:
    """Say what to install where an import fails."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(f"{command} needs {error.name}: pip install 'autoif[eval]'") from None


def _report(scores: "Scores", output: Path) -> None:
    from autoif.evaluation.bootstrap import describe

    partial = f" PARTIAL: {scores.prompts_missing} prompts have no response." if scores.prompts_missing else ""
    cut = "not recorded" if scores.truncated is None else f"{scores.truncated:.1f} %"
    faults = ", ".join(f"{fault} {count}" for fault, count in scores.faults.items())
    lines = {
        "pass rate, %": f"{describe(scores.pass_rate)}  95 %, over {scores.instructions} instructions",
        "… by prompt": f"{describe(scores.pass_rate_by_prompt)}  these instructions, over {scores.prompts} prompts",
        "… without faults": describe(scores.faultless_pass_rate),
        "samples": f"{scores.prompts} x {scores.responses_per_prompt}.{partial} Faults: {faults}",
        "truncated": cut,
        **scores.responses.describe(keep_thinking=scores.keep_thinking),
        "no verdict": f"{scores.undecided:.1f} % of verdicts: the function raised, hung or crashed",
        "training": scores.seen.describe(),
        "written": str(output),
    }
    for name, text in lines.items():
        click.echo(f"{name:>18}  {text}")


def choose_say(quiet: bool) -> Callable[[str], None]:
    """Return what shows lines of progress, or swallows them."""
    return (lambda line: None) if quiet else (lambda line: click.echo(line, err=True))
