"""A hand-written OpenAI-compatible server on the loopback interface that misbehaves on order."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Self

from aiohttp import web

Body = dict[str, Any]
Reply = Callable[[web.Request, Body], Awaitable[web.StreamResponse]]


class StubServer:
    """Answers each request with the next of `replies`, and when they are used up with `default`.

    `bodies` and `headers` hold what came in, in order. It says the text of the prompt's last line, the seed, and the
    index of the choice, so that a test sees which request an answer belongs to.
    """

    def __init__(self, *replies: Reply, default: Reply | None = None, models: list[str] | None = None) -> None:
        self.replies = list(replies)
        self.default = default or ok()
        self.bodies: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self._models = models
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._serve)
        app.router.add_post("/v1/completions", self._serve)
        if self._models is not None:
            app.router.add_get("/v1/models", self._list_models)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        reply = self.replies.pop(0) if self.replies else self.default
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await reply(request, body)
        finally:
            self.in_flight -= 1

    async def _list_models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": name} for name in self._models or []]})


def answer(body: Body, *, choices: int | None = None, **choice: Any) -> Body:
    """Return an answer with this many choices (by default as many as `n` asks for), 10 prompt and 4 tokens a
    choice."""
    prompt = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
    count = body.get("n", 1) if choices is None else choices
    texts = [f"{prompt} s{body.get('seed', '-')} c{index}" for index in range(count)]
    key = (lambda text: {"message": {"role": "assistant", "content": text}}) if "messages" in body else _plain
    return {
        "choices": [{"index": i, "finish_reason": "stop", **key(text), **choice} for i, text in enumerate(texts)],
        "usage": {"prompt_tokens": 10, "completion_tokens": 4 * count},
    }


def _plain(text: str) -> Body:
    return {"text": text}


def ok(*, choices: int | None = None, wait_s: float = 0.0, **choice: Any) -> Reply:
    """Answer as asked, after `wait_s`; `choices` limits how many choices come, other keywords go into each."""

    async def reply(request: web.Request, body: Body) -> web.StreamResponse:
        await asyncio.sleep(wait_s)
        return web.json_response(answer(body, choices=choices, **choice))

    return reply


def says(payload: Any) -> Reply:
    """Answer with this JSON, whatever was asked."""

    async def reply(request: web.Request, body: Body) -> web.StreamResponse:
        return web.json_response(payload)

    return reply


def status(code: int, message: str = "no", /, *, headers: dict[str, str] | None = None, **error: Any) -> Reply:
    """Answer with an error in OpenAI's form."""

    async def reply(request: web.Request, body: Body) -> web.StreamResponse:
        return web.json_response({"error": {"message": message, **error}}, status=code, headers=headers)

    return reply


def raw(content: bytes, *, code: int = 200, content_type: str = "application/json", **headers: str) -> Reply:
    """Answer with these bytes."""

    async def reply(request: web.Request, body: Body) -> web.StreamResponse:
        return web.Response(body=content, status=code, content_type=content_type, headers=headers)

    return reply


def broken_off() -> Reply:
    """Announce a whole answer, send half of it, and close the connection."""

    async def reply(request: web.Request, body: Body) -> web.StreamResponse:
        content = json.dumps(answer(body)).encode()
        response = web.StreamResponse(headers={"Content-Length": str(len(content)), "Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(content[: len(content) // 2])
        assert request.transport is not None
        request.transport.abort()
        return response

    return reply


def reset() -> Reply:
    """Close the connection without a word."""

    async def reply(request: web.Request, body: Body) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return reply


def unless(is_fine: Callable[[Body], bool], refusal: Reply, *, choices: int | None = None) -> Reply:
    """Answer what is fine, and refuse everything else."""
    fine = ok(choices=choices)

    async def reply(request: web.Request, body: Body) -> web.StreamResponse:
        return await (fine if is_fine(body) else refusal)(request, body)

    return reply
