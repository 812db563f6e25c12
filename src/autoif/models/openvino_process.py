"""The process in which OpenVINO serves the embedded model over as much of the OpenAI API as autoif asks for.

OpenVINO comes without a server. Here one thread has the pipeline and does step after step for all requests together;
an event loop in another one reads and writes. A field that isn't in `_FIELDS` is refused by its name, and then sent no
more (`dialect`).
"""

import asyncio
import json
import os
import queue
import sys
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from autoif.models.model_process import serve_while_wanted

# OpenVINO's package imports this one, which reports its use to its makers; without, it reports nothing.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
import openvino_genai as ov  # noqa: E402

_SAMPLING = {"top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty"}
"""Fields of drawn samples that OpenVINO knows by the same names."""
_FIELDS = _SAMPLING | {
    "model", "messages", "prompt", "temperature", "seed", "max_tokens", "n", "stop", "response_format", "logprobs",
    "top_logprobs", "chat_template_kwargs",
}  # fmt: skip
_DEFAULTS = {"temperature": 1.0, "seed": 0, "max_tokens": 1 << 30}
_TRUNCATED = {"top_k": 40, "min_p": 0.05}
"""As llama.cpp does it unless it is told otherwise: a small model errs less."""
_DRAWS = 48
"""OpenVINO tells the probability of the tokens that it takes, and of no others. So the alternatives to a first token
are found by drawing this many: one with a tenth of the probability is missed once in 150 times."""
_CACHE_GB = 1
"""Of what was read and written: 70,000 tokens of a model of 1.5B. Beginnings of earlier prompts stay while there is
room."""
_MAX_BODY_BYTES = 1 << 24


class Refused(Exception):
    """A request that can't be answered as it is; the text says why."""


def _last_line(error: RuntimeError) -> str:
    """Return what OpenVINO says after the places in its source."""
    return str(error).strip().splitlines()[-1]


@dataclass
class Job:
    """A prompt on its way through the pipeline."""

    tokens: Any
    """The prompt's, as a tensor of shape (1, length)."""
    config: ov.GenerationConfig
    done: Future[list[Any]] = field(default_factory=Future)
    """Becomes the samples; OpenVINO's package doesn't name their type."""
    handle: Any = None


class Pipeline(threading.Thread):
    """OpenVINO's pipeline in a thread of its own, which lives as long as the process."""

    def __init__(self, path: str, threads: int) -> None:
        """Load the model; raise RuntimeError if that fails."""
        super().__init__(daemon=True)
        scheduler = ov.SchedulerConfig()
        scheduler.cache_size = _CACHE_GB
        scheduler.enable_prefix_caching = True
        self._pipeline = ov.ContinuousBatchingPipeline(path, scheduler, "CPU", {"INFERENCE_NUM_THREADS": threads})
        self._jobs = queue.SimpleQueue[Job]()
        self.tokenizer = self._pipeline.get_tokenizer()

    async def generate(self, tokens: Any, config: ov.GenerationConfig) -> list[Any]:
        """Return the samples of a prompt. Raises RuntimeError: OpenVINO can't make them."""
        job = Job(tokens, config)
        self._jobs.put(job)
        return await asyncio.wrap_future(job.done)

    def run(self) -> None:
        try:
            self._work()
        finally:
            os._exit(1)  # nobody would be answered any more

    def _work(self) -> None:
        running, count = list[Job](), 0
        while True:
            while not running or not self._jobs.empty():
                job, count = self._jobs.get(), count + 1
                try:
                    job.handle = self._pipeline.add_request(count, job.tokens, job.config)
                    running.append(job)
                except RuntimeError as error:
                    job.done.set_exception(error)
            try:
                self._pipeline.step()
            except RuntimeError as error:
                for job in running:
                    job.handle.cancel()
                    job.done.set_exception(error)
                running.clear()
            ended = [job for job in running if job.handle.get_status() != ov.GenerationStatus.RUNNING]
            for job in ended:
                job.done.set_result(job.handle.read_all())
                running.remove(job)


class Server:
    """What is answered to a request."""

    def __init__(self, settings: dict[str, Any]) -> None:
        """Load the model; raise RuntimeError if that fails."""
        self._name: str = settings["name"]
        self._most_tokens: int = settings["context_tokens"]
        self._usual = _DEFAULTS | (_TRUNCATED if settings["truncate_sampling"] else {})
        self._pipeline = Pipeline(settings["path"], settings["threads"])
        self._tokenizer = self._pipeline.tokenizer
        self._pipeline.start()

    async def chat(self, request: web.Request) -> web.Response:
        return await self._respond(request, is_chat=True)

    async def complete(self, request: web.Request) -> web.Response:
        return await self._respond(request, is_chat=False)

    async def _respond(self, request: web.Request, *, is_chat: bool) -> web.Response:
        try:
            return web.json_response(await self._answer(await request.json(), is_chat))
        except Refused as refusal:
            status, said = 400, str(refusal)
        except (TypeError, ValueError, KeyError) as error:  # a field of another form, from `extra_body`
            status, said = 400, f"{type(error).__name__}: {error}"
        except RuntimeError as error:
            status, said = 500, _last_line(error)
        return web.json_response({"error": {"message": said, "code": status}}, status=status)

    async def _answer(self, body: dict[str, Any], is_chat: bool) -> dict[str, Any]:
        if unknown := body.keys() - _FIELDS:
            raise Refused(f"unknown field: {min(unknown)}")
        body = self._usual | body
        try:
            text = self._write_prompt(body) if is_chat else body["prompt"]
        except RuntimeError as error:
            raise Refused(_last_line(error)) from error
        tokens = self._tokenizer.encode(text, add_special_tokens=not is_chat).input_ids
        length = tokens.shape[1]
        if length >= self._most_tokens:
            raise Refused(f"the prompt's {length} tokens exceed the context length of {self._most_tokens}")
        found = await self._generate(tokens, body, min(body["max_tokens"], self._most_tokens - length))
        first = await self._draw(tokens, body["seed"]) if body.get("logprobs") else []
        written = sum(len(each.generated_ids) for each in found)
        return {
            "model": self._name,
            "choices": [self._write(number, each, first, is_chat) for number, each in enumerate(found)],
            "usage": {"prompt_tokens": length, "completion_tokens": written, "total_tokens": length + written},
        }

    def _write_prompt(self, body: dict[str, Any]) -> str:
        more = body.get("chat_template_kwargs", {})
        return str(self._tokenizer.apply_chat_template(body["messages"], True, extra_context=more))

    async def _generate(self, tokens: Any, body: dict[str, Any], most_tokens: int) -> list[Any]:
        """Return as many samples as a request asks for.

        OpenVINO keeps one state of a grammar for all samples of a request. So with a schema each becomes a request of
        its own, after one that reads the prompt for all of them.
        """
        samples = body.get("n", 1)
        if samples == 1 or "response_format" not in body:
            return await self._pipeline.generate(tokens, self._configure(body, most_tokens, samples))
        await self._pipeline.generate(tokens, self._configure(body, 1))
        configs = [self._configure(body, most_tokens, 1, later=number) for number in range(samples)]
        return [found for [found] in await asyncio.gather(*(self._pipeline.generate(tokens, each) for each in configs))]

    def _configure(
        self, body: dict[str, Any], most_tokens: int, samples: int = 1, later: int = 0
    ) -> ov.GenerationConfig:
        config = ov.GenerationConfig()
        config.max_new_tokens, config.num_return_sequences = most_tokens, samples
        config.rng_seed = body["seed"] + later
        config.do_sample = body["temperature"] > 0
        if config.do_sample:
            config.temperature = body["temperature"]
            for name, value in body.items():
                if name in _SAMPLING and (name, value) != ("top_k", -1):
                    setattr(config, name, value)
        stop = body.get("stop", ())
        config.stop_strings = {stop} if isinstance(stop, str) else {*stop}
        if form := body.get("response_format"):
            schema = json.dumps(form["json_schema"]["schema"])
            config.structured_output_config = ov.StructuredOutputConfig(json_schema=schema)
        try:
            config.validate()
        except RuntimeError as error:
            raise Refused(_last_line(error)) from error
        return config

    async def _draw(self, tokens: Any, seed: int) -> list[tuple[str, float]]:
        """Return the likeliest first tokens of an answer with the logarithms of their probabilities, best first."""
        config = ov.GenerationConfig()
        config.max_new_tokens, config.num_return_sequences, config.logprobs = 1, _DRAWS, 1
        config.do_sample, config.rng_seed = True, seed
        drawn = await self._pipeline.generate(tokens, config)
        found = {each.generated_ids[0]: each.generated_log_probs[0] for each in drawn}
        named = [(self._tokenizer.decode([token], skip_special_tokens=False), share) for token, share in found.items()]
        return sorted(named, key=lambda pair: -pair[1])

    def _write(self, number: int, found: Any, first: list[tuple[str, float]], is_chat: bool) -> dict[str, Any]:
        text = self._tokenizer.decode(found.generated_ids)
        is_whole = found.finish_reason == ov.GenerationFinishReason.STOP
        choice: dict[str, Any] = {"index": number, "finish_reason": "stop" if is_whole else "length"}
        choice |= {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
        if first:
            listed = [{"token": token, "logprob": share} for token, share in first]
            choice["logprobs"] = {"content": [{**listed[0], "top_logprobs": listed}]}
        return choice


async def _listen(server: Server, url: "Future[str]") -> None:
    application = web.Application(client_max_size=_MAX_BODY_BYTES)
    application.router.add_post("/v1/chat/completions", server.chat)
    application.router.add_post("/v1/completions", server.complete)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url.set_result(f"http://127.0.0.1:{runner.addresses[0][1]}")
    await asyncio.Event().wait()


def serve(settings: dict[str, Any]) -> tuple[str, Server]:
    """Start the server for the settings that `embedded` sends. Raises RuntimeError: the model can't be loaded."""
    server, url = Server(settings), Future[str]()
    threading.Thread(target=lambda: asyncio.run(_listen(server, url)), daemon=True).start()
    return url.result(), server


if __name__ == "__main__":
    serve_while_wanted(serve)
