"""Online DPO through an endpoint: each round's policy is the one that is served, or nothing is sampled."""

import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from autoif.errors import ConfigError, ModelError
from autoif.models.endpoint import Endpoint
from autoif.training.online_dpo import train_online
from autoif.training.programs import list_served, match_policy, running, serve_policy
from support.online_dpo import make_online_request, write_place

SERVER = Path(__file__).parent / "support/policy_server.py"


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return write_place(tmp_path_factory.mktemp("served"))


@pytest.fixture
def endpoint() -> Endpoint:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return Endpoint(base_url=f"http://127.0.0.1:{port}/v1", api_key_env="", retry_wait_s=0.01)


def command_for(endpoint: Endpoint) -> list[str]:
    return [sys.executable, str(SERVER), endpoint.base_url.rsplit(":", 1)[1].removesuffix("/v1")]


def wait_for(endpoint: Endpoint) -> None:
    deadline = time.monotonic() + 120
    while list_served(endpoint) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_server_of_each_rounds_policy_is_started_and_ended(place, endpoint, tmp_path):
    serve = " ".join([*command_for(endpoint), "{model}"])
    request = make_online_request(place, tmp_path / "out", backend=endpoint, serve=serve)
    said: list[str] = []
    record = train_online(request, said.append)
    assert record["online"]["sampler"] == "endpoint"
    assert all(row["trained"] for row in record["rounds"])
    for policy in (place / "model", tmp_path / "out/round-1/model"):
        assert any(line.startswith(f"starting a server of {policy};") for line in said)
    assert '"POST /v1/chat/completions' in (tmp_path / "out/round-2/server.log").read_text("utf-8")
    assert list_served(endpoint) is None


def test_an_endpoint_that_serves_an_older_policy_ends_the_round_before_it_begins(place, endpoint, tmp_path):
    request = make_online_request(place, tmp_path / "out", backend=endpoint)
    said: list[str] = []
    with running([*command_for(endpoint), request.model], subprocess.DEVNULL, "test"):
        wait_for(endpoint)
        with pytest.raises(ModelError) as error:
            train_online(request, said.append)
    trained = str(tmp_path / "out/round-1/model")
    assert f"serves {request.model}, and this round samples from {trained}: serve that under this name" in str(
        error.value
    )
    assert not (tmp_path / "out/round-2/samples.jsonl").exists()
    with running([*command_for(endpoint), trained], subprocess.DEVNULL, "test"):
        wait_for(endpoint)
        record = train_online(replace(request, resume=True), said.append)
    assert record["status"] == "complete"


def test_an_endpoint_that_does_not_answer_is_said_with_what_to_serve(place, endpoint, tmp_path):
    request = make_online_request(place, tmp_path / "out", backend=endpoint)
    with pytest.raises(ModelError, match=r"can't be asked what it serves, and this round samples from .*/model: serve"):
        train_online(request, lambda _: None)


def test_the_folder_of_a_policy_is_known_under_another_path(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    assert match_policy(["other", str(tmp_path / "model")], "model") == str(tmp_path / "model")
    assert match_policy(["./model"], str(tmp_path / "model")) == "./model"
    assert match_policy(["Qwen/Qwen2-7B"], "Qwen/Qwen2-7B") == "Qwen/Qwen2-7B"
    assert match_policy(["Qwen/Qwen2-7B-Instruct"], "Qwen/Qwen2-7B") is None


def test_a_server_that_cannot_start_is_said_with_its_last_words(endpoint, tmp_path):
    def serve(command: str) -> None:
        with serve_policy(command, endpoint, "model", tmp_path / "log", print):
            raise AssertionError("nothing is served")

    with pytest.raises(ModelError, match=r"--serve ended with exit code 3: no GPU for model \("):
        serve(f"{sys.executable} -c \"import sys; print('no GPU for', sys.argv[1]); sys.exit(3)\" {{model}}")
    with pytest.raises(ConfigError, match="--serve: no-such-program can't be started"):
        serve("no-such-program {model}")
    with pytest.raises(ConfigError, match="can't be read: No closing quotation"):
        serve('vllm "serve {model}')


def test_a_server_is_not_started_where_another_one_answers(endpoint, tmp_path):
    with running([*command_for(endpoint), "old"], subprocess.DEVNULL, "test"):
        wait_for(endpoint)
        with (
            pytest.raises(ModelError, match="already: end it, or leave --serve out"),
            serve_policy("true", endpoint, "model", tmp_path / "log", print),
        ):
            raise AssertionError("it is another server")


def test_a_program_is_ended_with_all_that_it_started(tmp_path):
    note = tmp_path / "pid"
    script = f"sleep 300 & echo $! > {note}; wait"
    with running(["sh", "-c", script], subprocess.DEVNULL, "test") as process:
        while not (note.exists() and note.read_text("utf-8").strip()):
            time.sleep(0.01)
    assert process.returncode is not None
    state = Path(f"/proc/{note.read_text('utf-8').strip()}/stat")
    deadline = time.monotonic() + 60
    while state.exists() and " Z " not in state.read_text("utf-8"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
