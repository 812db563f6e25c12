"""Shards as calls of Ray actors (`ray` extra), on one machine or on a cluster whose nodes share no disk.

    driver  ── shards ──►  workers, one a core, wherever the cluster has one
       ▲ results              │ answers, and what is to be looked up
       └─ run folder ◄─ writer ◄┘   (beside the driver: the one process that writes the completions)

A worker that dies, or its node, is replaced, and its shard dealt again; the writer is started again where it was.
"""

import asyncio
import hashlib
import os
import platform
import signal
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import autoif
from autoif.engines import Follow, Waiting
from autoif.engines.answers import AnswerWriter, Batch, SharedAnswers
from autoif.errors import AutoIFError, ConfigError, SandboxError
from autoif.models.cache import CompletionCache, Usage
from autoif.models.endpoint import Endpoint
from autoif.models.requests import Samples
from autoif.pipeline import Shard, ShardResult, Watch, run_shard
from autoif.sandbox import Sandbox
from autoif.settings import ROLES
from autoif.tools import Tools, ToolSettings

_LIVES = 5
"""Workers that a shard, or one start after another, may lose before the run gives up."""
_START = "its start"
_STORES = ("AWS_", "GOOGLE_", "AZURE_", "FSSPEC_")
"""How variables begin by which packages of object stores take addresses and credentials."""
_HEAD_S = 10.0
"""For the head of a cluster to answer."""
_NOWHERE = Path("/nonexistent/completions.sqlite")
"""A worker has no completions file: another node's would be another file."""


@dataclass(frozen=True, slots=True)
class Node:
    """What a worker's machine has."""

    address: str
    program: str
    """Version and digest of this package, and version of Python."""
    sandbox: str = ""
    """The layers that hold there."""

    @classmethod
    def here(cls) -> "Node":
        """Return this machine's."""
        import ray

        digest = hashlib.sha256()
        for path in sorted(Path(autoif.__file__).parent.rglob("*.py")):
            digest.update(path.read_bytes())
        python = ".".join(platform.python_version_tuple()[:2])
        program = f"autoif {version('autoif')} ({digest.hexdigest()[:8]}) on Python {python}"
        return cls(ray.util.get_node_ip_address(), program)


class ShardWorker:
    """Runs in an actor process: opens tools once, runs shards one after the other."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._tools: Tools | None = None
        self._answers: SharedAnswers | None = None

    async def open(self, driver: Node, packed: bytes, keys: Mapping[str, str], writer: Any) -> Node | AutoIFError:
        """Open the tools that `packed` settings describe; return what this machine has, or what is wrong with it."""
        import ray

        here = Node.here()
        if here.program != driver.program:
            return ConfigError(
                f"node {here.address} has {here.program}, and this machine {driver.program}: install the same on both"
            )
        settings: ToolSettings = ray.cloudpickle.loads(packed)
        os.environ.update(keys)

        async def exchange(batch: Batch) -> tuple[list[Samples], Usage]:
            found = await writer.exchange.remote(batch)
            if isinstance(found, AutoIFError):
                raise found
            return found  # type: ignore[no-any-return]

        try:
            _check_addresses(settings, here, driver)
            self._answers = SharedAnswers(exchange)
            self._tools = await self._stack.enter_async_context(settings.open(self._answers))
        except AutoIFError as error:
            return _name_node(error, here)
        sandbox = self._tools.sandbox
        return replace(here, sandbox=sandbox.describe() if isinstance(sandbox, Sandbox) else "")

    async def run(self, shard: Shard) -> tuple[ShardResult | AutoIFError, int]:
        """Return the shard's result, or the error to be shown to the user, and the number of verdicts it took."""
        assert self._tools and self._answers
        try:
            before = self._tools.sandbox.verdicts
            result = await run_shard(shard, self._tools)
            await self._answers.flush()  # first: what is done is never asked again
            return result, self._tools.sandbox.verdicts - before
        except AutoIFError as error:
            return error, 0

    async def close(self) -> None:
        """Store what is on the wire."""
        await self._stack.aclose()
        if self._answers:
            await self._answers.flush()


class WriterActor(AnswerWriter):
    """The writer as an actor: what the user has to be told crosses as a value."""

    def __init__(
        self,
        completions: Path,
        journal: Path | None = None,
        elsewhere: str = "",
        access: Mapping[str, str] | None = None,
    ) -> None:
        os.environ.update(access or {})  # a cluster was perhaps started without
        super().__init__(completions, journal, elsewhere)

    def exchange(self, batch: Batch) -> Any:
        try:
            return super().exchange(batch)
        except AutoIFError as error:
            return error


@dataclass(slots=True)
class _Crew:
    """The workers, by what they are at."""

    starting: dict["asyncio.Future[Any]", Any] = field(default_factory=dict)
    idle: list[Any] = field(default_factory=list)
    running: dict["asyncio.Future[Any]", tuple[Any, Shard]] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    """Workers that died, by what they were at."""

    @property
    def actors(self) -> list[Any]:
        return [*self.starting.values(), *self.idle, *(actor for actor, _ in self.running.values())]


class RayEngine:
    """Runs shards on `workers` actors of a Ray cluster, each with a core of its own."""

    def __init__(self, workers: int, address: str = "") -> None:
        try:
            import ray
        except ImportError:
            raise ConfigError("the ray engine needs its extra: pip install 'autoif[ray]'") from None
        if address.startswith("ray://"):
            raise ConfigError(
                f"execution.ray_address {address}: start the run on a node of the cluster, where its folder is, and "
                'name the address as in "10.0.0.1:6379", or "auto"'
            )
        _check_that_head_answers(address)
        self._ray: Any = ray
        self._workers = workers
        self._address = address
        self.verdicts = 0
        self.bound = ""
        self.sandbox = ""

    async def run(
        self, shards: AsyncIterator[Shard], settings: ToolSettings, watch: Watch, follow: Follow
    ) -> AsyncIterator[ShardResult]:
        """Hand each free worker the next shard until none is left."""
        waiting = Waiting(shards, follow)
        count = await waiting.look_ahead(self._workers)
        if not count:
            return
        started, crew = self._start(), _Crew()
        try:
            writer = self._start_writer(settings)
            opening = self._pack(_share(settings, count), writer)
            for _ in range(count):
                self._hire(crew, opening)
            async for result in self._deal(waiting, crew, opening):
                for stage, folder in zip(result.stages, result.folders, strict=True):
                    watch(folder, stage.kept, stage.dropped, stage.entered)
                yield result
            self._compare_sandboxes(crew, settings.completions)
        finally:
            for actor in crew.actors:
                self._ray.kill(actor)
            if started:
                self._ray.shutdown()

    async def _deal(self, waiting: Waiting, crew: _Crew, opening: tuple[Any, ...]) -> AsyncIterator[ShardResult]:
        """Hand each free worker the next shard until none is left; on an error let all store what is under way."""
        failure: AutoIFError | None = None
        while (crew.running or await waiting.look_ahead(1)) and not failure:
            while crew.idle and (shard := await waiting.take()):
                actor = crew.idle.pop()
                crew.running[asyncio.ensure_future(actor.run.remote(shard))] = actor, shard
            late = len(crew.starting)
            self.bound = f"bound by the cluster: {late:,} of {self._workers:,} workers wait for a core" if late else ""
            done, _ = await asyncio.wait([*crew.running, *crew.starting], return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                if future in crew.starting:
                    failure = await self._welcome(crew, future, opening) or failure
                    continue
                actor, shard = crew.running.pop(future)
                try:
                    result, verdicts = future.result()
                except self._ray.exceptions.RayTaskError:
                    raise
                except self._ray.exceptions.RayError as error:  # the worker is gone, or its node with the result
                    waiting.put_first([shard])
                    failure = self._replace(crew, actor, f"{shard.step} {shard.index}", error, opening) or failure
                    continue
                crew.idle.append(actor)
                self.verdicts += verdicts
                if isinstance(result, AutoIFError):
                    failure = result
                    continue
                waiting.follow(result)
                yield result
        ready = [*crew.idle, *(actor for actor, _ in crew.running.values())]
        await asyncio.gather(*(actor.close.remote() for actor in ready), return_exceptions=True)
        if failure:
            raise failure

    def _hire(self, crew: _Crew, opening: tuple[Any, ...]) -> None:
        """Ask the cluster for a worker."""
        options = {"num_cpus": 1, "scheduling_strategy": "SPREAD"}
        actor = self._ray.remote(**options)(ShardWorker).remote()
        crew.starting[asyncio.ensure_future(actor.open.remote(*opening))] = actor

    async def _welcome(
        self, crew: _Crew, future: "asyncio.Future[Any]", opening: tuple[Any, ...]
    ) -> AutoIFError | None:
        """Give a worker that has started its place; return what is wrong with it, if anything."""
        actor = crew.starting.pop(future)
        try:
            node = future.result()
        except self._ray.exceptions.RayTaskError:
            raise
        except self._ray.exceptions.RayError as error:
            return self._replace(crew, actor, _START, error, opening)
        crew.idle.append(actor)
        if isinstance(node, AutoIFError):
            return node
        crew.nodes.append(node)
        del crew.lost[_START]
        return None

    def _replace(
        self, crew: _Crew, actor: Any, what: str, error: Exception, opening: tuple[Any, ...]
    ) -> AutoIFError | None:
        """Start a worker for one that died; return an error if what it was at has cost too many."""
        self._ray.kill(actor)  # it may be cut off, and not dead
        crew.lost[what] += 1
        if crew.lost[what] >= _LIVES:
            said = " ".join(str(error).split())[:300]
            return ConfigError(f"{_LIVES} workers of the cluster died at {what}, the last with: {said}")
        self._hire(crew, opening)
        return None

    def _start_writer(self, settings: ToolSettings) -> Any:
        """Start the writer on this machine, where the run folder is."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=False)
        options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": here}
        journal = settings.journal and settings.journal.resolve()
        access = {name: value for name, value in os.environ.items() if name.startswith(_STORES) and settings.elsewhere}
        return self._ray.remote(**options)(WriterActor).remote(
            settings.completions.resolve(), journal, settings.elsewhere, access
        )

    def _pack(self, settings: ToolSettings, writer: Any) -> tuple[Any, ...]:
        """Return what a worker's `open` is given; its settings only once in the cluster's memory."""
        endpoints: list[Endpoint] = [getattr(settings.config.models, role) for role in ROLES]
        names = {endpoint.api_key_env for endpoint in endpoints}
        keys = {name: os.environ[name] for name in names if os.environ.get(name)}
        keys |= {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}
        return Node.here(), self._ray.put(self._ray.cloudpickle.dumps(settings)), keys, writer

    def _compare_sandboxes(self, crew: _Crew, completions: Path) -> None:
        """Note the weakest sandbox of the nodes: a run is contained as well as that."""
        found = {node.sandbox: node.address for node in crew.nodes}
        if not found:
            return
        self.sandbox = min(found, key=lambda layers: len(layers.replace("+", ",").split(",")))
        if len(found) > 1:
            with CompletionCache(completions) as cache:
                cache.note(f"the nodes' sandboxes differ, the weakest is that of {found[self.sandbox]}: {self.sandbox}")

    def _start(self) -> bool:
        """Connect to Ray; tell whether it was started here and must be stopped here."""
        if self._ray.is_initialized():
            return False
        handler = signal.getsignal(signal.SIGTERM)
        try:
            self._ray.init(
                address=self._address or "local",
                num_cpus=None if self._address else self._workers,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            said = " ".join(str(error).split())[:300]
            raise ConfigError(f"Ray can't be reached or started ({said}): check execution.ray_address") from None
        if handler and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray has put its own in its place, which ends the process at once
        return True


def _check_that_head_answers(address: str) -> None:
    """Raise ConfigError if nobody listens at HOST:PORT: Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        return  # "auto", or what Ray refuses at once
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_HEAD_S).close()
    except OSError as error:
        raise ConfigError(
            f"no Ray cluster answers at {address} ({error.strerror or error}): check execution.ray_address, and that "
            "`ray start --head` runs there"
        ) from None


def _share(settings: ToolSettings, workers: int) -> ToolSettings:
    """Return the settings of one worker of so many: a core, its share of the requests in flight, and no file."""
    config = settings.config
    sandbox = config.sandbox.model_copy(update={"workers": config.sandbox.workers or 1})
    shared = dict[str, Endpoint]()
    for role in ROLES:
        endpoint: Endpoint = getattr(config.models, role)
        limits = endpoint.concurrency if isinstance(endpoint.concurrency, tuple) else (endpoint.concurrency,)
        divided = tuple(-(-limit // workers) for limit in limits)
        shared[role] = endpoint.model_copy(update={"concurrency": divided if len(divided) > 1 else divided[0]})
    models = config.models.model_copy(update=shared)
    config = config.model_copy(update={"sandbox": sandbox, "models": models})
    return replace(settings, config=config, completions=_NOWHERE, journal=None, elsewhere="")


def _check_addresses(settings: ToolSettings, here: Node, driver: Node) -> None:
    """Raise ConfigError if a worker's model is on another machine by an address that means its own."""
    for role in ROLES:
        endpoint: Endpoint = getattr(settings.config.models, role)
        for url in endpoint.addresses:
            host = urlsplit(url).hostname or ""
            if here.address != driver.address and (host in {"localhost", "::1"} or host.startswith("127.")):
                raise ConfigError(f"models.{role}.base_url is {url}, which means each node itself: name a machine")


def _name_node(error: AutoIFError, node: Node) -> AutoIFError:
    """Return the error with the node that has it, where the machine is at fault."""
    named = isinstance(error, ConfigError | SandboxError)
    return type(error)(f"node {node.address}: {error}") if named else error
