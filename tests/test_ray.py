"""Runs on a Ray cluster whose nodes share no home and no folder with the driver, and lose processes."""

import asyncio
import os
import signal
import socket
import time
import uuid
from pathlib import Path

import pytest

from autoif.config import load_config
from autoif.engines.answers import AnswerWriter, Batch, SharedAnswers
from autoif.engines.ray import Node, RayEngine, ShardWorker, WriterActor, _check_addresses, _share
from autoif.errors import ConfigError, StoreError
from autoif.models.requests import Completion, Request
from autoif.tools import ToolSettings
from support.command import run_here
from support.processes import data_of, model_server, stages_of, start_autoif

IN_FLIGHT = 6
A, B = "a" * 32, "b" * 32
"""Keys of requests."""
FEW = ("--set", "self_instruct.max_instructions=6", "--set", f"models.all.concurrency={IN_FLIGHT}", "--quiet")
REQUEST = Request("writer", "scoring", messages=(("user", "x" * 1000),))


def arguments(server, run, *more):
    return ["run", "quickstart", "--base-url", server.url, "--model", "test", "-o", str(run), *FEW, *more]


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Three nodes of a core each; two have a home and a folder of their own."""
    monkeypatch.setenv("AUTOIF_TEST_CLUSTER", mark := uuid.uuid4().hex)
    homes = [tmp_path / name for name in ("second", "third")]
    for home in homes:
        home.mkdir()
    started, nodes = start_cluster(homes)
    yield started, nodes, mark
    started.shutdown()


def start_cluster(homes, tries=3):
    """Start a head and a node for each home. Ray gives each 30 seconds, which a busy machine may need twice."""
    from ray.cluster_utils import Cluster

    started = Cluster()
    try:
        started.add_node(wait=False, num_cpus=1, include_dashboard=False, object_store_memory=10**8)
        more = {"num_cpus": 1, "object_store_memory": 10**8}
        nodes = [started.add_node(wait=False, env_vars={"HOME": str(home)}, **more) for home in homes]
        started.wait_for_nodes(timeout=120)
    except Exception:  # of no narrower kind
        started.shutdown()
        if tries == 1:
            raise
        return start_cluster(homes, tries - 1)
    return started, nodes


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


@pytest.mark.timeout(420)  # where three nodes share a busy core
def test_a_cluster_that_loses_a_node_a_worker_and_the_writer_makes_the_same_bytes_and_pays_for_nothing_twice(
    cluster, tmp_path
):
    started, (second, _), mark = cluster
    (driver := tmp_path / "driver").mkdir()
    with model_server(driver) as server:
        more = ("--engine", "ray", "--ray-address", started.address, "--workers", "3")
        process = start_autoif(*arguments(server, "run", *more), cwd=driver)
        wait_for(lambda: len(stages_of(driver / "run")) > 2, process)  # a shard is done, others are under way
        [writer] = find_processes("ray::WriterActor", mark)
        os.kill(writer, signal.SIGKILL)
        os.kill(find_processes("ray::ShardWorker", mark)[0], signal.SIGKILL)
        started.remove_node(second, allow_graceful=False)
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0, output
        asked = [key for event, key, _ in server.events() if event == "asked"]
        # What the lost node and worker had in flight, and what they could not hand to the writer, which was gone, too.
        assert len(asked) - len(set(asked)) <= IN_FLIGHT
        assert list(tmp_path.rglob("completions.sqlite")) == [driver / "run" / "completions.sqlite"]
        events = len(server.events())
        assert run_here(*arguments(server, driver / "run"), cwd=driver).returncode == 0  # all answers are in the folder
        assert len(server.events()) == events
        plain = run_here(*arguments(server, driver / "plain"), cwd=driver)
        assert plain.returncode == 0, plain.stderr
    assert data_of(driver / "run") == data_of(driver / "plain")
    assert stages_of(driver / "run") == stages_of(driver / "plain")


def test_the_driver_of_a_cluster_is_killed_and_the_same_command_goes_on_without_the_cluster(cluster, tmp_path):
    started, _, mark = cluster
    with model_server(tmp_path) as server:
        more = ("--engine", "ray", "--ray-address", started.address, "--workers", "3")
        began = time.time()
        process = start_autoif(*arguments(server, "run", *more), cwd=tmp_path)
        wait_for(lambda: len(stages_of(tmp_path / "run")) > 2, process)
        os.killpg(process.pid, signal.SIGKILL)
        killed = time.time()
        process.communicate()
        deadline = time.monotonic() + 120
        while find_processes("ray::ShardWorker", mark) or find_processes("ray::WriterActor", mark):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        done = run_here(*arguments(server, tmp_path / "run"), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert len(server.asked_again(began, killed)) <= IN_FLIGHT
        plain = run_here(*arguments(server, tmp_path / "plain"), cwd=tmp_path)
        assert plain.returncode == 0, plain.stderr
    assert data_of(tmp_path / "run") == data_of(tmp_path / "plain")


def wait_for(reached, process):
    deadline = time.monotonic() + 200
    while not reached():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def completion(text="so", tokens=5):
    return Completion(text, "stop", tokens, tokens)


def test_workers_share_answers_through_the_writer_and_are_told_what_all_have_spent(tmp_path):
    writer = AnswerWriter(tmp_path / "completions.sqlite")
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
        assert one.get(A, 1) == {0: completion()}
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
    assert [each.request.text for each in batches[1].answers] == [""]
    assert batches[2].keys == ((A, 2), (B, 2))
    assert writer.exchange(batches[1])[1].completions == 2  # a batch that comes again is stored once


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
    writer = WriterActor(tmp_path / "completions.sqlite")
    writer._cache.close()
    assert isinstance(writer.exchange(Batch(keys=((A, 1),))), StoreError)


def test_a_node_with_other_code_is_refused_before_it_reads_the_settings():
    found = asyncio.run(ShardWorker().open(Node("10.0.0.1", "autoif 0.0 on Python 3.2"), b"none", {}, None))
    assert isinstance(found, ConfigError)
    assert "and this machine autoif 0.0 on Python 3.2: install the same on both" in str(found)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/v1", "http://localhost:8000/v1", "http://[::1]:8000/v1"])
def test_a_model_that_only_the_driver_reaches_is_named_on_another_node(tmp_path, url):
    settings = ToolSettings(load_config("paper", [f"models.all.base_url={url}"]), tmp_path)
    _check_addresses(settings, Node("10.0.0.1", ""), Node("10.0.0.1", ""))
    with pytest.raises(ConfigError, match="means each node itself"):
        _check_addresses(settings, Node("10.0.0.2", ""), Node("10.0.0.1", ""))


def test_a_worker_has_its_share_of_the_requests_in_flight_and_no_file_of_answers(tmp_path):
    config = load_config("paper", ["models.all.concurrency=10"])
    shared = _share(ToolSettings(config, tmp_path / "completions.sqlite"), 4)
    assert shared.config.models.writer.concurrency == 3
    assert shared.config.sandbox.workers == 1
    assert not shared.completions.parent.exists()


def test_a_driver_outside_the_cluster_is_refused():
    with pytest.raises(ConfigError, match="on a node of the cluster"):
        RayEngine(2, "ray://10.0.0.1:10001")


def test_a_cluster_that_is_not_there_is_refused_at_once():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and doesn't listen
        with pytest.raises(ConfigError, match="no Ray cluster answers at"):
            RayEngine(2, f"127.0.0.1:{taken.getsockname()[1]}")
