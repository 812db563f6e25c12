"""Sampling through an endpoint (a real server on the loopback interface) and through a stand-in for vLLM."""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import pytest
from aiohttp import web

from autoif.errors import ConfigError, ModelError, StoreError
from autoif.models.dialect import NEUTRAL
from autoif.models.endpoint import Endpoint
from autoif.models.requests import Completion
from autoif.sampling import Sample, SamplingPrompt, SamplingSettings, open_sampler, sample_all
from autoif.sampling.endpoint import EndpointSampler
from autoif.sampling.settings import Draw
from support.stub_server import Body, Reply, StubServer, ok, says, status
from support.tiny_model import write_tiny_model

SETTINGS = SamplingSettings(responses=2, max_tokens=6, seed=3)
PROMPTS = tuple(
    SamplingPrompt(id=word, messages=({"role": "user", "content": f"Say {word}."},)) for word in ("tea", "milk")
)
EOS, LETTER_A = 1, 6
"""Tokens of the tiny model."""


async def ask(server: StubServer, file: Path, **fields: object) -> list[Sample]:
    endpoint = Endpoint(base_url=server.url, model="policy", api_key_env="", retry_wait_s=0.01, **fields)  # type: ignore[arg-type]
    return await asyncio.to_thread(
        sample_all, PROMPTS, SETTINGS, lambda: open_sampler("", SETTINGS, endpoint), file, print
    )


async def test_an_endpoint_is_asked_for_each_response_with_a_seed_of_its_own(tmp_path):
    async with StubServer() as server:
        samples = await ask(server, tmp_path / "one.jsonl")
        again = await ask(server, tmp_path / "two.jsonl")
    assert [(each.prompt_id, each.index) for each in samples] == [("tea", 0), ("tea", 1), ("milk", 0), ("milk", 1)]
    assert samples == again  # the server's answers name the seeds
    assert len({each.text for each in samples}) == 4
    assert {(body["model"], body["temperature"], body["max_tokens"]) for body in server.bodies} == {("policy", 0.8, 6)}
    assert len({body["seed"] for body in server.bodies}) == 4


async def test_an_endpoint_is_asked_for_the_plain_distribution(tmp_path):
    async with StubServer() as server:
        await ask(server, tmp_path / "samples.jsonl")
    assert all({name: body.get(name) for name in NEUTRAL} == NEUTRAL for body in server.bodies)
    assert {(body["top_k"], body["min_p"], body["repetition_penalty"]) for body in server.bodies} == {(-1, 0, 1)}


def refuses(words: str, *names: str) -> Reply:
    """Refuse a request that has one of these fields, as many servers do with what they don't know."""

    async def reply(request: web.Request, body: Body) -> web.StreamResponse:
        found = [name for name in names if name in body]
        return await (status(400, words.format(found[0])) if found else ok())(request, body)

    return reply


@pytest.mark.parametrize(
    ("words", "names", "kept"),
    [
        ("Unrecognized request argument supplied: {}", ("top_k", "min_p"), {"presence_penalty", "frequency_penalty"}),
        ("Extra inputs are not permitted: body.{}", ("repetition_penalty",), {"presence_penalty", "frequency_penalty"}),
        ("top-k must be 1 or more", ("top_k",), {"presence_penalty", "frequency_penalty"}),
        ("Unsupported parameter: '{}' is not supported with this model", tuple(NEUTRAL), set()),
        ("Bad request", ("top_k",), {"presence_penalty", "frequency_penalty"}),
        ("Bad request", tuple(NEUTRAL), set()),
    ],
)
async def test_a_server_that_refuses_neutral_values_is_asked_without_them_from_then_on(words, names, kept):
    async with StubServer(default=refuses(words, *names)) as server:
        first, second = await sample_one_by_one(server)
    assert [answer.finish_reason for answer in (first, second)] == ["stop", "stop"]
    assert NEUTRAL.keys() & server.bodies[-1].keys() == kept
    assert len(server.bodies) == (4 if kept == set() else 3), "the second is asked for once"


async def test_a_prompt_that_is_refused_in_any_form_takes_nothing_from_the_others():
    async with StubServer(*[status(400, "no such thing")] * 3) as server:
        first, second = await sample_one_by_one(server)
    assert (first.finish_reason, second.finish_reason) == ("refused", "stop")
    assert {name: server.bodies[-1].get(name) for name in NEUTRAL} == NEUTRAL


async def sample_one_by_one(server: StubServer) -> list[Completion]:
    """Return an answer to each prompt, the second asked for when the first is there."""
    endpoint = Endpoint(base_url=server.url, model="policy", api_key_env="", retry_wait_s=0.01)

    def sample() -> list[Completion]:
        with open_sampler("", SETTINGS, endpoint) as sampler:
            return [answer for prompt in PROMPTS for answer in sampler.sample([Draw(prompt, 0)])]

    return await asyncio.to_thread(sample)


async def test_an_answer_that_the_endpoint_cut_or_refused_is_no_whole_one(tmp_path):
    too_long = status(400, "the prompt is too long")
    async with StubServer(ok(finish_reason="length"), too_long) as server:
        samples = await ask(server, tmp_path / "samples.jsonl", concurrency=1)
    assert sorted(each.finish_reason for each in samples) == ["length", "refused", "stop", "stop"]
    [refused] = [each for each in samples if each.finish_reason == "refused"]
    assert refused.text == ""
    assert "the prompt is too long" in refused.detail


async def test_a_server_is_told_what_its_chat_template_is_to_be_given(tmp_path):
    given = {"enable_thinking": False}
    settings = SETTINGS.model_copy(update={"chat_template_kwargs": given})
    async with StubServer() as server:
        endpoint = Endpoint(base_url=server.url, model="policy", api_key_env="", extra_body={"top_k": 5})
        await asyncio.to_thread(
            sample_all, PROMPTS, settings, lambda: open_sampler("", settings, endpoint), tmp_path / "x.jsonl", print
        )
    assert all((body["chat_template_kwargs"], body["top_k"]) == (given, 5) for body in server.bodies)


async def test_a_thought_is_kept_beside_the_answer_and_an_odd_finish_reason_as_it_was_said(tmp_path):
    def say(text: str, reason: str) -> object:
        return says({"choices": [{"message": {"content": text}, "finish_reason": reason}]})

    thought, odd = say("<think>Hm.</think>Tea.", "stop"), say("Milk.", "content")
    async with StubServer(thought, odd) as server:
        samples = await ask(server, tmp_path / "samples.jsonl", concurrency=1)
        again = await ask(server, tmp_path / "samples.jsonl")
    assert again == samples
    assert {("Tea.", "Hm.", "stop", ""), ("Milk.", "", "unknown", 'finish_reason "content"')} <= {
        (each.text, each.reasoning, each.finish_reason, each.detail) for each in samples
    }


async def test_what_an_endpoint_answered_before_it_failed_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(EndpointSampler, "batch_size", 2)
    async with StubServer(ok(), ok(), default=status(500)) as server:
        with pytest.raises(ModelError, match="HTTP 500"):
            await ask(server, tmp_path / "samples.jsonl", retries=1)
    async with StubServer() as server:
        samples = await ask(server, tmp_path / "samples.jsonl")
    assert len(server.bodies) == 2
    assert [(each.prompt_id, each.index) for each in samples] == [("tea", 0), ("tea", 1), ("milk", 0), ("milk", 1)]


@dataclass
class Output:
    token_ids: list[int]
    finish_reason: str


class Engine:
    """As much of vLLM's `LLM` as is called: it answers with a request's seed, and refuses what exceeds its context."""

    running = 0
    options: ClassVar[dict[str, float]] = {}

    def __init__(
        self, model: str, *, trust_remote_code: bool, dtype: str, seed: int, max_model_len: int = 64, **options: float
    ) -> None:
        Engine.options = {"max_model_len": max_model_len, **options}
        if dtype == "float32":
            raise ValueError("No available memory for the cache blocks.\nTry something else.")
        self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=max_model_len))
        Engine.running += 1

    def __del__(self) -> None:
        Engine.running -= 1

    def generate(self, prompts: list[dict], sampling_params: list[SimpleNamespace], *, use_tqdm: bool) -> list:
        assert len(prompts) == len(sampling_params)
        answered = []
        for prompt, asked in zip(prompts, sampling_params, strict=True):
            assert len(prompt["prompt_token_ids"]) + asked.max_tokens <= 64
            letters = [LETTER_A + int(digit) for digit in str(asked.seed)]
            output = Output([*letters, EOS], "stop") if asked.max_tokens == 6 else Output(letters, "length")
            answered.append(SimpleNamespace(outputs=[output]))
        return answered


@pytest.fixture
def vllm(monkeypatch) -> Iterator[ModuleType]:
    module = ModuleType("vllm")
    module.LLM = Engine
    module.SamplingParams = SimpleNamespace
    module.distributed = SimpleNamespace(cleanup_dist_env_and_memory=lambda: None)
    monkeypatch.setitem(sys.modules, "vllm", module)
    yield module
    sys.modules.pop("autoif.sampling.vllm", None)  # it has seen the stand-in


def test_vllm_is_asked_for_each_response_with_its_tokens_and_a_seed_of_its_own(vllm, tmp_path):
    model = str(write_tiny_model(tmp_path / "model"))
    prompts = (
        *PROMPTS,
        SamplingPrompt(id="near", messages=({"role": "user", "content": "x" * 60},)),
        SamplingPrompt(id="beyond", messages=({"role": "user", "content": "x" * 70},)),
    )
    samples = sample_all(
        prompts, SETTINGS, lambda: open_sampler(model, SETTINGS, "vllm"), tmp_path / "samples.jsonl", print
    )
    assert [each.finish_reason for each in samples] == ["stop"] * 4 + ["length"] * 4
    assert [each.text for each in samples[-2:]] == ["", ""]
    assert len({each.text for each in samples[:6]}) == 6
    assert all(each.text.isalpha() for each in samples[:6])  # the token that ended it is no text
    assert Engine.running == 0  # its memory is free for the training that follows


def test_vllm_takes_its_size_its_share_of_memory_and_the_length_it_makes_room_for(vllm, tmp_path):
    model, file = str(write_tiny_model(tmp_path / "model")), tmp_path / "samples.jsonl"
    asked = {"tensor_parallel_size": 2, "gpu_memory_utilization": 0.4, "max_model_len": 20}

    def sample(**settings: float) -> list[Sample]:
        changed = SETTINGS.model_copy(update=settings)
        return sample_all(PROMPTS, changed, lambda: open_sampler(model, changed, "vllm"), file, print)

    samples = sample(**asked)
    assert Engine.options == asked
    assert {each.finish_reason for each in samples} == {"stop"}
    assert sample(**{**asked, "gpu_memory_utilization": 0.3}) == samples, "how much memory it takes shapes no answer"
    with pytest.raises(StoreError, match=r"sampled otherwise: settings .*'max_model_len': 20"):
        sample()


@pytest.mark.parametrize("backend", ["transformers", Endpoint(base_url="http://127.0.0.1:1/v1", model="policy")])
def test_a_setting_of_vllm_is_refused_where_another_samples(tmp_path, backend):
    settings = SETTINGS.model_copy(update={"tensor_parallel_size": 2})
    with pytest.raises(
        ConfigError, match=r"tensor_parallel_size can't be set: it is for vLLM .* samples; leave it out"
    ):
        sample_all(PROMPTS, settings, lambda: open_sampler("m", settings, backend), tmp_path / "x.jsonl", print)


def test_what_vllm_says_when_it_cannot_start_becomes_one_line(vllm, tmp_path):
    settings = SETTINGS.model_copy(update={"dtype": "float32"})
    model = str(write_tiny_model(tmp_path / "model"))
    with pytest.raises(ModelError, match=r"vLLM can't start on .*: No available memory for the cache blocks\.$"):
        sample_all(PROMPTS, settings, lambda: open_sampler(model, settings, "vllm"), tmp_path / "x.jsonl", print)
