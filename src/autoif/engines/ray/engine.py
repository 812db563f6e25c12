"""The engine in the command's process: it sends shards to the crew, gets results back, and replaces a lost crew."""

import asyncio
import importlib.util
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from autoif.config import Config
from autoif.engines import Follow, Waiting
from autoif.engines.ray.crew import AT_ONCE, LIVES
from autoif.engines.ray.link import Bound, Connect, Connected, Done, Failed, Hire, Joined, Link, Lost, Serve, Served
from autoif.engines.ray.servers import read_last_line
from autoif.engines.ray.worker import Node
from autoif.errors import ConfigError, ModelError
from autoif.messages import list_some
from autoif.models.cache import CompletionCache
from autoif.models.endpoint import Endpoint, is_own_host
from autoif.models.requests import Role
from autoif.pipeline import Shard, ShardResult, Watch
from autoif.tools import ToolSettings

_HEAD_S = 10.0
"""Seconds for the head of a cluster to accept a connection."""
_CONNECT_S = 60.0
"""Seconds for Ray to connect to a head that listens; if something else listens there, Ray would try for minutes."""
_PLACE_S = 60.0
"""Seconds for Ray to find GPUs for a server."""
_RETRY_S = 2.0
"""Seconds between two attempts to reach a lost head."""
_LEAVE_S = 60.0
"""Seconds for a crew to stop what it has started."""
_HURRY_S = 6.0
"""The same when the run is stopped: the command has eight seconds in all, and has notes to write after that."""
_NAMED = 4
"""Nodes that a note names at most for each kind of sandbox."""


class RayEngine:
    """Runs shards on `workers` actors of a Ray cluster, each with a core of its own."""

    def __init__(self, workers: int, address: str = "", wait_s: float = 600.0) -> None:
        """`wait_s` is how many seconds a lost head is waited for."""
        if importlib.util.find_spec("ray") is None:
            raise ConfigError("the ray engine needs its extra: pip install 'autoif[ray]'")
        if address.startswith("ray://"):
            raise ConfigError(
                f"execution.ray_address {address}: start the run on a node of the cluster, where its folder is, and "
                'name the address as in "10.0.0.1:6379", or "auto"'
            )
        if refusal := _ask_head(address):
            raise ConfigError(
                f"no Ray cluster answers at {address} ({refusal}): check execution.ray_address, and that "
                "`ray start --head` runs there"
            )
        self._workers = workers
        self._address = address
        self._wait_s = wait_s
        self._crew: _CrewProcess | None = None
        self._nodes: list[Node] = []
        self._lost_at = 0.0
        """When the crew was lost; 0 while one works."""
        self._losses = 0
        """Crews lost since the last result."""
        self._notes: list[str] = []
        self._served: dict[Role, Endpoint] = {}
        """The endpoints whose servers Ray starts."""
        self._urls: dict[Role, tuple[str, ...]] = {}
        """The addresses of these servers."""
        self.verdicts = 0
        self.bound = ""

    @property
    def sandbox(self) -> str:
        weakest = min(self._nodes, key=_count_layers, default=None)
        return weakest.sandbox if weakest else ""

    async def run(
        self, shards: AsyncIterator[Shard], settings: ToolSettings, watch: Watch, follow: Follow
    ) -> AsyncGenerator[ShardResult]:
        """Send the crew as many shards as its workers have room for, then one for each result, until none is left."""
        waiting = Waiting(shards, follow)
        workers = await waiting.look_ahead(self._workers)
        given: dict[tuple[str, int], Shard] = {}
        leave_s = _HURRY_S
        try:
            while given or await waiting.look_ahead(1):
                if self._crew is None and not await self._connect():
                    continue
                assert self._crew
                if not self._crew.has_workers:
                    self._crew.hire(settings, self._urls, workers)
                while len(given) < workers * AT_ONCE and (shard := await waiting.take()):
                    given[shard.step, shard.index] = shard
                    self._crew.link.send(shard)
                message = await self._crew.link.receive()
                if isinstance(message, Done):
                    del given[message.result.step, message.result.index]
                    self._losses = 0
                    self.verdicts += message.verdicts
                    for stage, folder in zip(message.result.stages, message.result.folders, strict=True):
                        watch(folder, stage.kept, stage.dropped, stage.entered)
                    waiting.follow(message.result)
                    yield message.result
                elif (why := await self._note(message)) is not None:
                    waiting.put_first(list(given.values()))
                    given.clear()
                    await self._lose_crew(why)
            leave_s = _LEAVE_S
        finally:
            await self._dismiss(leave_s)
            self._say_how_it_went(settings.completions)

    async def _note(self, message: object) -> str | None:
        """Handle a message about the crew itself; return why the crew is lost, if it is. Raises what ends the run."""
        match message:
            case Joined(node):
                self._nodes.append(node)
                if self._lost_at:
                    seconds = time.monotonic() - self._lost_at
                    self._notes.append(f"the Ray cluster was gone for {seconds:,.0f} s, and the run began anew on it")
                    self._lost_at = 0.0
            case Served(roles, url):
                self._urls |= {role: (*self._urls.get(role, ()), url) for role in roles}
            case Bound(what):
                self.bound = what
            case Failed(error):
                raise error
            case Lost(why):
                return why
            case None:
                assert self._crew
                return await self._crew.explain_end()
        return None

    @asynccontextmanager
    async def serving(self, config: Config) -> AsyncIterator[Config]:
        """Start the servers that the config asks for; yield the config with their addresses."""
        self._served = {role: endpoint for role, endpoint in config.models.by_role().items() if endpoint.serve}
        try:
            while self._served and not await self._connect():
                pass
            yield _fill_in(config, self._urls)
        finally:
            await self._dismiss(_HURRY_S)

    async def _connect(self) -> bool:
        """Start a crew and its servers; return False if a lost cluster can't be used again yet."""
        self._crew = crew = await _CrewProcess.start()
        crew.link.send(Connect(self._address, self._workers))
        try:
            async with asyncio.timeout(_CONNECT_S if self._address else None):
                message = await crew.link.receive()
        except TimeoutError:
            message = Failed(
                ConfigError(
                    f"no Ray head answers at {self._address} within {_CONNECT_S:g} s, whatever listens there: check "
                    "execution.ray_address, and that `ray start --head` runs there"
                )
            )
        if isinstance(message, Connected):
            self._address = self._address and message.address  # from now on "auto" means this cluster
            self.bound = ""
            return await self._start_servers(crew)
        why = str(message.error) if isinstance(message, Failed) else await crew.explain_end()
        await self._dismiss(_HURRY_S)
        if not (self._lost_at and self._address):
            raise ConfigError(why)
        await self._wait_for_head(why)
        return False

    async def _start_servers(self, crew: "_CrewProcess") -> bool:
        """Start the servers, and wait for the first of each model; return False if the cluster is lost meanwhile."""
        self._urls = {}
        if not self._served:
            return True
        crew.link.send(Serve(self._served))
        names = ", ".join(dict.fromkeys(each.model for each in self._served.values()))
        self.bound = f"waiting for Ray to start servers of {names}"
        start_s = max(each.serve_start_s for each in self._served.values())
        try:
            async with asyncio.timeout(start_s + _PLACE_S):
                while self._served.keys() - self._urls.keys():
                    if (why := await self._note(await crew.link.receive())) is not None:
                        await self._lose_crew(why)
                        return False
        except TimeoutError:
            raise ModelError(
                f"no server of {names} is there after {start_s + _PLACE_S:,.0f} s: no node of the cluster has as many "
                "GPUs free as models.ROLE.serve_gpus says"
            ) from None
        self.bound = ""
        return True

    async def _lose_crew(self, why: str) -> None:
        """Dismiss a lost crew, and wait until its head answers again. Raises ConfigError: too many were lost."""
        await self._dismiss(_HURRY_S)
        self._losses += 1
        if self._losses >= LIVES:
            raise ConfigError(f"the Ray cluster was lost {LIVES} times in a row, the last time as {why}")
        self._lost_at = self._lost_at or time.monotonic()
        if self._address:
            await self._wait_for_head(why)

    async def _wait_for_head(self, why: str) -> None:
        """Wait until something listens at the head's address. Raises ConfigError: it takes longer than `wait_s`."""
        self.bound = f"waiting for the Ray head at {self._address} to come back"
        while True:
            await asyncio.sleep(_RETRY_S)
            if time.monotonic() - self._lost_at > self._wait_s:
                raise ConfigError(
                    f"the Ray head at {self._address} is gone ({why}) and was waited for {self._wait_s:,.0f} s: "
                    "nothing is lost; when it is back, or with another --ray-address, run the same command again"
                )
            if not await asyncio.to_thread(_ask_head, self._address):
                return

    async def _dismiss(self, within_s: float) -> None:
        crew, self._crew = self._crew, None
        if crew:
            await crew.leave(within_s)

    def _say_how_it_went(self, completions: Path) -> None:
        """Add notes to the run: that the cluster was lost, and how the nodes' sandboxes differ."""
        notes = list(self._notes)
        where = dict[str, dict[str, None]]()
        for node in sorted(self._nodes, key=_count_layers):
            where.setdefault(node.sandbox, {})[node.address] = None
        if len(where) > 1:
            levels = (f"{sandbox} ({list_some([*addresses], _NAMED)})" for sandbox, addresses in where.items())
            notes.append(f"the nodes' sandboxes differ, and the weakest speaks for the run: {'; '.join(levels)}")
        if notes:
            with CompletionCache(completions) as cache:
                for note in notes:
                    cache.note(note)


class _CrewProcess:
    """A crew's process, and the command's end of the link to it."""

    def __init__(self, process: asyncio.subprocess.Process, link: Link, log: IO[bytes]) -> None:
        self.link = link
        self.has_workers = False
        self._process = process
        self._log = log

    @classmethod
    async def start(cls) -> "_CrewProcess":
        ours, theirs = socket.socketpair()
        log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `leave`
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "autoif.engines.ray.crew"),
            str(theirs.fileno()),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C must not reach it: answers under way are still wanted
        )
        theirs.close()
        return cls(process, await Link.over(ours), log)

    def hire(self, settings: ToolSettings, urls: Mapping[Role, tuple[str, ...]], workers: int) -> None:
        """Make the crew start workers."""
        settings = replace(
            settings,
            config=_fill_in(settings.config, urls),
            completions=settings.completions.resolve(),
            journal=settings.journal and settings.journal.resolve(),
            sandbox=None,
        )
        self.link.send(Hire(settings, workers))
        self.has_workers = True

    async def explain_end(self) -> str:
        """Wait for the crew to end; return its exit code and last line in words."""
        code = await self._end(_LEAVE_S)
        return f"the process that speaks to Ray ended with code {code}: {read_last_line(self._log)}"

    async def leave(self, within_s: float) -> None:
        """Hang up, and wait until the crew ends; kill it if that takes too long."""
        await self._end(within_s)
        self._log.close()

    async def _end(self, within_s: float) -> int:
        try:
            async with asyncio.timeout(within_s):
                await self.link.close()  # waits until everything sent has been read
                return await self._process.wait()
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()


def _ask_head(address: str) -> str:
    """Return why nothing listens at HOST:PORT; "" if something does. Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        return ""  # "auto", or an address that Ray refuses at once
    host, replaced = host.strip("[]"), ""
    if is_own_host(host):
        import ray  # takes a second to import, so only here

        if (found := ray.util.get_node_ip_address()) != host:
            host, replaced = found, f" at {found}, by which Ray replaces {host}"
    try:
        socket.create_connection((host, int(port)), timeout=_HEAD_S).close()
    except OSError as error:
        return f"{error.strerror or error}{replaced}"
    return ""


def _fill_in(config: Config, urls: Mapping[Role, tuple[str, ...]]) -> Config:
    """Return the config with the addresses of the servers that Ray has started; no API key is sent to these."""
    models = config.models.by_role()
    served = {role: models[role].model_copy(update={"base_url": url, "api_key_env": ""}) for role, url in urls.items()}
    return config.model_copy(update={"models": config.models.with_endpoints(served)})


def _count_layers(node: Node) -> int:
    return len(node.sandbox.replace("+", ",").split(","))
