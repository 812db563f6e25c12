"""`autoif eval general`: GSM8K, MMLU, HumanEval and C-Eval, through lm-evaluation-harness."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from autoif.cli.evaluate import choose_say, report, require_extra
from autoif.cli.sampling_options import CHAT_TEMPLATE_KWARGS, KEEP_THINKING, OUTPUT, QUIET, read_endpoint
from autoif.errors import ConfigError
from autoif.models.gguf import runs_in_llama_cpp

if TYPE_CHECKING:
    from pydantic import JsonValue

    from autoif.evaluation.general.files import TaskName
    from autoif.sampling import Backend

_TASKS = "gsm8k,mmlu,humaneval,ceval"
_TASKS_OF_TEXT = "gsm8k,humaneval"


@click.command("general")
@click.argument("model", required=False)
@OUTPUT
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
@QUIET
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

        from autoif.evaluation.benchmark import evaluate
        from autoif.evaluation.general.answering import Answerer, ChatModel, LocalModel
        from autoif.evaluation.general.benchmark import prepare, read_task, refuse_choices
        from autoif.evaluation.general.data import GeneralSettings
        from autoif.evaluation.general.programs import LIMITS
        from autoif.evaluation.provenance import identify_policy
        from autoif.evaluation.responses import RecordedRow
    from autoif.sandbox import Sandbox
    from autoif.store import read_jsonl

    names = _read_tasks(tasks or (_TASKS_OF_TEXT if responses else _TASKS))
    files = _read_data(data, names)
    say = choose_say(quiet)
    settings = GeneralSettings(
        limit=limit, seed=seed, chat_template=bool(model and (chat_template or in_chats)),
        shots=_read_shots(shots, names), samples=samples, temperature=temperature, top_p=top_p, max_tokens=max_tokens,
        batch_size=batch_size, dtype=dtype, chat_template_kwargs=chat_template_kwargs,
    )  # fmt: skip
    if responses or in_chats:
        refuse_choices(names)
    if responses:
        read_jsonl(responses, RecordedRow)  # a file that is none is refused before any data is fetched
    with ExitStack() as stack:  # the sandbox before torch and its threads are there
        sandbox = stack.enter_context(Sandbox(LIMITS, backend="cpython")) if "humaneval" in names else None
        backend: Backend = read_endpoint(base_url, model or "", api_key_env) if base_url else "llama"
        who: tuple[str, str, Answerer] | Path
        if model is None:
            assert responses
            who = responses
        elif in_chats:
            who = model, identify_policy(model, backend), ChatModel(model, backend, say)
        else:
            who = model, identify_policy(model, "transformers"), LocalModel(model, settings)
        asked = {name: read_task(name, files.get(name), settings) for name in names}
        for name, task in asked.items():
            elsewhere = [text for other in asked.values() if other is not task for text in other.texts]
            benchmark, subject = prepare(task, who, sandbox, elsewhere if responses else ())

            def tell(line: str, name: str = name) -> None:
                say(f"{name}: {line}")

            report(evaluate(benchmark, subject, output / name, tell, keep_thinking=keep_thinking), output / name)


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
