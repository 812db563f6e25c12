"""`autoif eval general`: GSM8K, MMLU, HumanEval and C-Eval, through lm-evaluation-harness."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from autoif.cli.evaluate import choose_say, require_extra
from autoif.cli.sampling_options import CHAT_TEMPLATE_KWARGS, KEEP_THINKING, read_endpoint
from autoif.errors import ConfigError
from autoif.models.gguf import runs_in_llama_cpp

if TYPE_CHECKING:
    from pydantic import JsonValue

    from autoif.evaluation.general.files import TaskName
    from autoif.evaluation.general.results import GeneralScores
    from autoif.evaluation.responses import Counted
    from autoif.sampling import Backend

_TASKS = "gsm8k,mmlu,humaneval,ceval"
_TASKS_OF_TEXT = "gsm8k,humaneval"


@click.command("general")
@click.argument("model", required=False)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write."
)
@click.option(
    "--responses", type=click.Path(path_type=Path), metavar="FILE",
    help='Score recorded answers to GSM8K and HumanEval, rows {"prompt", "response"}, and ask no model.',
)  # fmt: skip
@click.option("--tasks", help=f"Benchmarks, with commas between them. [default: {_TASKS}]")
@click.option(
    "--data", multiple=True, metavar="[NAME=]PATH",
    help="Files of a benchmark, as in gsm8k=FOLDER, or a folder that has one folder for each; may be repeated. What is "
    "not named is fetched from the hub.",
)  # fmt: skip
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N",
    help="Questions of each benchmark, a few by --seed, spread over its subjects; the scores are then partial.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of the choice by --limit, and of the sampling.")
@click.option(
    "--shots", multiple=True, metavar="NAME=N",
    help="Examples before each question, if not lm-eval's number (5 for gsm8k, else 0); may be repeated.",
)  # fmt: skip
@click.option(
    "--chat-template/--no-chat-template", default=None,
    help="Ask by the model's chat template; by default plain text, as lm-eval does. Endpoints and GGUF files are asked "
    "in chats.",
)  # fmt: skip
@click.option("--samples", type=click.IntRange(min=1), default=1, show_default=True, help="Programs for each question.")
@click.option(
    "--temperature", type=click.FloatRange(0, 2), default=0.0, show_default=True,
    help="Of programs; everything else takes the likeliest.",
)  # fmt: skip
@click.option(
    "--top-p", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True, help="Of programs."
)
@click.option(
    "--max-tokens", type=click.IntRange(min=1),
    help="Of an answer that is written, if not lm-eval's number (256 for gsm8k, 1024 for humaneval).",
)  # fmt: skip
@click.option("--batch-size", type=click.IntRange(min=1), default=8, show_default=True, help="Requests at once.")
@click.option(
    "--dtype", type=click.Choice(["auto", "bfloat16", "float16", "float32"]), default="auto", show_default=True,
    help="Of the weights; auto is that of the files.",
)  # fmt: skip
@CHAT_TEMPLATE_KWARGS
@KEEP_THINKING
@click.option("--base-url", metavar="URL", help="OpenAI-compatible endpoint that serves MODEL; ends in /v1.")
@click.option("--api-key-env", default="OPENAI_API_KEY", show_default=True, help="Variable that holds its key.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def general(
    model: str | None,
    responses: Path | None,
    output: Path,
    tasks: str | None,
    data: tuple[str, ...],
    limit: int | None,
    seed: int,
    shots: tuple[str, ...],
    chat_template: bool | None,
    samples: int,
    temperature: float,
    top_p: float,
    max_tokens: int | None,
    batch_size: int,
    dtype: Literal["auto", "bfloat16", "float16", "float32"],
    chat_template_kwargs: "dict[str, JsonValue]",
    keep_thinking: bool,
    base_url: str | None,
    api_key_env: str,
    quiet: bool,
) -> None:
    """Measure MODEL on GSM8K, MMLU, HumanEval and C-Eval with lm-eval's prompts and metrics.

    MODEL is a folder, a name on the hub, a GGUF file, an embedded model, or with --base-url the name at an endpoint;
    the last three can answer gsm8k and humaneval. HumanEval's programs run in the sandbox. The same command goes on
    where it was interrupted, and further --tasks join those that the folder has. Of --responses one row
    a question counts, of HumanEval as many as --samples says.
    """
    if (model is None) == (responses is None):
        raise click.UsageError("name a MODEL, or recorded --responses FILE")
    if model and samples > 1 and temperature == 0:
        raise ConfigError("--temperature 0 gives the same program each time: set it above 0 for several --samples")
    if chat_template_kwargs and model and not (chat_template or base_url or runs_in_llama_cpp(model)):
        raise ConfigError("--chat-template-kwargs needs --chat-template: without it a model is asked in plain text")
    in_chats = bool(model and (base_url or runs_in_llama_cpp(model)))
    if in_chats and chat_template is False:
        raise ConfigError(
            "--no-chat-template: an endpoint or a GGUF file is asked in chats, by the template that it has"
        )
    with require_extra("autoif eval general"):
        import lm_eval  # noqa: F401

        from autoif.evaluation.general.answering import ChatModel, LocalModel
        from autoif.evaluation.general.asking import Place, Who
        from autoif.evaluation.general.measure import measure_general
        from autoif.evaluation.general.programs import LIMITS
        from autoif.evaluation.general.recorded import RecordedAnswers
        from autoif.evaluation.general.results import GeneralSettings
        from autoif.evaluation.provenance import identify_policy
    from autoif.sandbox import Sandbox

    names = _read_tasks(tasks or (_TASKS_OF_TEXT if responses else _TASKS))
    files = _read_data(data, names)
    say = choose_say(quiet)
    chat = bool(model and (chat_template or in_chats))
    settings = GeneralSettings(
        limit=limit, seed=seed, chat_template=chat, shots=_read_shots(shots, names), samples=samples,
        temperature=temperature, top_p=top_p, max_tokens=max_tokens, batch_size=batch_size, dtype=dtype,
        keep_thinking=keep_thinking, chat_template_kwargs=chat_template_kwargs,
    )  # fmt: skip
    with ExitStack() as stack:  # the sandbox before torch and its threads are there
        sandbox = stack.enter_context(Sandbox(LIMITS, backend="cpython")) if "humaneval" in names else None
        if model is None:
            assert responses
            recorded = RecordedAnswers(responses)
            who = Who(str(responses), recorded.identity, recorded)
        elif in_chats:
            backend: Backend = read_endpoint(base_url, model, api_key_env) if base_url else "llama"
            who = Who(model, identify_policy(model, backend), ChatModel(model, backend, say))
        else:
            answerer = LocalModel(
                model, batch_size=batch_size, dtype=dtype, chat=chat, template_kwargs=chat_template_kwargs
            )
            who = Who(model, identify_policy(model, "transformers"), answerer)
        _report(measure_general(who, names, files, Place(settings, output, sandbox, say)), output)


def _read_tasks(text: str) -> "list[TaskName]":
    from autoif.evaluation.general.files import TASKS

    asked = [name.strip() for name in text.split(",") if name.strip()]
    for name in asked:
        if name not in TASKS:
            raise ConfigError(f"--tasks: there is no benchmark {name!r}: choose from {', '.join(TASKS)}")
    if not asked:
        raise ConfigError(f"--tasks names no benchmark: choose from {', '.join(TASKS)}")
    return [name for name in TASKS if name in asked]


def _read_data(given: Sequence[str], names: "Sequence[TaskName]") -> "dict[TaskName, Path]":
    from autoif.evaluation.general.files import TASKS

    files: dict[TaskName, Path] = {}
    for each in given:
        name, separator, path = each.partition("=")
        if separator and name in TASKS:
            files |= {task: Path(path) for task in TASKS if task == name}
        elif Path(each).is_dir():
            for task in names:
                if not (Path(each) / task).exists():
                    raise ConfigError(f"--data {each}: it has no folder {task}; name its files by --data {task}=PATH")
                files.setdefault(task, Path(each) / task)
        else:
            raise ConfigError(f"--data {each}: write NAME=PATH with a name of {', '.join(TASKS)}, or name a folder")
    return files


def _read_shots(given: Sequence[str], names: "Sequence[TaskName]") -> "dict[TaskName, int]":
    shots: dict[TaskName, int] = {}
    for each in given:
        name, _, number = each.partition("=")
        if name not in names or not number.isdigit():
            raise ConfigError(f"--shots {each}: write NAME=N with a benchmark of --tasks")
        if name == "humaneval" and number != "0":
            raise ConfigError("--shots humaneval: it has no examples")
        shots |= {task: int(number) for task in names if task == name}
    return shots


def _report(scores: "GeneralScores", output: Path) -> None:
    from autoif.evaluation.comparison import describe

    if scores.recorded:
        for what, counted in scores.recorded:
            _report_counted(what, counted)
    for name, task in scores.tasks.items():
        partial = f"  PARTIAL: {task.questions:,} of {task.questions_of_benchmark:,} questions" if task.partial else ""
        click.echo(f"{name:>18}  {describe(task.score)}  {task.metric}, {task.shots} shots{partial}")
        for metric, score in task.others.items():
            click.echo(f"{'…':>18}  {describe(score)}  {metric}")
        for what, counted in (("unanswered", task.unanswered), ("cut", task.cut)):
            _report_counted(what, counted)
        if task.responses:
            for what, text in task.responses.describe(keep_thinking=scores.settings.keep_thinking).items():
                click.echo(f"{what:>18}  {text}")
    click.echo(f"{'written':>18}  {output}")


def _report_counted(what: str, counted: "Counted") -> None:
    if counted.count:
        more = ", …" if counted.count > 3 else ""
        click.echo(f"{what:>18}  {counted.count:,}: {', '.join(counted.named[:3])}{more}")
