"""The actors of the cluster: workers, which run shards, and the writer of their answers."""

import hashlib
import os
import pickle
import platform
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import autoif
from autoif.engines.ray.answers import AnswerWriter, Batch, Reply, SharedAnswers
from autoif.errors import AutoIFError, ConfigError, SandboxError, StoreError
from autoif.models.client import ChatClient
from autoif.models.endpoint import Endpoint, is_own_host
from autoif.models.requests import Role
from autoif.pipeline import Shard, ShardResult, run_shard
from autoif.sandbox import Sandbox
from autoif.together import collecting_seldom
from autoif.tools import Tools, ToolSettings

_NOWHERE = Path("/nonexistent/completions.sqlite")
"""A worker has no completions file of its own: only the writer has one."""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster, and what runs there."""

    address: str
    program: str
    """Version and digest of this package, and version of Python."""
    sandbox: str = ""
    """The sandbox's layers that hold there."""

    @classmethod
    def here(cls) -> "Node":
        """Describe this machine, without its sandbox."""
        import ray

        digest, files = hashlib.sha256(), Path(autoif.__file__).parent.rglob("*")
        for path in sorted(files):  # code, prompts, probes and the catalog of models
            if path.is_file() and path.parent.name != "__pycache__":
                digest.update(path.read_bytes())
        python = ".".join(platform.python_version_tuple()[:2])
        program = f"autoif {version('autoif')} ({digest.hexdigest()[:8]}) on Python {python}"
        return cls(ray.util.get_node_ip_address(), program)


class ShardWorker:
    """Runs in an actor process: opens its tools once, then runs several shards at a time."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._tools: Tools | None = None
        self._answers: SharedAnswers | None = None
        self._counted = 0
        """Verdicts that earlier results have reported."""

    async def open(self, driver: Node, packed: bytes, keys: Mapping[str, str], writer: Any) -> Node | AutoIFError:
        """Open the tools that the `packed` settings describe; return this machine, or what is wrong with it."""
        import ray

        here = Node.here()
        if here.program != driver.program:
            return ConfigError(
                f"node {here.address} has {here.program}, and this machine {driver.program}: install the same on both"
            )
        settings: ToolSettings = ray.cloudpickle.loads(packed)
        os.environ.update(keys)

        async def exchange(batch: Batch) -> Reply:
            # Pickled here, as that takes half of the time that Ray needs for it.
            found = pickle.loads(await writer.exchange.remote(pickle.dumps(batch)))
            if isinstance(found, AutoIFError):
                raise found
            return found  # type: ignore[no-any-return]

        try:
            check_addresses(settings, here, driver)
            self._answers = SharedAnswers(exchange)
            self._stack.enter_context(collecting_seldom())
            self._tools = await self._stack.enter_async_context(settings.open(self._answers))
        except AutoIFError as error:
            return _name_node(error, here)
        sandbox = self._tools.sandbox
        return replace(here, sandbox=sandbox.describe() if isinstance(sandbox, Sandbox) else "")

    async def run(self, shard: Shard) -> tuple[ShardResult | AutoIFError, int]:
        """Return the shard's result, or the error to show to the user; and the verdicts given since the last result."""
        assert self._tools and self._answers
        try:
            result = await run_shard(shard, self._tools)
            await self._answers.flush()  # before the result: models are never asked again for a finished shard
        except AutoIFError as error:
            return error, 0
        verdicts = self._tools.sandbox.verdicts - self._counted
        self._counted += verdicts
        return result, verdicts

    async def add_address(self, role: Role, url: str) -> None:
        if self._tools and isinstance(self._tools.chat, ChatClient):
            await self._tools.chat.add_address(role, url)

    async def close(self) -> None:
        """Close the tools, and send answers under way to the writer."""
        await self._stack.aclose()
        if self._answers:
            await self._answers.flush()


class WriterActor:
    """The writer as an actor. Errors to show to the user are returned, not raised."""

    def __init__(
        self,
        completions: Path,
        journal: Path | None,
        crew: int,
        elsewhere: str = "",
        access: Mapping[str, str] | None = None,
    ) -> None:
        """`crew` is the id of the process that started it, on this machine; `access` are variables of object stores."""
        os.environ.update(access or {})  # the cluster may have been started without them
        self._writer = AnswerWriter(completions, journal, elsewhere)
        self._crew = crew

    def exchange(self, packed: bytes) -> bytes:
        """Call `AnswerWriter.exchange`. Workers that have outlived their crew get an error here."""
        found: object
        try:
            found = self._writer.exchange(pickle.loads(packed))
        except AutoIFError as error:
            found = error
        return pickle.dumps(found if _is_running(self._crew) else StoreError("the run has left this cluster"))


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def share_settings(settings: ToolSettings, workers: int) -> ToolSettings:
    """Return the settings of one of `workers` workers: one core, its share of the requests in flight, and no files."""
    config = settings.config
    sandbox = config.sandbox.model_copy(update={"workers": config.sandbox.workers or 1})
    shared = dict[Role, Endpoint]()
    for role, endpoint in config.models.by_role().items():
        limits = endpoint.concurrency if isinstance(endpoint.concurrency, tuple) else (endpoint.concurrency,)
        divided = tuple(-(-limit // workers) for limit in limits)
        shared[role] = endpoint.model_copy(update={"concurrency": divided if len(divided) > 1 else divided[0]})
    models = config.models.with_endpoints(shared)
    config = config.model_copy(update={"sandbox": sandbox, "models": models})
    return replace(settings, config=config, completions=_NOWHERE, journal=None, elsewhere="")


def check_addresses(settings: ToolSettings, here: Node, driver: Node) -> None:
    """Raise ConfigError if a worker on another machine would look for a model on its own machine (localhost)."""
    for role, endpoint in settings.config.models.by_role().items():
        for url in endpoint.addresses:
            if here.address != driver.address and is_own_host(urlsplit(url).hostname or ""):
                raise ConfigError(f"models.{role}.base_url is {url}, which means each node itself: name a machine")


def _name_node(error: AutoIFError, node: Node) -> AutoIFError:
    """Add the node's address to an error that is the machine's fault."""
    named = isinstance(error, ConfigError | SandboxError)
    return type(error)(f"node {node.address}: {error}") if named else error


def read_fault(error: Any) -> RuntimeError:
    """Return an unexpected error of the code in an actor, which it would raise again on another try.

    An error that Ray itself raised in the actor is raised again here.
    """
    import ray

    ray_error = ray.exceptions.RayError
    # A plain RayError stands for an error of the actor's code that can't be pickled.
    if isinstance(error.cause, ray_error) and type(error.cause) is not ray_error:
        raise error
    return RuntimeError(str(error))
