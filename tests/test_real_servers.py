"""The client against two servers that nobody here wrote: llama.cpp's own, and the one that comes with transformers.

The first understands everything (samples, schemas, log-probabilities); the second silently ignores all three. Both run
SmolLM2-135M here, the first from its GGUF file, the second from a folder made of it.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoif.errors import ModelError
from autoif.models.client import ChatClient
from autoif.models.embedded import EmbeddedServer
from autoif.models.endpoint import Endpoint
from autoif.models.requests import Request
from support.answers import ReadAnswers

pytestmark = pytest.mark.timeout(600)  # the weights are converted once

MODEL = "smollm2-135m"
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green", "blue"]}, "letters": {"type": "integer"}},
    "required": ["colour", "letters"],
    "additionalProperties": False,
}


def ask(text: str = "Name an animal.", **fields: object) -> Request:
    settings: dict[str, object] = {"max_tokens": 8, "temperature": 1.0, "seed": 11, **fields}
    return Request("writer", "test", messages=(("user", text),), **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def llama() -> Iterator[Endpoint]:
    # One thread: llama.cpp's threads wait for each other by spinning, which is slow on a machine that does other
    # things.
    with EmbeddedServer(MODEL, slots=4, context_tokens=512, threads=1) as server:
        yield server.endpoint(Endpoint(model=MODEL))


@pytest.fixture(scope="module")
def transformers(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("transformers"), "serve", smollm2]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    empty = tmp_path_factory.mktemp("hub")
    log = empty / "log"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(empty), "OMP_NUM_THREADS": "1"}
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process:
        try:
            _wait_until_it_serves(f"http://127.0.0.1:{port}/health", process, log)
            yield Endpoint(base_url=f"http://127.0.0.1:{port}/v1", model=str(smollm2), api_key_env="")
        finally:
            process.terminate()


def _wait_until_it_serves(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"transformers serve does not come up:\n{log.read_text()[-2000:]}")


# llama.cpp


async def test_llama_cpp_samples_several_answers_to_one_request(llama: Endpoint, cache: ReadAnswers) -> None:
    async with ChatClient({"writer": llama}, cache) as client:
        completions = await client.sample(ask(samples=4))
        assert cache.total().requests == 1
        assert cache.total().prompt_tokens > 20
    assert len({each.text for each in completions}) > 1
    assert all(each.text and each.completion_tokens > 0 for each in completions)
    assert {each.finish_reason for each in completions} <= {"stop", "length"}


async def test_llama_cpp_gives_more_samples_than_it_has_slots(llama: Endpoint, cache: ReadAnswers) -> None:
    async with ChatClient({"writer": llama}, cache) as client:
        assert len(await client.sample(ask(samples=6))) == 6
        assert cache.total().requests == 2


async def test_samples_of_llama_cpp_are_those_of_their_seeds(
    llama: Endpoint, cache: ReadAnswers, tmp_path: Path
) -> None:
    async with ChatClient({"writer": llama}, cache) as client:
        together = await client.sample(ask(samples=3))
    async with ReadAnswers(tmp_path / "other.sqlite") as other, ChatClient({"writer": llama}, other) as client:
        alone = [(await client.sample(ask(seed=11 + index)))[0] for index in range(3)]
    assert [each.text for each in together] == [each.text for each in alone]


async def test_llama_cpp_keeps_to_a_schema(llama: Endpoint, cache: ReadAnswers) -> None:
    async with ChatClient({"writer": llama}, cache) as client:
        completions = await client.sample(ask("A colour, as JSON.", json_schema=SCHEMA, samples=2, max_tokens=60))
    for completion in completions:
        answer = json.loads(completion.text)
        assert answer["colour"] in {"red", "green", "blue"}
        assert isinstance(answer["letters"], int)


@pytest.mark.parametrize("chat", [False, True])
async def test_llama_cpp_gives_log_probabilities(llama: Endpoint, cache: ReadAnswers, chat: bool) -> None:
    given: dict[str, object] = {"messages": (("user", "Paris?"),)} if chat else {"prompt": "The capital of France is"}
    request = Request("judge", "test", **given, max_tokens=1, top_logprobs=5)  # type: ignore[arg-type]
    async with ChatClient({"judge": llama}, cache) as client:
        [completion] = await client.sample(request)
    values = [value for _, value in completion.logprobs]
    assert len(values) == 5
    assert values == sorted(values, reverse=True)
    assert all(value <= 0 for value in values)
    if not chat:
        assert " Paris" in dict(completion.logprobs)


async def test_llama_cpp_refuses_a_prompt_that_is_too_long_and_goes_on(llama: Endpoint, cache: ReadAnswers) -> None:
    async with ChatClient({"writer": llama}, cache) as client:
        refused = await client.sample(ask("cat " * 2000, samples=2))
        assert [(each.text, each.finish_reason) for each in refused] == [("", "refused")] * 2
        assert "exceeds the available context size" in refused[0].detail
        assert (await client.sample(ask()))[0].text


async def test_a_wrong_path_at_llama_cpp_is_named(llama: Endpoint, cache: ReadAnswers) -> None:
    wrong = llama.model_copy(update={"base_url": llama.base_url + "/nowhere"})
    async with ChatClient({"writer": wrong}, cache) as client:
        with pytest.raises(ModelError, match=r"has no such page .HTTP 404.: base_url should be the API's"):
            await client.sample(ask())


# transformers


async def test_transformers_is_asked_for_each_sample_by_itself(transformers: Endpoint, cache: ReadAnswers) -> None:
    async with ChatClient({"writer": transformers}, cache) as client:
        completions = await client.sample(ask(samples=3))
        assert cache.total().requests == 3
        assert cache.total().completion_tokens == sum(each.completion_tokens for each in completions) > 0
        assert cache.total().prompt_tokens == 3 * completions[0].prompt_tokens > 0
    assert len({each.text for each in completions}) > 1
    assert cache.usage()["test"].requests == 3


async def test_what_transformers_ignores_does_no_harm(transformers: Endpoint, cache: ReadAnswers) -> None:
    request = Request("writer", "test", prompt="The capital of France is", max_tokens=2, top_logprobs=5)
    async with ChatClient({"writer": transformers}, cache) as client:
        [completion] = await client.sample(ask("A colour, as JSON.", json_schema=SCHEMA))
        assert completion.text
        [plain] = await client.sample(request)
    assert (plain.text.strip(), plain.finish_reason, plain.logprobs) == ("Paris.", "length", ())


async def test_an_unknown_model_at_transformers_is_told_in_its_words(
    transformers: Endpoint, cache: ReadAnswers
) -> None:
    unknown = transformers.model_copy(update={"model": "no/such-model"})
    async with ChatClient({"writer": unknown}, cache) as client:
        with pytest.raises(ModelError, match=r"refuses every request: Server is pinned to .* 'no/such-model'"):
            await client.sample(ask())
