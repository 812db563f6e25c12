"""A DPO in processes of its own, through a launcher such as `accelerate launch`: the same training, as if typed."""

import json
from collections.abc import Callable
from typing import Any

from autoif.errors import ModelError
from autoif.training.card import RECORD, read_record
from autoif.training.programs import running, split_command
from autoif.training.settings import TEMPLATE, Settings
from autoif.training.train import Request

_STDERR = 2


def launch_dpo(launcher: str, request: Request, say: Callable[[str], None]) -> dict[str, Any]:
    """Run `LAUNCHER -m autoif train dpo ... --resume`, and return the record that training.json then holds.

    Raises:
        ConfigError: the launcher can't be started.
        ModelError: the training failed; it has said why.
    """
    command = [
        *split_command(launcher, "--launch"), "-m", "autoif", "train", request.kind, "--resume",
        "--data", str(request.data), "--model", request.model, "--output", str(request.output),
        *_options(request.settings),
    ]  # fmt: skip
    say(f"starting {launcher} for {request.output}")
    with running(command, _STDERR, "--launch") as process:
        code = process.wait()
    record = read_record(request.output) if request.output.is_dir() else None
    if code or not record or record["status"] != "complete":
        raise ModelError(
            f"the training that --launch started ended with exit code {code} and no {RECORD} that is complete (it says "
            "why above): the same command with --resume goes on"
        )
    return record


def _options(settings: Settings) -> list[str]:
    """Return the resolved settings as options: nothing is left to defaults."""
    values = {**settings.arguments, "global_batch_size": settings.global_batch_size}
    values |= {f"lora.{name}": value for name, value in (settings.lora or {}).items()}
    if settings.template_kwargs:
        values[TEMPLATE] = settings.template_kwargs
    options = ["--lora"] if settings.lora else []
    for name, value in values.items():
        options += ["--set", f"{name}={json.dumps(value)}"]
    return options
