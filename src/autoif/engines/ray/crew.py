"""The process that speaks to Ray for the command: hires workers, hands them shards, and replaces those that are lost.

It ends when the command hangs up or is gone, when the run can't go on, or when Ray ends it because its head is gone.
"""

import asyncio
import os
import socket
import sys
from collections import Counter, deque
from contextlib import suppress
from typing import Any

from autoif.engines.ray.link import Bound, Connect, Connected, Done, Failed, Hire, Joined, Link, Lost, Serve, Served
from autoif.engines.ray.servers import Group, Servers, group_roles
from autoif.engines.ray.worker import Node, ShardWorker, WriterActor, read_fault, share_settings
from autoif.errors import AutoIFError, ConfigError, in_one_line
from autoif.models.requests import Role
from autoif.pipeline import Shard
from autoif.tools import ToolSettings

AT_ONCE = 2
"""Shards of a worker: while it waits for the last answers of one, it asks for those of the next."""
LIVES = 5
"""Workers that a shard that is alone on each, or one start after another, may lose before the run gives up."""
_START = "its start"
_STORES = ("AWS_", "GOOGLE_", "AZURE_", "FSSPEC_")
"""How variables begin by which packages of object stores take addresses and credentials."""
_HEAD_S = 3.0
"""Between two looks whether the head knows this node, and for its answer."""
_UNKNOWN = "the head knows nothing of this node any more"
"""One that was started anew without what it had known, or the node was given up."""
_GRACE_S = 5.0
"""For workers to store what is under way."""

Ending = Failed | Lost | None
"""Why the crew ends; None: the command hung up."""


class Crew:
    """The workers, by what they are at, and the shards that wait for one."""

    def __init__(self, ray: Any, link: Link) -> None:
        self._ray = ray
        self._link = link
        self._starting: dict[asyncio.Future[Any], Any] = {}
        self._ready: dict[Any, int] = {}
        """Workers that have started, with how many of `AT_ONCE` shards each is at."""
        self._running: dict[asyncio.Future[Any], tuple[Any, Shard]] = {}
        self._waiting = deque[Shard]()
        self._suspects = set[str]()
        """Shards that were together on a worker when it died: each is at one by itself from then on."""
        self._lost: Counter[str] = Counter()
        """Workers that died, by what they were at and nothing beside it."""
        self._opening: tuple[Any, ...] = ()
        """What a worker's `open` is given."""
        self._bound = ""
        self._urls: dict[Role, tuple[str, ...]] = {}
        """Of the models that it serves."""
        self._broken: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        """What ends the servers of a model."""

    async def work(self, told: "asyncio.Task[Any]") -> Ending:
        """Do what the command says, first what it has `told`, until it hangs up or the run can't go on.

        At the end workers store what is under way.
        """
        head = asyncio.create_task(self._watch_head())
        while True:
            self._deal()
            awaited = {told, head, self._broken, *self._running, *self._starting}
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if head.done():
                return Lost(head.result())
            failure = self._note_workers() or (self._broken.result() if self._broken.done() else None)
            if told.done() and not failure:
                if (message := told.result()) is None:
                    break
                self._obey(message)
                told = asyncio.create_task(self._link.receive())
            if failure:
                if (self._lost or self._suspects) and (why := await self._find_head()):  # that is what cost the workers
                    return Lost(why)
                break
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_S):
                await asyncio.gather(*(actor.close.remote() for actor in self._ready), return_exceptions=True)
        return Failed(failure) if failure else None

    def _obey(self, message: Serve | Hire | Shard) -> None:
        match message:
            case Shard():
                self._waiting.append(message)
            case Serve(endpoints):
                servers = Servers(self._ray, group_roles(endpoints), self._announce)
                self._broken = asyncio.ensure_future(servers.fail())
            case Hire(settings, workers):
                self._opening = self._pack(settings, workers)
                for _ in range(workers):
                    self._hire()

    def _announce(self, group: Group, url: str) -> None:
        self._link.send(Served(group.roles, url))
        for role in group.roles:
            self._urls[role] = (*self._urls.get(role, ()), url)
            for actor in self._ready:
                actor.add_address.remote(role, url)

    def _deal(self) -> None:
        """Hand the next shards to the workers that have the fewest."""
        while self._ready and self._waiting:
            actor = min(self._ready, key=lambda each: self._ready[each])
            shard = self._waiting[0]
            taken = self._ready[actor] + self._weigh(shard)
            if taken > AT_ONCE or (self._ready[actor] and len(self._waiting) <= len(self._starting)):
                break  # what waits is for those that are about to be ready
            self._ready[actor] = taken
            self._waiting.popleft()
            self._running[asyncio.ensure_future(actor.run.remote(shard))] = actor, shard
        late = len(self._starting)
        said = f"bound by the cluster: {late:,} workers wait for a core" if late else ""
        if said != self._bound:
            self._bound = said
            self._link.send(Bound(said))

    def _weigh(self, shard: Shard) -> int:
        return AT_ONCE if shard.name in self._suspects else 1

    def _note_workers(self) -> Exception | None:
        failure: Exception | None = None
        for future in [each for each in self._starting if each.done()]:
            failure = self._welcome(future) or failure
        done = [each for each in self._running if each.done()]
        # Results first, as all that a lost worker is at is dealt again.
        for future in sorted(done, key=lambda each: each.exception() is not None):
            if future in self._running:
                failure = self._take(future) or failure
        return failure

    def _welcome(self, future: "asyncio.Future[Any]") -> Exception | None:
        """Give a worker that has started its place; return what is wrong with it, if anything."""
        actor = self._starting.pop(future)
        try:
            node: Node | AutoIFError = future.result()
        except self._ray.exceptions.RayTaskError as error:
            return read_fault(error)
        except self._ray.exceptions.RayError as error:
            return self._replace(actor, _START, error)
        self._ready[actor] = 0
        if isinstance(node, AutoIFError):
            return node
        self._link.send(Joined(node))
        for role, urls in self._urls.items():  # some may have come while it started
            for url in urls:
                actor.add_address.remote(role, url)
        del self._lost[_START]
        return None

    def _take(self, future: "asyncio.Future[Any]") -> Exception | None:
        """Hand a shard's result on, or deal it and those beside it again; return what ends the run, if anything."""
        actor, shard = self._running.pop(future)
        try:
            result, verdicts = future.result()
        except self._ray.exceptions.RayTaskError as error:
            return read_fault(error)
        except self._ray.exceptions.RayError as error:  # the worker is gone, or its node with the result
            return self._deal_again(actor, shard, error)
        self._ready[actor] -= self._weigh(shard)
        if isinstance(result, AutoIFError):
            return result
        self._link.send(Done(result, verdicts))
        return None

    def _deal_again(self, actor: Any, shard: Shard, error: Exception) -> Exception | None:
        """Let all shards of a worker that is gone wait again; one that was not alone is not to blame yet."""
        beside = {future: each for future, (at, each) in self._running.items() if at is actor}
        for future in beside:
            del self._running[future]
            future.add_done_callback(_ignore)
        self._waiting.extendleft([*beside.values(), shard])
        if beside:
            self._suspects |= {each.name for each in (shard, *beside.values())}
        return self._replace(actor, "" if beside else shard.name, error)

    def _hire(self) -> None:
        options = {"num_cpus": 1, "scheduling_strategy": "SPREAD"}
        actor = self._ray.remote(**options)(ShardWorker).remote()
        self._starting[asyncio.ensure_future(actor.open.remote(*self._opening))] = actor

    def _replace(self, actor: Any, what: str, error: Exception) -> AutoIFError | None:
        """Start a worker for one that died; return an error if what is to blame for it has cost too many."""
        self._lost.update([what] if what else [])
        if self._lost[what] >= LIVES:
            return ConfigError(f"{LIVES} workers of the cluster died at {what}, the last with: {in_one_line(error)}")
        self._ready.pop(actor, None)
        self._ray.kill(actor)  # it may be cut off, and not dead
        self._hire()
        return None

    def _pack(self, settings: ToolSettings, workers: int) -> tuple[Any, ...]:
        """Start the writer; return what a worker's `open` is given, its settings only once in the cluster's memory."""
        names = {endpoint.api_key_env for endpoint in settings.config.models.by_role().values()}
        keys = {name: os.environ[name] for name in names if os.environ.get(name)}
        keys |= {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}
        shared = self._ray.put(self._ray.cloudpickle.dumps(share_settings(settings, workers)))
        return Node.here(), shared, keys, self._start_writer(settings)

    def _start_writer(self, settings: ToolSettings) -> Any:
        """Start the writer on this machine, where the run folder is."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=False)
        options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": here}
        access = {name: value for name, value in os.environ.items() if name.startswith(_STORES) and settings.elsewhere}
        return self._ray.remote(**options)(WriterActor).remote(
            settings.completions, settings.journal, os.getpid(), settings.elsewhere, access
        )

    async def _watch_head(self) -> str:
        """Return when the head doesn't know this node any more; for one that doesn't answer Ray waits a minute."""
        while True:
            await asyncio.sleep(_HEAD_S)
            if (why := await self._find_head()) == _UNKNOWN:
                return why

    async def _find_head(self) -> str:
        """Return what is wrong with the head; "" if it is there and knows this node."""
        try:
            async with asyncio.timeout(_HEAD_S):
                nodes = await asyncio.to_thread(self._ray.nodes)
        except Exception:  # noqa: BLE001 - Ray's is of no narrower kind
            return "the head doesn't answer"
        here = self._ray.get_runtime_context().get_node_id()
        return "" if any(node["NodeID"] == here and node["Alive"] for node in nodes) else _UNKNOWN


def _ignore(future: "asyncio.Future[Any]") -> None:
    """Look at how a future ended, as nobody else does: what it was for is done elsewhere."""
    if not future.cancelled():
        future.exception()


def connect(ray: Any, wanted: Connect) -> str:
    """Connect to Ray or start it; return its address. Raises ConfigError: it can't be done."""
    try:
        ray.init(
            address=wanted.address or "local",
            num_cpus=None if wanted.address else wanted.cores,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        said = in_one_line(error)
        raise ConfigError(f"Ray can't be reached or started ({said}): check execution.ray_address") from None
    return str(ray.get_runtime_context().gcs_address)


async def serve(end: socket.socket) -> None:
    """Be the crew of the command at the other end."""
    import ray

    link = await Link.over(end)
    wanted = await link.receive()
    if wanted is None:
        return
    told = asyncio.create_task(link.receive())
    connecting = asyncio.create_task(asyncio.to_thread(connect, ray, wanted))
    await asyncio.wait({told, connecting}, return_when=asyncio.FIRST_COMPLETED)
    if not connecting.done():  # the command is gone; Ray would go on trying for minutes
        os._exit(0)
    try:
        link.send(Connected(connecting.result()))
    except ConfigError as error:
        ending: Ending = Failed(error)
    else:
        ending = await Crew(ray, link).work(told)
    if ending:
        link.send(ending)
    await link.close()
    if not isinstance(ending, Lost):
        ray.shutdown()
    os._exit(0)  # without waiting for a thread that asks a head which is gone


if __name__ == "__main__":
    asyncio.run(serve(socket.socket(fileno=int(sys.argv[1]))))
