"""`autoif train online-dpo`: rounds of sampling, verifying, pairing and DPO."""

from pathlib import Path
from typing import Any, Literal

import click

from autoif.cli.interruption import interruptible
from autoif.cli.sampling_options import read_backend
from autoif.errors import ConfigError


@click.command("online-dpo")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Run folder, or its rewards.jsonl.")
@click.option(
    "--model", required=True, metavar="FOLDER|NAME", help="Model folder, or a name on the hub: the SFT model."
)
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder to write.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="TOML file of settings.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting; may be repeated.")
@click.option("--lora", is_flag=True, help="Train an adapter in each round, and merge it.")
@click.option(
    "--backend", type=click.Choice(["auto", "transformers", "vllm"]), default="auto", show_default=True,
    help="What samples from the policy.",
)  # fmt: skip
@click.option("--base-url", metavar="URL", help="OpenAI-compatible endpoint that serves the policy; ends in /v1.")
@click.option("--api-key-env", default="OPENAI_API_KEY", show_default=True, help="Variable that holds its key.")
@click.option(
    "--serve", default="", metavar="COMMAND",
    help="Serves {model} at --base-url in each round, as 'vllm serve {model} --generation-config vllm'.",
)  # fmt: skip
@click.option(
    "--launch", default="", metavar="COMMAND",
    help="Starts each round's DPO in processes of its own, as 'accelerate launch --num_processes 8'.",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on where it was stopped; where there is nothing, begin.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def online_dpo(
    data: Path,
    model: str,
    output: Path,
    config: Path | None,
    settings: tuple[str, ...],
    lora: bool,
    backend: Literal["auto", "transformers", "vllm"],
    base_url: str | None,
    api_key_env: str,
    serve: str,
    launch: str,
    resume: bool,
    quiet: bool,
) -> None:
    """Iterative online DPO on rewards.jsonl, from the SFT model (paper §3.4).

    Each round samples responses from the current policy, verifies them in the sandbox, pairs them, and trains on the
    pairs. The rounds' settings are online.KEY, all others those of `autoif train dpo`.
    """
    if serve and not base_url:
        raise click.UsageError("--serve needs --base-url: where the server will answer")
    try:
        from autoif.training.online_dpo import OnlineRequest, train_online
        from autoif.training.online_settings import resolve_online
    except ImportError as error:
        raise ConfigError(f"autoif train needs {error.name}: pip install 'autoif[train]'") from None
    given = (*settings, *(["disable_tqdm=true"] if quiet else []))
    online, dpo = resolve_online(config, given, lora=lora)
    sampled = read_backend(model, backend, base_url, api_key_env)
    request = OnlineRequest(data, model, output, online, dpo, sampled, serve, launch, resume)
    with interruptible(f"the same command with --resume goes on from what is whole in {output}"):
        record = train_online(request, say=_ignore if quiet else _say)
    _report(record, output)


def _report(record: dict[str, Any], output: Path) -> None:
    for row in record["rounds"]:
        margin = row.get("metrics", {}).get("rewards/margins")
        learnt = f"rewards/margins {margin['first']:.4g} → {margin['last']:.4g}" if margin else "not trained"
        click.echo(f"round {row['round']}: {row['pairs']:,} pairs from {row['prompts']:,} prompts; {learnt}")
    click.echo(f"{record['steps']:,} steps in {record['seconds']:,} s: {output}")


def _say(line: str) -> None:
    click.echo(line, err=True)


def _ignore(line: str) -> None:
    """Say nothing."""
