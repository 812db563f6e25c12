"""`autoif train`: from verified data to a trained model folder."""

from pathlib import Path
from typing import Any

import click

from autoif.cli.interruption import interruptible
from autoif.cli.train_online import online_dpo
from autoif.errors import ConfigError
from autoif.training.data import Kind
from autoif.training.settings import resolve_settings


@click.group()
def train() -> None:
    """Train a model on the data of a run, with the paper's settings (extra `train`)."""


def _training_command(kind: Kind, text: str) -> None:
    """Add a command; all of them take the same options."""

    @train.command(kind, help=text)
    @click.option("--data", required=True, type=click.Path(path_type=Path), help="Run folder, or a file of rows.")
    @click.option("--model", required=True, metavar="FOLDER|NAME", help="Model folder, or a name on the hub.")
    @click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder to write.")
    @click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="TOML file of settings.")
    @click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting; may be repeated.")
    @click.option("--lora", is_flag=True, help="Train an adapter on all linear layers, and merge it.")
    @click.option("--resume", is_flag=True, help="Go on from the last whole checkpoint, if there is one.")
    @click.option("--eval-data", type=click.Path(path_type=Path), help="As --data: evaluate before and after epochs.")
    @click.option("--quiet", is_flag=True, help="Show no progress.")
    def command(
        data: Path,
        model: str,
        output: Path,
        config: Path | None,
        settings: tuple[str, ...],
        lora: bool,
        resume: bool,
        eval_data: Path | None,
        quiet: bool,
    ) -> None:
        given = (*settings, *(["disable_tqdm=true"] if quiet else []))
        try:
            from autoif.training.train import Request
            from autoif.training.train import train as train_model
        except ImportError as error:
            raise ConfigError(f"autoif train needs {error.name}: pip install 'autoif[train]'") from None
        resolved = resolve_settings(kind, config, given, lora=lora, evaluates=eval_data is not None)
        request = Request(kind, data, model, output, resolved, resume=resume, eval_data=eval_data)
        with interruptible(f"the same command with --resume goes on from the last whole checkpoint of {output}"):
            record = train_model(request, say=_ignore if quiet else _say)
        _report(record, output)


def _report(record: dict[str, Any], output: Path) -> None:
    for name, ends in record["metrics"].items():
        click.echo(f"{name:>30}  {ends['first']:.4g} → {ends['last']:.4g}")
    click.echo(f"{record['steps']:>30,}  steps in {record['seconds']:,} s: {output}")


def _say(line: str) -> None:
    click.echo(line, err=True)


def _ignore(line: str) -> None:
    """Say nothing."""


_training_command("sft", "Supervised fine-tuning on sft.jsonl (paper §3.4).")
_training_command("dpo", "Offline DPO on preferences.jsonl, from the SFT model (paper §3.4).")
_training_command("grpo", "GRPO on rewards.jsonl, with its functions as reward, from the SFT model.")
train.add_command(online_dpo)
