"""`autoif train`: from verified data to a trained model folder."""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Literal

import click

from autoif.cli.interruption import interruptible
from autoif.cli.options import QUIET, SETTINGS, LocalPath, OutputPath, add_options, choose_say
from autoif.cli.sampling_options import API_KEY_ENV, BACKEND, read_backend
from autoif.errors import needing_extra
from autoif.messages import Say
from autoif.training.data import Kind
from autoif.training.settings import resolve_settings

_OPTIONS = (
    click.option("--data", required=True, type=LocalPath(), help="Run folder, or a file of rows."),
    click.option("--model", required=True, metavar="FOLDER|NAME", help="Model folder, or a name on the hub."),
    click.option("--output", "-o", required=True, type=OutputPath(), help="Folder to write."),
    click.option("--config", type=LocalPath(), metavar="FILE", help="TOML file of settings."),
    SETTINGS,
    click.option("--lora", is_flag=True, help="Train an adapter on all linear layers, and merge it."),
    click.option("--resume", is_flag=True, help="Continue a stopped training, or begin."),
    QUIET,
)
"""Options of every training command."""


def _training_command(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of every training to a command, which receives `say` instead of `quiet`."""

    @functools.wraps(command)
    def run(*, settings: tuple[str, ...], quiet: bool, **others: Any) -> None:
        given = (*settings, *(["disable_tqdm=true"] if quiet else []))
        command(settings=given, say=choose_say(quiet), **others)

    return add_options(_OPTIONS)(run)


@click.group()
def train() -> None:
    """Train a model on the data of a run, with the paper's settings (§3.4; extra `train`)."""


@contextmanager
def _training(goes_on_from: str) -> Iterator[None]:
    """Stop a training cleanly on signals, and print to standard error only, which never fails (`__main__`)."""
    handles_signals = interruptible(f"the same command with --resume goes on from {goes_on_from}")
    with handles_signals, redirect_stdout(sys.stderr):
        yield


def _add_command(kind: Kind, text: str) -> None:
    @train.command(kind, help=text)
    @_training_command
    @click.option("--eval-data", type=LocalPath(), help="As --data: evaluated before training and after each epoch.")
    def command(
        *, config: Path | None, settings: tuple[str, ...], lora: bool, eval_data: Path | None, say: Say, **asked: Any
    ) -> None:
        with needing_extra("train", "autoif train"):
            from autoif.training.train import TrainingRequest
            from autoif.training.train import train as train_model
        resolved = resolve_settings(kind, config, settings, lora=lora, evaluates=eval_data is not None)
        request = TrainingRequest(kind=kind, settings=resolved, eval_data=eval_data, **asked)
        with _training(f"the last whole checkpoint of {asked['output']}"):
            record = train_model(request, say=say)
        for name, ends in record["metrics"].items():
            click.echo(f"{name:>30}  {ends['first']:.4g} → {ends['last']:.4g}")
        click.echo(f"{record['steps']:>30,}  steps in {record['seconds']:,} s: {request.output}")


_add_command("sft", "Supervised fine-tuning on sft.jsonl.")
_add_command("dpo", "Offline DPO on preferences.jsonl, from the SFT model.")
_add_command("grpo", "GRPO from the SFT model, with the functions of rewards.jsonl.")


@train.command("online-dpo")
@_training_command
@BACKEND
@click.option("--base-url", metavar="URL", help="OpenAI-compatible endpoint that serves the policy; ends in /v1.")
@API_KEY_ENV
@click.option(
    "--serve", default="", metavar="COMMAND",
    help="Serve {model} at --base-url in each round, as 'vllm serve {model} --generation-config vllm'.",
)  # fmt: skip
@click.option(
    "--launch", default="", metavar="COMMAND",
    help="Start each round's DPO in several processes, as 'accelerate launch --num_processes 8'.",
)  # fmt: skip
def online_dpo(
    *,
    model: str,
    config: Path | None,
    settings: tuple[str, ...],
    lora: bool,
    say: Say,
    backend: Literal["auto", "transformers", "vllm"],
    base_url: str | None,
    api_key_env: str,
    serve: str,
    **asked: Any,
) -> None:
    """Iterative online DPO on rewards.jsonl, from the SFT model.

    Each round samples responses from the current policy, verifies them in the sandbox, pairs them, and trains on the
    pairs. The rounds' settings are online.KEY, all others those of `autoif train dpo`.
    """
    if serve and not base_url:
        raise click.UsageError("--serve needs --base-url: where the server will answer")
    with needing_extra("train", "autoif train"):
        from autoif.training.online_dpo import OnlineRequest, train_online
        from autoif.training.online_pairs import resolve_online
    online, dpo = resolve_online(config, settings, lora=lora)
    sampled = read_backend(model, backend, base_url, api_key_env)
    request = OnlineRequest(model=model, online=online, dpo=dpo, backend=sampled, serve=serve, **asked)
    with _training(f"what is whole in {request.output}"):
        record = train_online(request, say=say)
    for row in record["rounds"]:
        margin = row.get("metrics", {}).get("rewards/margins")
        learnt = f"rewards/margins {margin['first']:.4g} → {margin['last']:.4g}" if margin else "not trained"
        click.echo(f"round {row['round']}: {row['pairs']:,} pairs from {row['prompts']:,} prompts; {learnt}")
    click.echo(f"{record['steps']:,} steps in {record['seconds']:,} s: {request.output}")
