"""Programs that online DPO starts and ends: a server of each round's policy, and the launcher of its DPO.

Each runs in its own session, so that Ctrl-C doesn't reach it directly: `running` ends it, with everything it started.

A server that still has the last round's policy would silently return samples of that one. So before it is asked, the
endpoint must list this round's folder among its models (GET /models), as `vllm serve FOLDER` does.
"""

import asyncio
import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from autoif.errors import ConfigError, ModelError
from autoif.messages import Say
from autoif.models.endpoint import Endpoint
from autoif.models.transport import Transport
from autoif.runs.whole_files import storage_errors
from autoif.training.card import RECORD, read_record
from autoif.training.train import TrainingRequest

_STDERR = 2
_GRACE_S = 60.0
"""Time for a program to end after SIGTERM; then it is killed."""
_START_S = 1800.0
"""Time for a server to load a large model."""
_LOOK_S = 10.0
"""Time limit of one request for the models served."""
_PAUSE_S = 0.5
_TAIL_CHARS = 400


def split_command(command: str, name: str) -> list[str]:
    """Split a command line into words as a shell would, without a shell. `name` is the option that it comes from.

    Raises ConfigError: unbalanced quotes, or an empty command.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"{name} {command!r} can't be read: {error}") from None
    if not words:
        raise ConfigError(f"{name} is empty: leave it out, or give a command")
    return words


def check_program(words: Sequence[str], name: str) -> None:
    """Raise ConfigError if there is no such program. `name` is the option that it comes from."""
    if shutil.which(words[0]) is None:
        raise ConfigError(f"{name}: there is no program {words[0]} to start")


@contextmanager
def running(command: Sequence[str], output: int, name: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a program with its output going to a descriptor, and end it when the block is left. `name` is the option
    that it comes from.

    Raises ConfigError: there is no such program.
    """
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    except OSError as error:
        raise ConfigError(f"{name}: {command[0]} can't be started: {error.strerror}") from None
    try:
        yield process
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
    _signal(process, signal.SIGKILL)  # everything left in its session, including itself if it ignored SIGTERM
    process.wait()


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def launch_dpo(launcher: str, request: TrainingRequest, say: Say) -> dict[str, Any]:
    """Run `LAUNCHER -m autoif train dpo ... --resume`, and return the record that training.json then holds.

    Raises ConfigError: the launcher can't be started. ModelError: the training failed; its output tells why.
    """
    values = request.settings.record()
    values |= {f"lora.{name}": value for name, value in (request.settings.lora or {}).items()}
    options = ["--lora"] if request.settings.lora else []
    for name, value in values.items():
        options += ["--set", f"{name}={json.dumps(value)}"]
    command = [
        *split_command(launcher, "--launch"), "-m", "autoif", "train", request.kind, "--resume",
        "--data", str(request.data), "--model", request.model, "--output", str(request.output),
        *options,
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


@contextmanager
def find_policy(endpoint: Endpoint, policy: str) -> Iterator[Endpoint]:
    """Yield the endpoint with its model set to the name under which it serves the policy.

    Raises ModelError: it doesn't answer, or serves something else; the message tells what to serve.
    """
    served = list_served(endpoint)
    name = match_policy(served or [], policy)
    if name is None:
        found = "can't be asked what it serves" if served is None else f"serves {', '.join(served) or 'nothing'}"
        raise ModelError(
            f"{endpoint.base_url} {found}, and this round samples from {policy}: serve that under this name (as "
            f"`vllm serve {policy} --generation-config vllm` does), then the same command with --resume"
        )
    yield endpoint.model_copy(update={"model": name})


@contextmanager
def serve_policy(command: str, endpoint: Endpoint, policy: str, log: Path, say: Say) -> Iterator[Endpoint]:
    """Start a server of the policy, wait until it lists that, and end it afterwards. {model} in the command stands for
    the policy; the server's output goes to the log.

    Raises ConfigError: the command can't be started. ModelError: the server ended, or doesn't serve the policy within
    half an hour, or another server answers there already.
    """
    if list_served(endpoint) is not None:
        raise ModelError(f"something serves at {endpoint.base_url} already: end it, or leave --serve out")
    words = [word.replace("{model}", policy) for word in split_command(command, "--serve")]
    say(f"starting a server of {policy}; what it says is in {log}")
    with storage_errors(log), log.open("wb") as output, running(words, output.fileno(), "--serve") as process:
        yield endpoint.model_copy(update={"model": _wait_for(policy, endpoint, process, log)})


def list_served(endpoint: Endpoint) -> list[str] | None:
    """Return the names of the models at an endpoint; None if it doesn't answer or doesn't list them."""
    return asyncio.run(_list_served(endpoint))


async def _list_served(endpoint: Endpoint) -> list[str] | None:
    transport = Transport(endpoint.model_copy(update={"timeout_s": _LOOK_S}))
    await transport.open()
    try:
        return await transport.list_models()
    finally:
        await transport.close()


def match_policy(served: list[str], policy: str) -> str | None:
    """Return the served name of the policy: its own, or another path of its folder. None if it isn't served."""
    if policy in served:
        return policy
    folder = Path(policy)
    if not folder.is_dir():
        return None
    return next((name for name in served if Path(name).resolve() == folder.resolve()), None)


def _wait_for(policy: str, endpoint: Endpoint, process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ModelError(f"--serve ended with exit code {process.returncode}: {_read_tail(log)}")
        served = list_served(endpoint)
        if served is not None:
            name = match_policy(served, policy)
            if name is not None:
                return name
        time.sleep(_PAUSE_S)
    raise ModelError(f"--serve didn't serve {policy} at {endpoint.base_url} in {_START_S:,.0f} s; see {log}")


def _read_tail(log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").strip()
    return f"{' '.join(text[-_TAIL_CHARS:].split()) or 'it said nothing'} ({log})"
