"""Model servers on nodes with GPUs, which Ray chooses. They live as long as the run; a lost one is started again."""

import asyncio
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

import aiohttp

from autoif.engines.ray.worker import read_fault
from autoif.errors import ModelError, in_one_line
from autoif.models.endpoint import Endpoint, check_command
from autoif.models.requests import Role

_LIVES = 5
"""How often in a row a server may end within `_STEADY_S` of its start before the run gives up."""
_STEADY_S = 300.0
_POLL_S = 0.5
_TAIL_BYTES = 1 << 16
_PORTS = 3
"""Ports that are tried for a server."""
_TAKEN = "address already in use"


@dataclass(frozen=True, slots=True)
class Group:
    """Identical servers of one model, and the roles that use them."""

    endpoint: Endpoint
    roles: tuple[Role, ...]

    @property
    def command(self) -> tuple[str, ...]:
        """The words of the command that starts one; {host} and {port} are still to be filled in."""
        endpoint, words = self.endpoint, check_command(self.endpoint.serve)
        gpus = f"{endpoint.serve_gpus:g}"
        return tuple(word.replace("{model}", endpoint.model).replace("{gpus}", gpus) for word in words)


def group_roles(endpoints: Mapping[Role, Endpoint]) -> list[Group]:
    """Return the groups of servers to be started. Roles whose servers would be identical share them."""
    found: dict[tuple[object, ...], list[Role]] = {}
    for role, each in endpoints.items():
        if each.serve:
            same = (each.serve, each.model, each.serve_count, each.serve_gpus, each.serve_start_s)
            found.setdefault(same, []).append(role)
    return [Group(endpoints[roles[0]], tuple(roles)) for roles in found.values()]


class ModelServer:
    """An actor that holds GPUs and runs a model's server on them."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - needed as long as the actor lives

    async def start(self, command: tuple[str, ...], start_s: float) -> str | ModelError:
        """Start the server, and wait until it lists its models; return its base URL, or what is wrong."""
        import ray

        host = ray.util.get_node_ip_address()
        if shutil.which(command[0]) is None:
            return ModelError(f"node {host} has no command {command[0]}: install it there, or correct serve")
        for _ in range(_PORTS):
            found = await self._start_at(host, command, start_s)
            if not (isinstance(found, ModelError) and _TAKEN in str(found).lower()):
                break
            await self.end()
        return found

    async def _start_at(self, host: str, command: tuple[str, ...], start_s: float) -> str | ModelError:
        """Start the server at a port that is free now, though another process may take it before the server does."""
        with socket.socket() as free:
            free.bind((host, 0))
            port = free.getsockname()[1]
        words = [word.replace("{host}", host).replace("{port}", str(port)) for word in command]
        keeper = (sys.executable, "-P", "-m", "autoif.engines.ray.server_process")
        self._process = await asyncio.create_subprocess_exec(
            *keeper, *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=self._log
        )
        url = f"http://{host}:{port}/v1"
        ended = asyncio.create_task(self.wait())
        try:
            async with asyncio.timeout(start_s):
                while not await _lists_models(url):
                    if ended.done():
                        return ModelError(f"{' '.join(words)} ended on node {host}: {ended.result()}")
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            return ModelError(f"{' '.join(words)} on node {host} did not answer within serve_start_s = {start_s:g} s")
        finally:
            ended.cancel()
            await asyncio.wait([ended])
        return url

    async def end(self) -> None:
        """End the server, just as the end of the actor would."""
        assert self._process and self._process.stdin
        self._process.stdin.close()
        await self.wait()
        await self._process.wait()

    async def wait(self) -> str:
        """Wait until the server has ended; return the last line of its log."""
        assert self._process and self._process.stdout
        await self._process.stdout.read()
        return read_last_line(self._log)


async def _lists_models(url: str) -> bool:
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
            session.get(f"{url}/models") as answer,
        ):
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


class Servers:
    """The servers of a run, kept by the crew."""

    def __init__(self, ray: Any, groups: list[Group], announce: Callable[[Group, str], None]) -> None:
        """`announce` is called with the base URL of each server that is ready."""
        self._ray = ray
        self._announce = announce
        self._keeping = [
            asyncio.create_task(self._keep(group)) for group in groups for _ in range(group.endpoint.serve_count)
        ]

    async def fail(self) -> Exception:
        """Wait until a server fails for good; return why."""
        done, _ = await asyncio.wait(self._keeping, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()

    async def _keep(self, group: Group) -> Exception:
        """Keep one server running, on any node with GPUs; return the error when it can't be kept."""
        endpoint, short_lives, has_worked = group.endpoint, 0, False
        while True:
            options = {"num_cpus": 0, "num_gpus": endpoint.serve_gpus}
            actor = self._ray.remote(**options)(ModelServer).remote()
            began = time.monotonic()
            try:
                found = await actor.start.remote(group.command, endpoint.serve_start_s)
                if isinstance(found, ModelError):
                    if not has_worked:
                        return found
                    why = str(found)
                else:
                    has_worked, began = True, time.monotonic()
                    self._announce(group, found)
                    why = await actor.wait.remote()
            except self._ray.exceptions.RayTaskError as error:
                return read_fault(error)
            except self._ray.exceptions.RayError as error:  # the actor is gone, or its node
                why = in_one_line(error)
            self._ray.kill(actor)
            short_lives = 0 if time.monotonic() - began > _STEADY_S else short_lives + 1
            if short_lives >= _LIVES:
                return ModelError(f"a server of {endpoint.model} ended {_LIVES} times in a row, the last time: {why}")


def read_last_line(log: IO[bytes]) -> str:
    """Return the last line of a process's log, of which only the end is read, as it may be large."""
    size = os.fstat(log.fileno()).st_size
    tail = os.pread(log.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES))
    lines = tail.decode("utf-8", "replace").split("\n")
    return next((" ".join(line.split())[:300] for line in reversed(lines) if line.strip()), "it said nothing")
