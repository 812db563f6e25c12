"""Sampling through an endpoint (a real server on the loopback interface) and through a stand-in for vLLM."""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from autoif.errors import ModelError
from autoif.models.endpoint import Endpoint
from autoif.sampling import Sample, SamplingPrompt, SamplingSettings, open_sampler, sample_all
from autoif.sampling.endpoint import EndpointSampler
from stub_server import StubServer, ok, status
from tiny_model import write_tiny_model

SETTINGS = SamplingSettings(responses=2, max_tokens=6, seed=3)
PROMPTS = tuple(
    SamplingPrompt(id=word, messages=({"role": "user", "content": f"Say {word}."},)) for word in ("tea", "milk")
)


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


async def test_an_answer_that_the_endpoint_cut_or_refused_is_no_whole_one(tmp_path):
    too_long = status(400, "the prompt is too long")
    async with StubServer(ok(finish_reason="length"), too_long) as server:
        samples = await ask(server, tmp_path / "samples.jsonl", concurrency=1)
    assert sorted(each.finish_reason for each in samples) == ["length", "length", "stop", "stop"]
    assert "" in [each.text for each in samples]


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
    text: str
    finish_reason: str


class Engine:
    """As much of vLLM's `LLM` as is called: it answers with a request's seed, and refuses what exceeds its context."""

    running = 0

    def __init__(self, model: str, *, dtype: str, seed: int) -> None:
        if dtype == "float32":
            raise ValueError("No available memory for the cache blocks.\nTry something else.")
        self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=64))
        Engine.running += 1

    def __del__(self) -> None:
        Engine.running -= 1

    def generate(self, prompts: list[dict], sampling_params: list[SimpleNamespace], *, use_tqdm: bool) -> list:
        assert len(prompts) == len(sampling_params)
        answered = []
        for prompt, asked in zip(prompts, sampling_params, strict=True):
            assert len(prompt["prompt_token_ids"]) + asked.max_tokens <= 64
            reason = "stop" if asked.max_tokens == 6 else "length"
            answered.append(SimpleNamespace(outputs=[Output(f"seed {asked.seed}", reason)]))
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
    assert Engine.running == 0  # its memory is free for the training that follows


def test_what_vllm_says_when_it_cannot_start_becomes_one_line(vllm, tmp_path):
    settings = SETTINGS.model_copy(update={"dtype": "float32"})
    model = str(write_tiny_model(tmp_path / "model"))
    with pytest.raises(ModelError, match=r"vLLM can't start on .*: No available memory for the cache blocks\.$"):
        sample_all(PROMPTS, settings, lambda: open_sampler(model, settings, "vllm"), tmp_path / "x.jsonl", print)
