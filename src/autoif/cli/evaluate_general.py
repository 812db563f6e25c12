"""`autoif eval general`: GSM8K, MMLU, HumanEval and C-Eval, through lm-evaluation-harness."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autoif.cli.evaluate import report
from autoif.cli.options import OUTPUT, QUIET, add_options, choose_say
from autoif.cli.sampling_options import KEEP_THINKING, model_options, read_endpoint
from autoif.errors import ConfigError, needing_extra
from autoif.models.catalog import runs_in_llama_cpp
from autoif.reading.text_lines import expand_home
from autoif.sampling.precision import choose_precision

if TYPE_CHECKING:
    from autoif.evaluation.general.files import TaskName
    from autoif.sampling import Backend

_TASKS = "gsm8k,mmlu,humaneval,ceval"
_TASKS_OF_TEXT = "gsm8k,humaneval"


@click.command("general")
@add_options(
    model_options(
        recorded='FILE: Score recorded answers to GSM8K and HumanEval, rows {"prompt", "response"}',
        samples=1,
        temperature=0.0,
        max_tokens=None,
        plain=False,
    )
)
@KEEP_THINKING
@OUTPUT
@click.option("--tasks", help=f"Benchmarks, separated by commas. [default: {_TASKS}]")
@click.option(
    "--data", multiple=True, metavar="[NAME=]PATH",
    help="Files of a benchmark, as in gsm8k=FOLDER, or a folder that has one folder for each; may be repeated. What is "
    "not named is fetched from the hub.",
)  # fmt: skip
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N",
    help="Only so many questions of each benchmark, spread over its subjects; the scores are then partial.",
)  # fmt: skip
@click.option(
    "--shots", multiple=True, metavar="NAME=N",
    help="Examples before each question, instead of lm-eval's number (5 for gsm8k, else 0); may be repeated.",
)  # fmt: skip
@click.option(
    "--chat-template/--no-chat-template", default=None,
    help="Use the model's chat template; the default is plain text, as in lm-eval. Endpoints and GGUF files are asked "
    "in chats.",
)  # fmt: skip
@QUIET
def general(
    model: str | None,
    responses: Path | None,
    output: Path,
    tasks: str | None,
    data: tuple[str, ...],
    limit: int | None,
    shots: tuple[str, ...],
    chat_template: bool | None,
    base_url: str | None,
    api_key_env: str,
    keep_thinking: bool,
    quiet: bool,
    **sampling: Any,
) -> None:
    """Measure MODEL on GSM8K, MMLU, HumanEval and C-Eval with lm-eval's prompts and metrics.

    MODEL is a folder, a name on the hub, a GGUF file, an embedded model, or with --base-url the name at an endpoint;
    the last three can only answer gsm8k and humaneval. HumanEval's programs run in the sandbox. The same command
    continues an interrupted evaluation; more --tasks add to the folder. --responses needs one row for each question,
    for HumanEval as many as --samples.
    """
    in_chats = bool(model and (base_url or runs_in_llama_cpp(model)))
    _refuse(model, responses, chat_template, in_chats, sampling)
    if sampling["dtype"] is None:
        sampling["dtype"] = choose_precision("auto") if model and not in_chats else "auto"
    with needing_extra("eval", "autoif eval general"):
        import lm_eval  # noqa: F401

        from autoif.evaluation.general.benchmark import evaluate_all
        from autoif.evaluation.general.data import GeneralSettings

    names = _read_tasks(tasks or (_TASKS_OF_TEXT if responses else _TASKS))
    files = _read_data(data, names)
    settings = GeneralSettings(
        limit=limit, chat_template=bool(model and (chat_template or in_chats)), shots=_read_shots(shots, names),
        **sampling,
    )  # fmt: skip
    if model and base_url:
        backend: Backend = read_endpoint(base_url, model, api_key_env)
    else:
        backend = "llama" if in_chats else "transformers"
    subject, task_files = responses or (model or "", backend), {name: files.get(name) for name in names}
    for folder, scores in evaluate_all(
        subject, task_files, settings, output, choose_say(quiet), keep_thinking=keep_thinking
    ):
        report(scores, folder)


def _refuse(
    model: str | None, responses: Path | None, chat_template: bool | None, in_chats: bool, sampling: Mapping[str, Any]
) -> None:
    """Refuse options that don't go together."""
    if (model is None) == (responses is None):
        raise click.UsageError("name a MODEL, or recorded --responses FILE")
    if model and sampling["samples"] > 1 and sampling["temperature"] == 0:
        raise ConfigError("--temperature 0 gives the same program each time: set it above 0 for several --samples")
    if sampling["chat_template_kwargs"] and model and not (chat_template or in_chats):
        raise ConfigError("--chat-template-kwargs needs --chat-template: without it a model is asked in plain text")
    if in_chats and chat_template is False:
        raise ConfigError(
            "--no-chat-template: an endpoint or a GGUF file is asked in chats, by the template that it has"
        )


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
            files |= {task: expand_home(path) for task in TASKS if task == name}
        elif (folder := expand_home(each)).is_dir():
            for task in names:
                if not (folder / task).exists():
                    raise ConfigError(f"--data {each}: it has no folder {task}; name its files by --data {task}=PATH")
                files.setdefault(task, folder / task)
        else:
            raise ConfigError(f"--data {each}: write NAME=PATH with a name of {', '.join(TASKS)}, or name a folder")
    return files


def _read_shots(given: Sequence[str], names: "Sequence[TaskName]") -> "dict[TaskName, int]":
    shots: dict[TaskName, int] = {}
    for each in given:
        name, _, number = each.partition("=")
        if name not in names or not number.isdecimal():
            raise ConfigError(f"--shots {each}: write NAME=N with a benchmark of --tasks")
        if name == "humaneval" and number != "0":
            raise ConfigError("--shots humaneval: it has no examples")
        shots |= {task: int(number) for task in names if task == name}
    return shots
