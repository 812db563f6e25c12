"""The policy behind an OpenAI-compatible endpoint: is it the one that this round samples from, and who serves it.

Every round has another policy, and a server that still has the last one would give samples of it without a word. So the
endpoint must list the policy's folder among its models (GET /models), as `vllm serve FOLDER` does, before it is asked.
"""

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from autoif.errors import ModelError
from autoif.models.endpoint import Endpoint
from autoif.models.transport import Transport
from autoif.store import storage_errors
from autoif.training.programs import running, split_command

_START_S = 1800.0
"""For a server to load a large model."""
_LOOK_S = 10.0
"""For one look at what is served."""
_PAUSE_S = 0.5
_TAIL_CHARS = 400


@contextmanager
def find_policy(endpoint: Endpoint, policy: str) -> Iterator[Endpoint]:
    """Give the endpoint with the name that it has for the policy.

    Raises:
        ModelError: it doesn't answer, or serves something else; says what to serve.
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
def serve_policy(
    command: str, endpoint: Endpoint, policy: str, log: Path, say: Callable[[str], None]
) -> Iterator[Endpoint]:
    """Start a server of the policy, wait until it lists it, and end it afterwards.

    Args:
        command: with {model} where the policy's folder belongs.
        endpoint: where it will answer.
        policy: the folder, or a name on the hub.
        log: takes what the server says.
        say: gets a line.

    Raises:
        ConfigError: the command can't be started.
        ModelError: it ended, or doesn't serve the policy in half an hour, or another server answers there already.
    """
    if list_served(endpoint) is not None:
        raise ModelError(f"something serves at {endpoint.base_url} already: end it, or leave --serve out")
    words = [word.replace("{model}", policy) for word in split_command(command, "--serve")]
    say(f"starting a server of {policy}; what it says is in {log}")
    with storage_errors(log), log.open("wb") as output, running(words, output.fileno(), "--serve") as process:
        yield endpoint.model_copy(update={"model": _wait_for(policy, endpoint, process, log)})


def list_served(endpoint: Endpoint) -> list[str] | None:
    """Return the names of the models at an endpoint; None if it doesn't answer or doesn't say."""
    return asyncio.run(_list_served(endpoint))


async def _list_served(endpoint: Endpoint) -> list[str] | None:
    transport = Transport(endpoint.model_copy(update={"timeout_s": _LOOK_S}))
    await transport.open()
    try:
        return await transport.list_models()
    finally:
        await transport.close()


def match_policy(served: list[str], policy: str) -> str | None:
    """Return the name that stands for the policy: itself, or another path of its folder."""
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
