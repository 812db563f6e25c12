"""The crew: the process that is connected to Ray. It starts workers, hands them shards, and replaces lost workers.

It ends when the command hangs up or dies, when the run can't go on, or when Ray ends it because the head is gone.
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
"""Shards that a worker runs at once: while it waits for the last answers of one, it asks for those of the next."""
LIVES = 5
"""Workers that may die while they run one same shard alone, or in a row while they start, before the run gives up."""
_START = "its start"
_STORES = ("AWS_", "GOOGLE_", "AZURE_", "FSSPEC_")
"""Prefixes of the variables that give packages of object stores their addresses and credentials."""
_HEAD_S = 3.0
"""Seconds between two checks whether the head knows this node, and for its answer."""
_UNKNOWN = "the head knows nothing of this node any more"
"""The head was restarted without its state, or it has given this node up."""
_GRACE_S = 5.0
"""Seconds for workers to store answers under way."""

Ending = Failed | Lost | None
"""Why the crew ends; None if the command hung up."""


class Crew:
    """The workers, what each is doing, and the shards that wait for one."""

    def __init__(self, ray: Any, link: Link) -> None:
        self._ray = ray
        self._link = link
        self._starting: dict[asyncio.Future[Any], Any] = {}
        self._ready: dict[Any, int] = {}
        """Workers that have started, with how many of their `AT_ONCE` places are taken."""
        self._running: dict[asyncio.Future[Any], tuple[Any, Shard]] = {}
        self._waiting = deque[Shard]()
        self._suspects = set[str]()
        """Shards that ran together on a worker when it died. From then on each gets a worker to itself."""
        self._lost: Counter[str] = Counter()
        """How many workers died, by the one shard that they ran, or `_START`."""
        self._opening: tuple[Any, ...] = ()
        """The arguments of a worker's `open`."""
        self._bound = ""
        self._urls: dict[Role, tuple[str, ...]] = {}
        """The addresses of the model servers that Ray has started."""
        self._broken: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        """Done when the servers of a model fail for good; the result is why."""

    async def work(self, receiving: "asyncio.Task[Any]") -> Ending:
        """Obey the command's messages until it hangs up or the run can't go on; `receiving` awaits the first one.

        At the end workers store answers under way.
        """
        head = asyncio.create_task(self._watch_head())
        while True:
            self._deal()
            awaited = {receiving, head, self._broken, *self._running, *self._starting}
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if head.done():
                return Lost(head.result())
            failure = self._note_workers() or (self._broken.result() if self._broken.done() else None)
            if receiving.done() and not failure:
                if (message := receiving.result()) is None:
                    break
                self._obey(message)
                receiving = asyncio.create_task(self._link.receive())
            if failure:
                if (self._lost or self._suspects) and (why := await self._find_head()):  # the head cost the workers
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
        """Hand waiting shards to the workers that have the fewest; tell the command if workers wait for a core."""
        while self._ready and self._waiting:
            actor = min(self._ready, key=lambda each: self._ready[each])
            shard = self._waiting[0]
            taken = self._ready[actor] + self._weigh(shard)
            if taken > AT_ONCE or (self._ready[actor] and len(self._waiting) <= len(self._starting)):
                break  # workers that are about to be ready take the waiting shards
            self._ready[actor] = taken
            self._waiting.popleft()
            self._running[asyncio.ensure_future(actor.run.remote(shard))] = actor, shard
        starting = len(self._starting)
        bound = f"bound by the cluster: {starting:,} workers wait for a core" if starting else ""
        if bound != self._bound:
            self._bound = bound
            self._link.send(Bound(bound))

    def _weigh(self, shard: Shard) -> int:
        """Return how many of a worker's places a shard takes: all of them if it is a suspect."""
        return AT_ONCE if shard.name in self._suspects else 1

    def _note_workers(self) -> Exception | None:
        """Handle workers that have started and shards that are done; return an error that ends the run, if any."""
        failure: Exception | None = None
        for future in [each for each in self._starting if each.done()]:
            failure = self._welcome(future) or failure
        done = [each for each in self._running if each.done()]
        # Results first: when a worker is lost, all its other shards are run again.
        for future in sorted(done, key=lambda each: each.exception() is not None):
            if future in self._running:
                failure = self._take(future) or failure
        return failure

    def _welcome(self, future: "asyncio.Future[Any]") -> Exception | None:
        """Make a worker that has started ready for shards; return what is wrong with it, if anything."""
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
        for role, urls in self._urls.items():  # its settings lack servers that came up while it started
            for url in urls:
                actor.add_address.remote(role, url)
        del self._lost[_START]
        return None

    def _take(self, future: "asyncio.Future[Any]") -> Exception | None:
        """Send a shard's result to the command, or requeue a lost worker's shards; return what ends the run, if any."""
        actor, shard = self._running.pop(future)
        try:
            result, verdicts = future.result()
        except self._ray.exceptions.RayTaskError as error:
            return read_fault(error)
        except self._ray.exceptions.RayError as error:  # the worker is gone, or the node that had the result
            return self._deal_again(actor, shard, error)
        self._ready[actor] -= self._weigh(shard)
        if isinstance(result, AutoIFError):
            return result
        self._link.send(Done(result, verdicts))
        return None

    def _deal_again(self, actor: Any, shard: Shard, error: Exception) -> Exception | None:
        """Put all shards of a lost worker back into the queue. A shard that was not alone is not to blame yet."""
        beside = {future: other for future, (worker, other) in self._running.items() if worker is actor}
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
        """Start a worker in place of one that died at `what` (a shard, its start, or "" if unknown).

        Returns an error if `what` has cost too many workers.
        """
        self._lost.update([what] if what else [])
        if self._lost[what] >= LIVES:
            return ConfigError(f"{LIVES} workers of the cluster died at {what}, the last with: {in_one_line(error)}")
        self._ready.pop(actor, None)
        self._ray.kill(actor)  # it may be cut off and still alive
        self._hire()
        return None

    def _pack(self, settings: ToolSettings, workers: int) -> tuple[Any, ...]:
        """Start the writer; return the arguments of a worker's `open`. The cluster's memory holds the settings once."""
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
        """Return when the head no longer knows this node. Ray itself waits a minute for one that doesn't answer."""
        while True:
            await asyncio.sleep(_HEAD_S)
            if (why := await self._find_head()) == _UNKNOWN:
                return why

    async def _find_head(self) -> str:
        """Return what is wrong with the head; "" if it answers and knows this node."""
        try:
            async with asyncio.timeout(_HEAD_S):
                nodes = await asyncio.to_thread(self._ray.nodes)
        except Exception:  # noqa: BLE001 - Ray raises nothing narrower
            return "the head doesn't answer"
        here = self._ray.get_runtime_context().get_node_id()
        return "" if any(node["NodeID"] == here and node["Alive"] for node in nodes) else _UNKNOWN


def _ignore(future: "asyncio.Future[Any]") -> None:
    """Retrieve the exception of a future that nobody awaits any more, so that asyncio doesn't log it."""
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
        why = in_one_line(error)
        raise ConfigError(f"Ray can't be reached or started ({why}): check execution.ray_address") from None
    return str(ray.get_runtime_context().gcs_address)


async def serve(end: socket.socket) -> None:
    """Be the crew of the command at the other end."""
    import ray

    link = await Link.over(end)
    wanted = await link.receive()
    if wanted is None:
        return
    receiving = asyncio.create_task(link.receive())
    connecting = asyncio.create_task(asyncio.to_thread(connect, ray, wanted))
    await asyncio.wait({receiving, connecting}, return_when=asyncio.FIRST_COMPLETED)
    if not connecting.done():  # the command is gone; Ray would go on trying for minutes
        os._exit(0)
    try:
        link.send(Connected(connecting.result()))
    except ConfigError as error:
        ending: Ending = Failed(error)
    else:
        ending = await Crew(ray, link).work(receiving)
    if ending:
        link.send(ending)
    await link.close()
    if not isinstance(ending, Lost):
        ray.shutdown()
    os._exit(0)  # without waiting for the thread that may still be asking a lost head


if __name__ == "__main__":
    asyncio.run(serve(socket.socket(fileno=int(sys.argv[1]))))
