"""A cluster on paper: how long 1, 8 and 64 nodes take to a million verified instructions, and what breaks first.

Real parts are measured first, by the processor's time: the event loop for a request and for an instruction, the sandbox
for a function, the one writer of the completions for an answer, the driver for a finished instruction, self-instruct in
time and memory. Then the flow is simulated: on each node workers that take shards of 64 instructions, each with a core
for its loop and its sandbox, beside a model with its slots; in the middle the writer and the driver. Some
shards of each worker are simulated, then twice as many: what the second half takes is how the rest goes on.

Nobody measured here: the model of a node, `--tokens-per-second`, and the yields, which are those of `autoif run paper
--plan` for another model. The check puts a real run beside a simulated one that is told nothing of it but its server:
how much CPU it takes and, where the machine is quiet, how long.

    python benchmarks/simulation.py [--nodes 1 8 64] [--tokens-per-second 20000] [--check]
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import simpy

import autoif
from autoif.engines.ray.answers import AnswerWriter, Batch
from autoif.models.answer_rows import list_rows
from autoif.models.requests import Completion
from autoif.pipeline import STAGES
from autoif.runs.run_folder import RunFolder
from stub_server import FUNCTIONS, answer_instruction, running_stub, write_instruction

GOAL = 1_000_000
SHARD = 64
MAX_CPU_ERROR = 0.25
"""Of the simulated processor time, beside that of the real run."""
Events = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class Costs:
    """What one processor spends, in milliseconds."""

    request: float
    """On the loop, for a request and its answer."""
    instruction: float
    """On the loop, for all else of an instruction."""
    function: float
    """In the sandbox, for a function and its cases."""
    stored: float
    """In the writer, for an answer: looked up, and stored."""
    finished: float
    """In the driver, for an instruction of a finished shard."""
    folded: float
    """In self-instruct, for an instruction."""
    folded_kb: float
    """Its memory, which the driver holds for all of them."""


@dataclass(frozen=True)
class Work:
    """What an instruction asks for, and what becomes of it."""

    functions: int = 8
    function_tokens: float = 110 + 59 / 20
    """Of an answer; those of a prompt are read some twenty times as fast as others are written."""
    descriptions: int = 5
    """Back-translations, and as many short requests to the judge."""
    description_tokens: float = 6 + 194 / 20
    judge_tokens: float = 1 + 150 / 20
    yielded: float = 1312 / 2091
    """Verified instructions, of those that enter."""


@dataclass(frozen=True)
class Cluster:
    """What there is."""

    nodes: int
    workers: int = 16
    """On each node, each with a core."""
    slots: int = 512
    """Of a node's model: answers that are written at the same time."""
    tokens_per_second: float = 20_000
    latency_s: float = 0.0
    """Of any request, where the server is a stub."""
    one_loop: bool = False
    """One loop for all, with a core of its own, as on one machine; else each shares a core with its sandbox."""


@dataclass(frozen=True)
class Found:
    """What a simulation comes to."""

    seconds: float
    busy: dict[str, float]
    """Shares of the time."""
    cpu_s: float


class Simulation:
    """One run of the second kind: instructions in, verified or not out."""

    def __init__(self, cluster: Cluster, work: Work, costs: Costs, shards: int) -> None:
        self.env = simpy.Environment()
        self._cluster, self._work, self._costs, self._left = cluster, work, costs, shards
        self._models = [simpy.Container(self.env, cluster.slots, init=cluster.slots) for _ in range(cluster.nodes)]
        self._queues = {"writer": 0.0, "driver": 0.0}
        """Until when each has work."""
        self._worked = {"model": 0.0, "workers": 0.0, "writer": 0.0, "driver": 0.0}

    def run(self) -> Found:
        cluster = self._cluster
        shared = simpy.Resource(self.env) if cluster.one_loop else None
        for node in range(cluster.nodes):
            for _ in range(cluster.workers):
                core = simpy.Resource(self.env)
                self.env.process(self._take_shards(node, shared or core, core))
        self.env.run()
        seconds = max(self.env.now, *self._queues.values())
        count = {"model": cluster.nodes * cluster.slots, "workers": cluster.nodes * cluster.workers}
        busy = {name: worked / seconds / count.get(name, 1) for name, worked in self._worked.items()}
        cpu_s = sum(worked for name, worked in self._worked.items() if name != "model")
        return Found(seconds, busy, cpu_s)

    def _take_shards(self, node: int, loop: simpy.Resource, core: simpy.Resource) -> Events:
        while self._left:
            self._left -= 1
            flows = [self.env.process(self._verify(node, loop, core)) for _ in range(SHARD)]
            yield self.env.all_of(flows)
            yield self.env.timeout(max(0.0, self._queues["writer"] - self.env.now))  # what it has is stored first
            self._enqueue("driver", SHARD * self._costs.finished)

    def _verify(self, node: int, loop: simpy.Resource, core: simpy.Resource) -> Events:
        work, costs = self._work, self._costs
        yield from self._use(loop, costs.instruction)
        yield from self._ask(node, loop, 1, work.functions, work.function_tokens)
        yield from self._use(core, work.functions * costs.function)
        if work.descriptions:
            yield from self._ask(node, loop, work.descriptions, work.descriptions, work.description_tokens)
            yield from self._ask(node, loop, work.descriptions, work.descriptions, work.judge_tokens)

    def _ask(self, node: int, loop: simpy.Resource, requests: int, answers: int, tokens: float) -> Events:
        """Ask for so many answers at the same time; they are stored when they are there."""
        cluster, model = self._cluster, self._models[node]
        yield from self._use(loop, requests * self._costs.request)
        places = min(answers if not cluster.latency_s else requests, cluster.slots)
        yield model.get(places)
        seconds = cluster.latency_s or tokens * cluster.slots / cluster.tokens_per_second
        yield self.env.timeout(seconds)
        self._worked["model"] += seconds * places
        yield model.put(places)
        self._enqueue("writer", answers * self._costs.stored)

    def _use(self, resource: simpy.Resource, milliseconds: float) -> Events:
        with resource.request() as turn:
            yield turn
            yield self.env.timeout(milliseconds / 1e3)
        self._worked["workers"] += milliseconds / 1e3

    def _enqueue(self, name: str, milliseconds: float) -> None:
        self._queues[name] = max(self.env.now, self._queues[name]) + milliseconds / 1e3
        self._worked[name] += milliseconds / 1e3


def run_really(url: str, folder: Path, instructions: int, **settings: object) -> tuple[float, float, float]:
    """Make a run up to its instructions; return its seconds, and those of the processor, its own and its sandbox's."""
    (folder / "seeds.txt").write_text("".join(f"{write_instruction(number)}\n" for number in range(instructions)))
    chosen = {
        "self_instruct.rewrites_per_seed": 0,
        "verification.functions_per_instruction": len(FUNCTIONS),
        "back_translation.enabled": False,
        **settings,
    }
    began, used, of_children = time.perf_counter(), time.process_time(), _children_s()
    autoif.run(
        "paper", seeds=folder / "seeds.txt", output=folder / "run", until="instructions", base_url=url, model="stub",
        set=chosen, progress=False,
    )  # fmt: skip
    return time.perf_counter() - began, time.process_time() - used, _children_s() - of_children


def _children_s() -> float:
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def measure_costs(instructions: int) -> Costs:
    """Measure the real parts."""
    client_ms = _measure_requests(40 * instructions)
    with running_stub(answer_instruction) as server, tempfile.TemporaryDirectory() as name:
        empty, folder = Path(name) / "few", Path(name) / "many"
        empty.mkdir()
        folder.mkdir()
        _, few_s, few_sandbox_s = run_really(server.url, empty, 1)
        _, own_s, sandbox_s = run_really(server.url, folder, instructions + 1)
        finished_ms = _measure_writing(folder / "run")
    return Costs(
        request=client_ms,
        instruction=max(0.0, (own_s - few_s) / instructions * 1e3 - client_ms - finished_ms),
        function=(sandbox_s - few_sandbox_s) / instructions / len(FUNCTIONS) * 1e3,
        stored=_measure_writer(40 * instructions),
        finished=finished_ms,
        **_measure_folding(40 * instructions),
    )


def _measure_requests(count: int) -> float:
    import asyncio

    from client import answer, measure_client

    with running_stub(answer) as server:
        return asyncio.run(measure_client(server.url, count)).cpu_ms(count)


def _measure_writing(run: Path) -> float:
    """Return what the driver takes to read a result and to write its files, for an instruction."""
    with RunFolder(run) as folder, tempfile.TemporaryDirectory() as name, RunFolder(Path(name)) as other:
        used, count = time.process_time(), 0
        for stage in STAGES["instructions"]:
            for index in folder.shards(stage.folder):
                kept = folder.read_kept(stage.folder, index, stage.makes)
                other.write_shard(stage.folder, index, kept, [])
                count += len(kept)
        return (time.process_time() - used) / count * len(STAGES["instructions"]) * 1e3


def _measure_writer(count: int) -> float:
    from completions import key_of

    text = json.dumps({"func": FUNCTIONS[3], "cases": [{"input": "We met nobody.", "output": False}] * 4})
    with tempfile.TemporaryDirectory() as name:
        writer = AnswerWriter(Path(name) / "completions.sqlite")
        used = time.process_time()
        for first in range(0, count, 32):
            samples = {index: Completion(f"{text} {first} {index}", "stop", 60, 110) for index in range(8)}
            keys = [key_of(first + each) for each in range(4)]
            writer.exchange(Batch(keys=tuple((key, 8) for key in keys)))
            rows = (row for key in keys for row in list_rows(key, samples, stage="verification", usd=0.0))
            writer.exchange(Batch(tuple(("", row) for row in rows)))
        return (time.process_time() - used) / count * 1e3


def _measure_folding(count: int) -> dict[str, float]:
    from streaming import fold, measure

    few, many = measure(fold, 1000), measure(fold, 1000 + 10 * count)
    return {
        "folded": (many.cpu_s - few.cpu_s) / (10 * count) * 1e3,
        "folded_kb": (many.peak_mb - few.peak_mb) / (10 * count) * 1024,
    }


def tell_of(cluster: Cluster, work: Work, costs: Costs) -> dict[str, float | str]:
    """Simulate a cluster; return what it takes to the goal."""
    shards = cluster.nodes * cluster.workers * (3 if cluster.nodes < 16 else 1)
    few, found = (Simulation(cluster, work, costs, count).run() for count in (shards, 2 * shards))
    per_second = shards * SHARD / (found.seconds - few.seconds)
    entering = GOAL / work.yielded
    bound = max(found.busy, key=lambda name: found.busy[name])
    return {
        "nodes": cluster.nodes,
        "hours": (few.seconds + entering / per_second) / 3600 + entering * costs.folded / 3.6e6,
        "of_them_self_instruct": entering * costs.folded / 3.6e6,
        "requests_per_second": per_second * (1 + 2 * work.descriptions),
        **{f"{name}_busy": share for name, share in found.busy.items()},
        "waits_for": bound,
        "driver_memory_gb": entering * costs.folded_kb / 1e6,
    }


def find_limits(cluster: Cluster, work: Work, costs: Costs) -> dict[str, float]:
    """Return how many nodes each single part can serve, while the models are what all wait for."""
    tokens = work.functions * work.function_tokens
    tokens += work.descriptions * (work.description_tokens + work.judge_tokens)
    per_second = cluster.tokens_per_second / tokens
    answers = work.functions + 2 * work.descriptions
    worker_ms = costs.instruction + (1 + 2 * work.descriptions) * costs.request + work.functions * costs.function
    return {
        "workers a node needs": per_second * worker_ms / 1e3,
        "nodes until the writer is full": 1e3 / (answers * costs.stored * per_second),
        "nodes until the driver is full": 1e3 / (costs.finished * per_second),
    }


def check(costs: Costs, instructions: int) -> dict[str, float]:
    """Put a real run beside a simulated one: another size, another server, fewer requests at a time."""
    latency_s, slots = 0.5, 32
    with running_stub(answer_instruction, latency_s=latency_s, slots=slots) as server:
        with tempfile.TemporaryDirectory() as name:
            bare = run_really(server.url, Path(name), 1)
        with tempfile.TemporaryDirectory() as name:
            real = run_really(server.url, Path(name), instructions, **{"models.all.concurrency": slots})
    machine = Cluster(1, workers=2, slots=slots, latency_s=latency_s, one_loop=True)
    work = Work(functions=len(FUNCTIONS), descriptions=0)
    alone = replace(costs, stored=0.0)  # it is in what a request costs the loop
    simulated = Simulation(machine, work, alone, -(-instructions // SHARD)).run()
    cpu_s = real[1] + real[2] - bare[1] - bare[2]
    return {
        "seconds_real": real[0] - bare[0] + latency_s,
        "seconds_simulated": simulated.seconds,
        "cpu_s_real": cpu_s,
        "cpu_s_simulated": simulated.cpu_s,
        "cpu_error": abs(simulated.cpu_s / cpu_s - 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--tokens-per-second", type=float, default=20_000.0)
    parser.add_argument("--measured", type=int, default=256, help="instructions of the run that is measured")
    parser.add_argument("--costs", type=Path, help="measured before, as --json wrote them")
    parser.add_argument("--check", action="store_true", help="put a real run beside a simulated one, and exit with 1")
    parser.add_argument("--json", type=Path, help="write what was measured")
    options = parser.parse_args()
    costs = Costs(**json.loads(options.costs.read_text())) if options.costs else measure_costs(options.measured)
    if options.json:
        options.json.write_text(json.dumps(asdict(costs), indent=1) + "\n", encoding="utf-8")
    for name, value in asdict(costs).items():
        print(f"{name:24}{value:10.3f} {'kB' if name.endswith('kb') else 'ms'}")
    work = Work()
    for nodes in options.nodes:
        cluster = Cluster(nodes, tokens_per_second=options.tokens_per_second)
        print(json.dumps({key: _round(value) for key, value in tell_of(cluster, work, costs).items()}), flush=True)
    for name, value in find_limits(Cluster(1, tokens_per_second=options.tokens_per_second), work, costs).items():
        print(f"{name:36}{value:10,.1f}")
    if not options.check:
        return 0
    found = check(costs, 2 * options.measured)
    print(json.dumps({key: _round(value) for key, value in found.items()}))
    return int(found["cpu_error"] > MAX_CPU_ERROR)


def _round(value: float | str) -> float | str:
    return value if isinstance(value, str) else round(value, 3)


if __name__ == "__main__":
    sys.exit(main())
