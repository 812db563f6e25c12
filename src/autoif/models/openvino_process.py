"""The process in which OpenVINO serves the embedded model, over the part of the OpenAI API that autoif uses.

OpenVINO comes without a server, so an event loop here handles HTTP beside the thread of `openvino_pipeline`. A request
with a field that isn't in `_FIELDS` is refused with the field's name; the client then leaves it out (`dialect`).
"""

import asyncio
import json
import re
import threading
from concurrent.futures import Future
from typing import Any

from aiohttp import web

from autoif.models.model_process import serve_while_wanted
from autoif.models.openvino_pipeline import CACHE_GB, FAILURES, Ignored, Pipeline, ov

_SAMPLING = {"top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty"}
"""Sampling fields that OpenVINO has under the same names."""
_FIELDS = _SAMPLING | {
    "model", "messages", "prompt", "temperature", "seed", "max_tokens", "n", "stop", "response_format", "logprobs",
    "top_logprobs", "chat_template_kwargs",
}  # fmt: skip
_FORMS: dict[str, type | tuple[type, ...]] = {
    "messages": list, "prompt": str, "temperature": (int, float), "seed": int, "max_tokens": int, "n": int,
    "stop": (str, list), "response_format": dict, "chat_template_kwargs": dict,
}  # fmt: skip
"""The types of the fields that are checked here; OpenVINO checks the others."""
_DEFAULTS = {"temperature": 1.0, "seed": 0, "max_tokens": 1 << 30}
_TRUNCATED = {"top_k": 40, "min_p": 0.05}
"""The defaults of llama.cpp, with which a small model errs less."""
_DRAWS = 48
"""How many first tokens are drawn to find the alternatives, as OpenVINO tells the probabilities of drawn tokens only.
An alternative with a probability of a tenth is missed once in 150 times."""
_MOST_SAMPLES = 256
"""Samples of one request. OpenVINO would silently end more than this after their first token."""
_MAX_BODY_BYTES = 1 << 24
_PLACE = re.compile(r"^\[[\d:]+\] \S+:\d+: ")
"""The place in OpenVINO's source before its message."""


class Refused(Exception):
    """A request that can't be answered; the text says why."""


def _last_line(error: Exception) -> str:
    """Return the last line of OpenVINO's message, without the place in its source."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return _PLACE.sub("", lines[-1])


def _read_body(text: str) -> dict[str, Any]:
    """Return the fields of a request that have a value. Raises Refused: names what has the wrong type or is unknown."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(f"no JSON: {error}") from error
    if not isinstance(body, dict):
        raise Refused("the body is no JSON object")
    if unknown := body.keys() - _FIELDS:
        raise Refused(f"unknown field: {min(unknown)}")
    for name, value in body.items():
        if value is not None and not isinstance(value, _FORMS.get(name, object)):
            raise Refused(f"{name}: {json.dumps(value)[:80]} is of another form than it takes")
    return {name: value for name, value in body.items() if value is not None}


def _set(config: ov.GenerationConfig, name: str, value: Any, asked_as: str = "") -> None:
    try:
        setattr(config, name, value)
    except (TypeError, ValueError) as error:
        raise Refused(f"{asked_as or name}: {str(value)[:80]} is of another form than it takes") from error


class Server:
    """Answers requests with the loaded model."""

    def __init__(self, settings: dict[str, Any]) -> None:
        """Load the model; raise RuntimeError if that fails."""
        self._name: str = settings["name"]
        self._most_tokens: int = settings["context_tokens"]
        self._defaults = _DEFAULTS | (_TRUNCATED if settings["truncate_sampling"] else {})
        self._pipeline = Pipeline(settings["path"], settings["threads"])
        self._tokenizer = self._pipeline.tokenizer
        self._pipeline.start()

    async def chat(self, request: web.Request) -> web.Response:
        return await self._respond(request, is_chat=True)

    async def complete(self, request: web.Request) -> web.Response:
        return await self._respond(request, is_chat=False)

    async def _respond(self, request: web.Request, *, is_chat: bool) -> web.Response:
        try:
            body = _read_body((await request.read()).decode("utf-8", "replace"))
            return web.json_response(await self._answer(body, is_chat))
        except Refused as refusal:
            status, message = 400, str(refusal)
        except FAILURES as error:
            status, message = 500, _last_line(error)
        return web.json_response({"error": {"message": message, "code": status}}, status=status)

    async def _answer(self, body: dict[str, Any], is_chat: bool) -> dict[str, Any]:
        body = self._defaults | body
        field = "messages" if is_chat else "prompt"
        if not body.get(field):
            raise Refused(f"{field}: there is nothing to answer")
        try:
            text = self._write_prompt(body) if is_chat else body[field]
            tokens = self._tokenizer.encode(text, add_special_tokens=not is_chat).input_ids
        except (RuntimeError, TypeError, ValueError) as error:  # the chat template refuses it, or it is no valid text
            raise Refused(f"{field} can't be read: {_last_line(error)}") from error
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
        for turn in body["messages"]:
            if not isinstance(turn, dict) or not all(isinstance(turn.get(name), str) for name in ("role", "content")):
                raise Refused(f"messages: {json.dumps(turn)[:80]} is no role with a text")
        more = body.get("chat_template_kwargs", {})
        return str(self._tokenizer.apply_chat_template(body["messages"], True, extra_context=more))

    async def _generate(self, tokens: Any, body: dict[str, Any], most_tokens: int) -> list[Any]:
        """Return as many samples as a request asks for.

        OpenVINO keeps one grammar state for all samples of a request. So with a JSON schema, each sample becomes a
        request of its own, after one that reads the prompt into the cache for all of them.
        """
        samples = body.get("n", 1)
        try:
            if samples == 1 or not self._read_schema(body):
                return await self._pipeline.generate(tokens, self._configure(body, most_tokens, samples))
            await self._pipeline.generate(tokens, self._configure(body, 1))
            configs = [self._configure(body, most_tokens, 1, later=number) for number in range(samples)]
            found = await asyncio.gather(*(self._pipeline.generate(tokens, each) for each in configs))
            return [sample for [sample] in found]
        except Ignored:
            if samples > 1:
                raise Refused(f"n must be less than {samples}: so many don't fit into {CACHE_GB} GB") from None
            raise Refused(f"the prompt is too long: with its answer it exceeds {CACHE_GB} GB") from None
        except RuntimeError as error:
            if schema := self._read_schema(body):
                raise Refused(f"the JSON schema can't be kept to ({_last_line(error)}): {schema[:200]}") from error
            raise

    def _configure(
        self, body: dict[str, Any], most_tokens: int, samples: int = 1, later: int = 0
    ) -> ov.GenerationConfig:
        config = ov.GenerationConfig()
        if samples > _MOST_SAMPLES:
            raise Refused(f"n must be at most {_MOST_SAMPLES}")
        _set(config, "max_new_tokens", most_tokens, "max_tokens")
        _set(config, "num_return_sequences", samples, "n")
        _set(config, "rng_seed", body["seed"] + later, "seed")
        config.do_sample = body["temperature"] > 0
        if config.do_sample:
            _set(config, "temperature", body["temperature"])
            for name, value in body.items():
                if name in _SAMPLING and (name, value) != ("top_k", -1):
                    _set(config, name, value)
        stop = body.get("stop", ())
        _set(config, "stop_strings", {stop} if isinstance(stop, str) else {*stop}, "stop")
        if schema := self._read_schema(body):
            config.structured_output_config = ov.StructuredOutputConfig(json_schema=schema)
        try:
            config.validate()
        except RuntimeError as error:
            raise Refused(_last_line(error)) from error
        return config

    def _read_schema(self, body: dict[str, Any]) -> str:
        """Return the JSON schema that an answer must keep to; "" if it may be any text."""
        match form := body.get("response_format", {"type": "text"}):
            case {"type": "text"}:
                return ""
            case {"type": "json_object"}:
                return '{"type": "object"}'
            case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
                return json.dumps(schema)
        raise Refused(f"response_format: {json.dumps(form)[:80]} is of another form than it takes")

    async def _draw(self, tokens: Any, seed: int) -> list[tuple[str, float]]:
        """Draw first tokens of an answer; return each with its log-probability, the likeliest first."""
        config = ov.GenerationConfig()
        config.max_new_tokens, config.num_return_sequences, config.logprobs = 1, _DRAWS, 1
        config.do_sample, config.rng_seed = True, seed
        drawn = await self._pipeline.generate(tokens, config)
        found = {each.generated_ids[0]: each.generated_log_probs[0] for each in drawn}
        named = [
            (self._tokenizer.decode([token], skip_special_tokens=False), logprob) for token, logprob in found.items()
        ]
        return sorted(named, key=lambda pair: -pair[1])

    def _write(self, number: int, found: Any, first: list[tuple[str, float]], is_chat: bool) -> dict[str, Any]:
        text = self._tokenizer.decode(found.generated_ids)
        is_whole = found.finish_reason == ov.GenerationFinishReason.STOP
        choice: dict[str, Any] = {"index": number, "finish_reason": "stop" if is_whole else "length"}
        choice |= {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
        if first:
            listed = [{"token": token, "logprob": logprob} for token, logprob in first]
            choice["logprobs"] = {"content": [{**listed[0], "top_logprobs": listed}]}
        return choice


async def _listen(server: Server, url: "Future[str]") -> None:
    application = web.Application(client_max_size=_MAX_BODY_BYTES)
    application.router.add_post("/v1/chat/completions", server.chat)
    application.router.add_post("/v1/completions", server.complete)
    # With cancellation, generation stops when the client is gone.
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
    except OSError as error:
        url.set_exception(RuntimeError(str(error)))
        return
    url.set_result(f"http://127.0.0.1:{runner.addresses[0][1]}")
    await asyncio.Event().wait()


def serve(settings: dict[str, Any]) -> tuple[str, Server]:
    """Start the server with the settings that `embedded` sends. Raises RuntimeError: the model can't be loaded."""
    server, url = Server(settings), Future[str]()
    threading.Thread(target=lambda: asyncio.run(_listen(server, url)), daemon=True).start()
    return url.result(), server


if __name__ == "__main__":
    serve_while_wanted(serve)
