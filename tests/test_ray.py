"""Runs on a Ray cluster whose nodes share no home and no folder with the driver, and lose processes."""

import asyncio
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
from ray.exceptions import ActorDiedError, RayError, RayTaskError
from ray.util import get_node_ip_address

import autoif
from autoif.config import load_config
from autoif.engines.ray import engine
from autoif.engines.ray.answers import AnswerWriter, Batch, SharedAnswers
from autoif.engines.ray.crew import Crew
from autoif.engines.ray.engine import RayEngine, _CrewProcess
from autoif.engines.ray.link import Connect, Done
from autoif.engines.ray.servers import ModelServer
from autoif.engines.ray.worker import Node, ShardWorker, WriterActor, check_addresses, read_fault, share_settings
from autoif.errors import ConfigError, StoreError
from autoif.models.answer_rows import list_rows
from autoif.models.cache import CompletionCache
from autoif.models.requests import ASKED_FOR, Completion, Request
from autoif.pipeline import Shard, ShardResult
from autoif.runs.remote import Remote
from autoif.runs.segments import Segments
from autoif.tools import ToolSettings
from support.command import run_here
from support.processes import (
    SUPPORT,
    Served,
    data_of,
    fork_autoif,
    make_plain_run,
    model_server,
    quickstart,
    stages_of,
)
from test_mirror import check_same, count_answers

IN_FLIGHT = 6
NODE = {"num_cpus": 1, "num_gpus": 1, "object_store_memory": 10**8}
"""The GPU is one that Ray is told of."""
A, B = "a" * 32, "b" * 32
"""Keys of requests."""
FEW = ("--set", "self_instruct.max_instructions=6", "--set", f"models.all.concurrency={IN_FLIGHT}", "--quiet")
REQUEST = Request("writer", "scoring", messages=(("user", "x" * 1000),))


def arguments(server, run, *more):
    return quickstart(server, run, *FEW, *more)


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    """A cluster of three nodes of a core each; two have a home and a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOIF_TEST_CLUSTER", mark := uuid.uuid4().hex)
        patch.setenv("RAY_worker_niceness", "0")  # 15 otherwise, and the machine may have other work
        started = start_cluster([tmp_path_factory.mktemp(name) for name in ("second", "third")])
        yield started, mark
        started.shutdown()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The run without Ray, and how often its model was asked."""
    return make_plain_run(tmp_path_factory.mktemp("plain"), *FEW)


def start_cluster(homes, tries=3):
    """Start a head and a node for each home. Ray gives each 30 seconds, which a busy machine may need twice."""
    from ray.cluster_utils import Cluster

    started = Cluster()
    try:
        add_nodes(started, homes)
    except Exception:  # of no narrower kind
        started.shutdown()
        if tries == 1:
            raise
        return start_cluster(homes, tries - 1)
    return started


def add_nodes(started, homes, **head):
    started.add_node(wait=False, include_dashboard=False, **NODE, **head)
    for home in homes:
        started.add_node(wait=False, env_vars={"HOME": str(home)}, **NODE)
    started.wait_for_nodes(timeout=120)


def lose_head(started):
    """End the head as it goes with its machine, and the other nodes, which don't outlive it for long."""
    for node in [started.head_node, *started.worker_nodes]:
        started.remove_node(node, allow_graceful=False)
    started.global_state.disconnect()  # which would end this process when it met another head


def find_processes(title, mark):
    """Return the processes of this cluster that have a title."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            titled = (path / "cmdline").read_bytes().startswith(title.encode())
            if titled and mark.encode() in (path / "environ").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found


def on(started, workers=3):
    return "--engine", "ray", "--ray-address", started.address, "--workers", str(workers)


def check_ending(process, server, driver, plain, most_lost):
    """The run made the same bytes, all answers are in its folder, and only what was in flight was asked twice."""
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    asked = server.asked()
    assert len(asked) - len(set(asked)) <= most_lost
    assert list(driver.parent.rglob("completions.sqlite")) == [driver / "run" / "completions.sqlite"]
    events = len(server.events())
    nowhere = ("run", "quickstart", "--base-url", "http://127.0.0.1:9/v1", "--model", "test", "-o", "run", *FEW)
    again = run_here(*nowhere, cwd=driver)
    assert again.returncode == 0, again.stderr  # without a model
    assert len(server.events()) == events
    assert data_of(driver / "run") == data_of(plain[0])
    assert stages_of(driver / "run") == stages_of(plain[0])


SANDBOXES = """
import sys
import ray
from autoif import Limits, Sandbox

LENGTH = "def evaluate(response):\\n    return len(response) > 3"

@ray.remote
def task(sandbox):
    with sandbox:
        return [outcome.verdict.value for outcome in sandbox.run_sync(LENGTH, ["no", "long"])]

@ray.remote
class Actor:
    async def judge(self):
        async with Sandbox(workers=1) as sandbox:
            return [outcome.verdict.value for outcome in await sandbox.run(LENGTH, ["no", "long"])]

ray.init(sys.argv[1], log_to_driver=False, logging_level="ERROR")
print(*ray.get([task.remote(Sandbox(workers=1)), Actor.remote().judge.remote()]))
"""


def test_a_sandbox_works_in_a_ray_task_and_in_a_ray_actor(machines):
    started, _ = machines
    command = [sys.executable, "-c", SANDBOXES, started.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.stdout.strip() == "['fail', 'pass'] ['fail', 'pass']", done.stderr


@pytest.mark.timeout(420)
def test_answers_of_workers_are_copied_to_an_address_with_their_shards(machines, plain, tmp_path):
    (run, wanted), (started, _) = plain, machines
    address = f"file://{tmp_path}/store/run"
    with model_server(tmp_path) as server:
        done = run_here(*arguments(server, address, "--work", "a", *on(started, 2)), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert len(server.asked()) <= wanted + 2  # two workers may ask the same at the same time
    check_same(tmp_path / "store" / "run", run)
    found = Segments(Remote(address))
    assert not found.open and count_answers(Remote(address)) == wanted
    assert {"instructions-0000.zst", "self_instruct-0000.zst"} <= set(found.sealed)
    assert any(name.startswith("queries-") for name in found.sealed)


@pytest.mark.timeout(420)  # where three nodes share a busy core
def test_a_cluster_that_loses_a_node_a_worker_and_the_writer_makes_the_same_bytes_and_pays_for_nothing_twice(
    machines, plain, tmp_path
):
    started, mark = machines
    (driver := tmp_path / "driver").mkdir()
    with model_server(driver) as server:
        process = fork_autoif(*arguments(server, "run", *on(started)), cwd=driver)
        wait_for(lambda: len(stages_of(driver / "run")) > 2, process)  # a shard is done, others are under way
        [writer] = find_processes("ray::WriterActor", mark)
        os.kill(writer, signal.SIGKILL)
        os.kill(find_processes("ray::ShardWorker", mark)[0], signal.SIGKILL)
        started.remove_node(next(iter(started.worker_nodes)), allow_graceful=False)
        # What the lost node and worker had in flight, and what they could not hand to the writer, which was gone, too.
        check_ending(process, server, driver, plain, most_lost=IN_FLIGHT)


def test_the_driver_of_a_cluster_is_killed_and_the_same_command_goes_on_without_the_cluster(machines, plain, tmp_path):
    started, mark = machines
    with model_server(tmp_path) as server:
        began = time.time()
        process = fork_autoif(*arguments(server, "run", *on(started)), cwd=tmp_path)
        wait_for(lambda: len(stages_of(tmp_path / "run")) > 2, process)
        os.killpg(process.pid, signal.SIGKILL)
        killed = time.time()
        process.communicate()
        wait_until(lambda: not find_processes("ray::ShardWorker", mark) + find_processes("ray::WriterActor", mark))
        done = run_here(*arguments(server, tmp_path / "run"), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert len(server.asked_again(began, killed)) <= IN_FLIGHT
    assert data_of(tmp_path / "run") == data_of(plain[0])


@pytest.mark.timeout(420)
def test_a_head_that_comes_back_without_what_it_knew_costs_what_was_in_flight_and_its_servers_start_again(
    machines, plain, tmp_path
):
    started, mark = machines
    (driver := tmp_path / "driver").mkdir()
    homes = [tmp_path / name for name in ("fourth", "fifth")]
    for home in homes:
        home.mkdir()
    served = Served("", driver / "requests.log")
    command = f"{sys.executable} {SUPPORT / 'model_server.py'} {served.log} {{port}} {{host}}"
    find_servers = partial(find_processes, f"{sys.executable}\0{SUPPORT / 'model_server.py'}\0{served.log}", mark)
    process = fork_autoif(
        *("run", "quickstart", "--model", "test", "-o", "run", *FEW, *on(started)),
        *("--set", f"models.all.serve={command}", "--set", "models.all.serve_count=2"),
        cwd=driver,
    )
    wait_for(lambda: len(stages_of(driver / "run")) > 2, process)
    served.hold()  # the run can't end meanwhile
    wait_for(lambda: len(find_servers()) == 2, process)
    os.kill(killed := find_servers()[0], signal.SIGKILL)
    wait_for(lambda: len(set(find_servers()) - {killed}) == 2, process)
    _, _, port = started.address.rpartition(":")
    lose_head(started)
    served.release()
    add_nodes(started, homes, gcs_server_port=int(port))  # a head that knows nothing of the one before
    check_ending(process, served, driver, plain, most_lost=4 * IN_FLIGHT)
    wait_until(lambda: not find_servers())
    assert "the Ray cluster was gone for" in (driver / "run" / "run.json").read_text(encoding="utf-8")


async def test_a_server_whose_port_was_taken_meanwhile_is_started_at_another(tmp_path):
    took = tmp_path / "took"
    program = (
        "import http.server, pathlib, sys\n"
        "host, port, took = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])\n"
        "if not took.exists():\n"
        "    took.write_text(str(port))\n"
        "    sys.exit('OSError: [Errno 98] error while attempting to bind: address already in use')\n"
        "class Models(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.end_headers()\n"
        "http.server.HTTPServer((host, port), Models).serve_forever()\n"
    )
    server = ModelServer()
    url = await server.start((sys.executable, "-c", program, "{host}", "{port}", str(took)), 30.0)
    assert isinstance(url, str), url
    assert took.read_text() not in url
    await server.end()
    server._log.close()


@pytest.mark.timeout(420)
def test_a_head_that_stays_away_ends_the_run_in_one_line_and_the_same_command_goes_on(
    machines, plain, tmp_path, monkeypatch
):
    started, _ = machines
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "3")  # Ray's own patience, a minute
    address = started.address
    (driver := tmp_path / "driver").mkdir()
    with model_server(driver) as server:
        process = fork_autoif(*arguments(server, "run", *on(started), "--set", "execution.ray_wait_s=2"), cwd=driver)
        wait_for(lambda: len(stages_of(driver / "run")) > 2, process)
        lose_head(started)
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 2, output
        assert f"the Ray head at {address} is gone" in output
        assert "run the same command again" in output
        assert run_here(*arguments(server, driver / "run"), cwd=driver).returncode == 0
        asked = [key for event, key, _ in server.events() if event == "asked"]
        assert len(asked) - len(set(asked)) <= IN_FLIGHT
    assert data_of(driver / "run") == data_of(plain[0])


def wait_until(reached):
    deadline = time.monotonic() + 200
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def wait_for(reached, process):
    deadline = time.monotonic() + 200
    while not reached():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def completion(text="so", tokens=5):
    return Completion(text, "stop", tokens, tokens)


@pytest.fixture
def writer(tmp_path):
    with closing(AnswerWriter(tmp_path / "completions.sqlite")) as writer:
        yield writer


def test_workers_share_answers_through_the_writer_and_are_told_what_all_have_spent(writer):
    batches = []

    async def exchange(batch: Batch):
        batches.append(batch)
        await asyncio.sleep(0)
        return writer.exchange(batch)

    async def work():
        one, other = SharedAnswers(exchange), SharedAnswers(exchange)
        await one.recall(A, 2)
        assert one.get(A, 2) == {}
        one.note("a sentence")
        storing = asyncio.create_task(one.store(A, {0: completion(), 1: completion("no")}, request=REQUEST, usd=0.5))
        await asyncio.sleep(0)
        assert one.get(A, 1) == {}  # another worker's may be stored first
        assert (one.total().tokens, one.total().usd) == (20, 0.5)
        assert not storing.done()  # the writer has not acknowledged it
        await storing
        await one.flush()
        assert one.get(A, 2) == {}  # a shard is done
        await asyncio.gather(*(other.recall(key, 2) for key in (A, B, A)))
        assert other.get(A, 2) == {0: completion(), 1: completion("no")}
        assert (other.total().tokens, other.total().usd) == (20, 0.5)

    asyncio.run(work())
    assert len(batches) == 3
    assert [(row.sample, row.requests) for _, row in batches[1].rows] == [(0, 1), (1, 0)]
    assert batches[2].keys == ((A, 2), (B, 2))
    assert writer.exchange(batches[1]).total.completions == 2  # a batch that comes again is stored once


def test_workers_share_the_note_of_batches_whose_answers_are_stored(writer):
    async def exchange(batch: Batch):
        return writer.exchange(batch)

    async def work():
        one, other = SharedAnswers(exchange), SharedAnswers(exchange)
        one.note_collected("batch_1")
        await one.flush()
        await other.recall(A, 1)
        assert one.collected() == other.collected() == {"batch_1"}

    asyncio.run(work())
    assert writer._cache.collected() == {"batch_1"}


def test_of_two_workers_that_asked_the_same_both_go_on_with_the_answer_that_was_stored_first(writer):
    async def exchange(batch: Batch):
        return writer.exchange(batch)

    async def work():
        one, other = SharedAnswers(exchange), SharedAnswers(exchange)
        first = await one.store(A, {0: completion("first")}, request=REQUEST, usd=0.5)
        second = await other.store(A, {0: completion("second"), 1: completion("more")}, request=REQUEST, usd=0.5)
        assert first == {0: completion("first")}
        assert second == {0: completion("first"), 1: completion("more")} == other.get(A, 2)

    asyncio.run(work())
    assert writer._cache.get(A, 2) == {0: completion("first"), 1: completion("more")}


class Hand:
    """A worker as the crew sees it, which is at its shards for ever."""

    def __init__(self):
        self.run, self.shards = self, []

    def remote(self, shard):
        self.shards.append(shard)
        return asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(
    ("ready", "starting", "shards", "dealt"),
    [
        (2, 0, 2, [1, 1]),
        (2, 0, 3, [2, 1]),
        (2, 0, 9, [2, 2]),
        (1, 0, 2, [2]),
        (1, 1, 2, [1]),  # the other shard is for who is about to be ready
        (1, 1, 3, [2]),
        (0, 1, 1, []),
    ],
)
async def test_each_worker_gets_a_shard_before_any_gets_a_second_and_none_a_third(ready, starting, shards, dealt):
    crew, hands = Crew(None, SimpleNamespace(send=lambda said: None)), [Hand() for _ in range(ready)]
    crew._ready = dict.fromkeys(hands, 0)
    crew._starting = {asyncio.get_running_loop().create_future(): Hand() for _ in range(starting)}
    crew._waiting.extend(Shard("queries", index, ()) for index in range(shards))
    crew._deal()
    assert sorted((len(hand.shards) for hand in hands), reverse=True) == dealt
    assert len(crew._waiting) == shards - sum(dealt)


async def test_a_shard_that_kills_its_workers_is_named_and_the_one_beside_it_is_done():
    said, hired = [], []

    def hire() -> None:
        hired.append(Hand())
        crew._ready[hired[-1]] = 0

    cluster = SimpleNamespace(exceptions=ray.exceptions, kill=lambda actor: None)
    crew = Crew(cluster, SimpleNamespace(send=said.append))
    crew._hire = hire
    hire()
    crew._waiting.extend(Shard("queries", index, ()) for index in range(4))
    failure = None
    while not failure:
        crew._deal()
        assert crew._running, "nothing goes on"
        dying = {hand for hand, shard in crew._running.values() if shard.index == 1}
        for future, (hand, shard) in crew._running.items():
            if hand in dying:
                future.set_exception(ActorDiedError())
            else:
                future.set_result((ShardResult("queries", shard.index, ()), 0))
        failure = crew._note_workers()
    assert "5 workers of the cluster died at queries-0001, the last with" in str(failure)
    assert [each.result.index for each in said if isinstance(each, Done)] == [0]
    assert len(hired) == 6  # the first died at two shards, and neither is blamed for that


def test_a_shard_that_is_done_forgets_its_answers_and_not_those_of_the_shard_beside_it(writer):
    async def exchange(batch: Batch):
        await asyncio.sleep(0.01)
        return writer.exchange(batch)

    async def ask(answers, shard, keys, stop):
        ASKED_FOR.set(shard)
        while not stop.is_set():
            for key in keys:
                await answers.recall(key, 1)
                await answers.store(key, {0: completion()}, request=REQUEST, usd=0)
        held = [answers.get(key, 1) for key in keys]
        await answers.flush()
        return held

    async def work():
        answers, first, second = SharedAnswers(exchange), asyncio.Event(), asyncio.Event()
        one = asyncio.create_task(ask(answers, "queries-0000", [A], first))
        other = asyncio.create_task(ask(answers, "queries-0001", [A, B], second))
        await asyncio.sleep(0.2)
        first.set()
        async with asyncio.timeout(1):  # although the other shard hands over answers all the time
            assert await one == [{0: completion()}]
        assert answers.get(A, 1) == {0: completion()}
        second.set()
        assert await other == [{0: completion()}] * 2
        assert (answers.get(A, 1), answers.get(B, 1)) == ({}, {})

    asyncio.run(work())


def test_what_the_writer_can_not_store_ends_the_shard_and_nothing_waits_for_it(tmp_path):
    async def exchange(batch):
        raise StoreError("no space left")

    async def work():
        answers = SharedAnswers(exchange)
        with pytest.raises(StoreError, match="no space left"):
            await answers.recall(A, 1)
        with pytest.raises(StoreError, match="no space left"):
            await answers.store(A, {0: completion()}, request=REQUEST, usd=0)
        with pytest.raises(StoreError, match="no space left"):
            await answers.flush()

    asyncio.run(work())


def test_the_writer_hands_its_errors_over_as_values(tmp_path):
    writer = WriterActor(tmp_path / "completions.sqlite", None, os.getpid())
    writer._writer.close()
    assert isinstance(pickle.loads(writer.exchange(pickle.dumps(Batch(keys=((A, 1),))))), StoreError)


@pytest.mark.parametrize("changed", ["pipeline.py", "prompts/paper/scoring.txt"])
def test_nodes_differ_that_have_other_files_of_the_package_whatever_is_in_them(tmp_path, monkeypatch, changed):
    monkeypatch.setattr(autoif, "__file__", str(tmp_path / "__init__.py"))
    for path in (tmp_path / changed, tmp_path / "__pycache__" / "pipeline.pyc"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("one")
    before = Node.here()
    (tmp_path / "__pycache__" / "pipeline.pyc").write_text("other")
    assert Node.here() == before
    (tmp_path / changed).write_text("other")
    assert Node.here().program != before.program


def test_a_node_with_other_code_is_refused_before_it_reads_the_settings():
    found = asyncio.run(ShardWorker().open(Node("10.0.0.1", "autoif 0.0 on Python 3.2"), b"none", {}, None))
    assert isinstance(found, ConfigError)
    assert "and this machine autoif 0.0 on Python 3.2: install the same on both" in str(found)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/v1", "http://localhost:8000/v1", "http://[::1]:8000/v1"])
def test_a_model_that_only_the_driver_reaches_is_named_on_another_node(tmp_path, url):
    settings = ToolSettings(load_config("paper", [f"models.all.base_url={url}"]), tmp_path)
    check_addresses(settings, Node("10.0.0.1", ""), Node("10.0.0.1", ""))
    with pytest.raises(ConfigError, match="means each node itself"):
        check_addresses(settings, Node("10.0.0.2", ""), Node("10.0.0.1", ""))


def test_a_worker_has_its_share_of_the_requests_in_flight_and_no_file_of_answers(tmp_path):
    config = load_config("paper", ["models.all.concurrency=10"])
    shared = share_settings(ToolSettings(config, tmp_path / "completions.sqlite"), 4)
    assert shared.config.models.writer.concurrency == 3
    assert shared.config.sandbox.workers == 1
    assert not shared.completions.parent.exists()


def test_a_worker_that_has_outlived_its_crew_stores_what_it_has_and_asks_for_no_more(tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait()
    writer = WriterActor(tmp_path / "completions.sqlite", None, gone.pid)
    rows = list_rows(A, {0: completion()}, stage=REQUEST.stage, usd=0.5)
    said = pickle.loads(writer.exchange(pickle.dumps(Batch(rows=tuple(("", row) for row in rows)))))
    assert "has left this cluster" in str(said)
    with closing(writer._writer):
        assert writer._writer._cache.get(A, 1) == {0: completion()}


def test_a_crew_that_still_looks_for_its_head_ends_when_the_command_is_gone():
    async def hang_up(address):
        crew = await _CrewProcess.start()
        crew.link.send(Connect(address, 1))
        await crew.leave(30)
        return crew._process.returncode

    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert asyncio.run(hang_up(f"127.0.0.1:{silent.getsockname()[1]}")) == 0


def test_a_crew_that_reads_no_more_is_ended_in_time_whatever_it_was_sent():
    async def leave():
        crew = await _CrewProcess.start()
        os.kill(crew._process.pid, signal.SIGSTOP)
        crew.link.send(b"x" * 10_000_000)
        await asyncio.wait_for(crew.leave(0.5), 20)
        return crew._process.returncode

    assert asyncio.run(leave()) == -signal.SIGKILL


def test_an_error_that_nobody_foresaw_in_a_worker_ends_the_run_at_once_with_its_words(tmp_path, monkeypatch):
    crews, start = [], _CrewProcess.start

    async def start_and_count():
        crews.append(await start())
        return crews[-1]

    async def deal():
        yield Shard("instructions", 0, (None,))  # no record

    async def work():
        settings = ToolSettings(
            load_config("quickstart", ["models.all.base_url=http://127.0.0.1:9/v1"]), tmp_path / "c"
        )
        async for _ in RayEngine(1).run(deal(), settings, lambda *event: None, lambda result: []):
            pass

    monkeypatch.setattr(_CrewProcess, "start", start_and_count)
    with pytest.raises(RuntimeError, match="AttributeError"):
        asyncio.run(work())
    assert len(crews) == 1


def test_what_ray_raised_in_an_actor_is_no_fault_of_the_code_there_but_what_can_not_be_sent_is():
    assert "in line 7" in str(read_fault(RayTaskError("run", "Traceback\nin line 7", RayError("can't be pickled"))))
    with pytest.raises(RayTaskError):
        raise read_fault(RayTaskError("run", "Traceback", ActorDiedError()))


def test_the_weakest_sandbox_of_the_nodes_speaks_for_the_run(tmp_path):
    engine = RayEngine(2)
    engine._nodes = [
        Node("10.0.0.1", "", "cpython: landlock, seccomp, namespaces"),
        *(Node(f"10.0.0.{number}", "", "cpython: landlock, seccomp") for number in (2, 3, 2)),
    ]
    assert engine.sandbox == "cpython: landlock, seccomp"
    engine._say_how_it_went(tmp_path / "completions.sqlite")
    with CompletionCache(tmp_path / "completions.sqlite") as cache:
        assert [*cache.notes()] == [
            "the nodes' sandboxes differ, and the weakest speaks for the run: cpython: landlock, seccomp "
            "(10.0.0.2, 10.0.0.3); cpython: landlock, seccomp, namespaces (10.0.0.1)"
        ]


def test_a_driver_outside_the_cluster_is_refused():
    with pytest.raises(ConfigError, match="on a node of the cluster"):
        RayEngine(2, "ray://10.0.0.1:10001")


def test_a_cluster_that_is_not_there_is_refused_at_once():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and doesn't listen
        with pytest.raises(ConfigError, match="no Ray cluster answers at"):
            RayEngine(2, f"127.0.0.1:{taken.getsockname()[1]}")


def test_a_head_that_only_its_own_machine_can_reach_is_refused_at_once():
    here = get_node_ip_address()
    if here == "127.0.0.1":
        pytest.skip("this machine has no other address")
    refused = pytest.raises(ConfigError, match=f"refused at {here}, by which Ray replaces localhost")
    with socket.create_server(("127.0.0.1", 0)) as tunnel, refused:
        RayEngine(2, f"localhost:{tunnel.getsockname()[1]}")


def test_what_listens_and_is_no_head_of_a_cluster_is_given_up_in_one_line(monkeypatch):
    monkeypatch.setattr(engine, "_CONNECT_S", 1.0)
    with socket.create_server((get_node_ip_address(), 0)) as other:
        address = f"{get_node_ip_address()}:{other.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"no Ray head answers at {address} within 1 s"):
            asyncio.run(RayEngine(2, address)._connect())
