"""The embedded server: what it becomes to the client, what it leaves behind, and what it says when it can't start."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from autoif.errors import ModelError
from autoif.models import embedded
from autoif.models.client import ChatClient
from autoif.models.download import ensure_model
from autoif.models.embedded import EmbeddedServer
from autoif.models.endpoint import Endpoint
from autoif.models.requests import Request
from autoif.models.runtimes import Runtime, is_installed
from autoif.models.stored_answers import StoredAnswers

MODEL = "smollm2-135m"


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_running_server_takes_the_place_of_the_embedded_endpoint_and_goes_when_it_is_left() -> None:
    base = Endpoint(model=MODEL, concurrency=64, timeout_s=10)
    with EmbeddedServer(MODEL, slots=2, context_tokens=256, threads=1) as server:
        endpoint = server.endpoint(base)
        address = urlsplit(endpoint.base_url)
        assert (address.hostname, address.path) == ("127.0.0.1", "/v1")
        assert endpoint.identity == base.identity == "smollm2-135m@b179c9523d0e"
        assert (endpoint.concurrency, endpoint.api_key_env, endpoint.read_once) == (2, "", True)
        assert endpoint.timeout_s > base.timeout_s
        assert answers(address.port or 0)
    assert not answers(address.port or 0)
    with pytest.raises(ModelError, match="smollm2-135m is not running"):
        server.endpoint(base)


def test_a_server_with_an_open_request_is_left_at_once() -> None:
    body = b'{"prompt": "Once upon a time", "n": 2, "max_tokens": 900, "temperature": 2}'
    head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    with EmbeddedServer(MODEL, slots=2, context_tokens=1024, threads=1) as server:
        port = urlsplit(server.endpoint(Endpoint()).base_url).port
        request = socket.create_connection(("127.0.0.1", port or 0))
        request.sendall(head % len(body) + body)
        time.sleep(0.2)
        start = time.monotonic()
    assert time.monotonic() - start < 6  # the answer takes longer
    request.close()


def test_a_server_starts_where_files_are_called_as_modules_of_python_are(tmp_path, monkeypatch) -> None:
    for name in ("json", "types", "random", "xllamacpp"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('this is no {name}')")
    monkeypatch.chdir(tmp_path)
    with EmbeddedServer(MODEL, slots=1, context_tokens=256, threads=1) as server:
        assert server.explain_end() is None


@pytest.mark.parametrize("keeps_the_pipe", [False, True], ids=["alone", "with a forked child"])
def test_a_server_does_not_outlive_the_process_that_started_it(keeps_the_pipe: bool) -> None:
    code = (
        "import os, signal, time; from autoif.models.embedded import EmbeddedServer\n"
        "from autoif.models.endpoint import Endpoint\n"
        f"with EmbeddedServer({MODEL!r}, slots=1, context_tokens=256, threads=1) as server:\n"
        "    print(server.endpoint(Endpoint()).base_url, flush=True)\n"
        f"    if {keeps_the_pipe} and os.fork() == 0: time.sleep(40); os._exit(0)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        port = urlsplit(starter.stdout.readline().strip()).port
        assert starter.wait() == -signal.SIGKILL
        deadline = time.monotonic() + 20
        while answers(port or 0):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(ModelError, match=r"pip install 'autoif\[embedded\]', or set base_url"), EmbeddedServer(MODEL):
        pass


def test_an_unknown_model_is_named_before_anything_is_started() -> None:
    with pytest.raises(ModelError, match="no embedded model is called 'gpt'"):
        EmbeddedServer("gpt")


def test_a_file_that_llama_cpp_cannot_load_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(1000))
    monkeypatch.setattr(embedded, "ensure_model", lambda name: tmp_path / "broken.gguf")
    with (
        pytest.raises(ModelError, match=r"llama\.cpp can't load .*broken\.gguf .*: free memory"),
        EmbeddedServer(MODEL),
    ):
        pass


@pytest.mark.parametrize("runtime", ["llama.cpp", "openvino"])
def test_a_file_of_ones_own_that_is_cut_is_named_with_what_to_look_at(tmp_path: Path, runtime: Runtime) -> None:
    if not is_installed(runtime):
        pytest.skip("OpenVINO has no wheel for this machine")
    with ensure_model(MODEL).open("rb") as whole:
        (tmp_path / "cut.gguf").write_bytes(whole.read(3_000_000))
    with (
        pytest.raises(
            ModelError, match=r"can't load .*cut\.gguf \((?!None|it ended).+\): see that the file is whole, "
        ),
        EmbeddedServer(str(tmp_path / "cut.gguf"), runtime=runtime),
    ):
        pass


def test_a_server_that_dies_on_the_way_is_named_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\necho 'out of luck' >&2\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(embedded, "ensure_model", lambda name: tmp_path / "model.gguf")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ModelError, match=r"llama\.cpp can't load .* \(out of luck\)"), EmbeddedServer(MODEL):
        pass


def test_a_library_of_the_system_that_is_not_there_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = "ImportError: libgomp.so.1: cannot open shared object file: No such file or directory"  # of python:3-slim
    (tmp_path / "python").write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(embedded, "ensure_model", lambda name: tmp_path / "model.gguf")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ModelError, match=r"llama\.cpp needs .*libgomp\.so\.1.* apt-get install libgomp1\)"):
        EmbeddedServer(MODEL).__enter__()


def test_a_model_whose_process_is_gone_is_not_waited_for(tmp_path: Path) -> None:
    async def ask(server: EmbeddedServer) -> None:
        endpoint = server.endpoint(Endpoint())
        async with (
            StoredAnswers(tmp_path / "answers.sqlite") as answers,
            ChatClient({"writer": endpoint}, answers) as client,
        ):
            assert server._process is not None
            server._process.kill()
            await client.sample(Request(role="writer", stage="test", messages=(("user", "Hello"),), max_tokens=8))

    start = time.monotonic()
    with (
        EmbeddedServer(MODEL, slots=1, context_tokens=256, threads=1) as server,
        pytest.raises(ModelError, match=r"llama\.cpp ended while it served smollm2-135m \(SIGKILL\): free memory"),
    ):
        asyncio.run(ask(server))
    assert time.monotonic() - start < 30
