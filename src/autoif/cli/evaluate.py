"""`autoif eval`, `autoif compare` and `autoif plot`: how good a model is, how much better, and how it was trained."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from autoif.cli.lazy_group import LazyGroup, Place
from autoif.cli.options import OUTPUT, QUIET, LocalPath, OutputPath, choose_say
from autoif.cli.sampling_options import SampledOrRecorded, policy_options, take_subject
from autoif.cli.sandbox_options import sandbox_options
from autoif.errors import needing_extra
from autoif.messages import show_in_line
from autoif.reading.text_lines import refuse_repeats
from autoif.renewing import FIGURE, TABLES
from autoif.runs.whole_files import replace_file
from autoif.sandbox import SandboxSettings

if TYPE_CHECKING:
    from autoif.evaluation.comparison import Comparison
    from autoif.evaluation.results import Scores
    from autoif.report.tables import Form

_BENCHMARKS = {
    "fetch": Place("autoif.cli.benchmarks:fetch", "Fetch what the checkers of IFEval and IFBench need."),
    "followbench": Place("autoif.cli.evaluate_followbench:followbench", "Measure a model on FollowBench."),
    "general": Place("autoif.cli.evaluate_general:general", "Measure a model on GSM8K, MMLU, HumanEval and C-Eval."),
    "ifbench": Place("autoif.cli.benchmarks:ifbench", "Score a model on IFBench."),
    "ifeval": Place("autoif.cli.benchmarks:ifeval", "Score a model on IFEval."),
}


@click.group("eval", cls=LazyGroup, places=_BENCHMARKS)
def evaluate() -> None:
    """Measure a model on prompts that it was not trained on (extra `eval`)."""


@evaluate.command("pass-rate", short_help="Measure the share of answers that functions accept.")
@click.option("--data", required=True, type=LocalPath(), help="Prompts with functions, in the form of rewards.jsonl.")
@OUTPUT
@policy_options(
    samples=8, temperature=0.8, max_tokens=1024, recorded='FILE: Verify recorded responses, rows {"prompt", "response"}'
)
@click.option(
    "--unseen-by", type=LocalPath(), multiple=True, metavar="DATA",
    help="Training data (a run folder or a file) that must share nothing with the prompts; may be repeated.",
)  # fmt: skip
@sandbox_options(backend="--sandbox")
@QUIET
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
    The same command continues an interrupted evaluation.
    """
    with needing_extra("eval", "autoif eval"):
        from autoif.evaluation.benchmark import evaluate as run
        from autoif.evaluation.pass_rate import load_benchmark, read_prompts
        from autoif.evaluation.provenance import check_held_out

    say = choose_say(quiet)
    prompts = read_prompts(data)
    seen = check_held_out("" if isinstance(policy, Path) else policy.local_name, prompts.sources, unseen_by)
    with sandbox.make_sandbox() as entered:  # enter it before torch is imported and starts its threads
        benchmark = load_benchmark(prompts, seen, entered, say)
        report(run(benchmark, take_subject(policy, say), output, say, keep_thinking=keep_thinking), output)


@click.command()
@click.argument("folders", type=LocalPath(), nargs=-1, required=True)
@click.option("-o", "--output", type=OutputPath(TABLES), metavar="FILE", help="Also write the tables here.")
@click.option(
    "--format", "form", type=click.Choice(["md", "tex", "html"]),
    help="Form of FILE (default: by its suffix), or of the printed tables.",
)  # fmt: skip
@click.option("--plot", type=OutputPath(FIGURE), metavar="FILE.svg", help="Draw scores and differences.")
def compare(folders: tuple[Path, ...], output: Path | None, form: "Form | None", plot: Path | None) -> None:
    """Compare models with the first one: scores, and paired differences with 95 % intervals.

    Each of FOLDERS is one model's: an output of `autoif eval`, or a folder with one output for each benchmark. The
    models must have been measured on the same prompts with the same settings.
    """
    with needing_extra("eval", "autoif compare"):
        from autoif.evaluation.comparison import compare as compare_folders
        from autoif.report.tables import choose_form
    form = choose_form(output, form)
    if plot:
        with needing_extra("eval", "autoif compare --plot"):
            from autoif.figures.plots import plot_comparison
            from autoif.figures.style import check_kind
        check_kind(plot)
    refuse_repeats(folders)
    compared = compare_folders(folders)
    click.echo(_render(compared, "md" if output else form), nl=False)
    if output:
        replace_file(output, [_render(compared, form)])
    if plot:
        plot_comparison(compared, plot)


def _render(compared: "Comparison", form: "Form") -> str:
    """Return a comparison as text: Markdown, LaTeX, or a page that looks like those of `autoif report`."""
    if form == "html":
        from autoif.page.evaluations import build_comparison_page

        return build_comparison_page(compared)
    from autoif.report.tables import render

    return render(compared, form)


@click.command("plot")
@click.argument("folders", type=LocalPath(), nargs=-1, required=True)
@click.option(
    "-o", "--output", type=OutputPath(FIGURE), required=True, metavar="FILE", help="A .svg, .png or .pdf to write."
)
def plot_curves(folders: tuple[Path, ...], output: Path) -> None:
    """Draw the curves in the metrics.jsonl of trained FOLDERS: loss, DPO margin and accuracy, reward."""
    with needing_extra("eval", "autoif plot"):
        from autoif.figures.plots import plot_training
    refuse_repeats(folders)
    drawn = plot_training(folders, output)
    click.echo(f"{', '.join(drawn)}: {output}")


def report(scores: "Scores", folder: Path) -> None:
    """Print the scores of any benchmark, with notes on how to read them."""
    from autoif.report.scores import describe_scores

    for name, text in describe_scores(scores, folder):
        shown = text if text.isprintable() else show_in_line(text)
        click.echo(f"{name:>18}  {shown}")
