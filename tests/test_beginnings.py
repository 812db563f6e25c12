"""Requests that begin alike, at a server that reads slowly."""

import asyncio
from dataclasses import replace

import pytest
from aiohttp import web

from autoif.models.beginnings import Beginnings
from autoif.models.client import ChatClient
from autoif.models.endpoint import Endpoint
from autoif.models.requests import Request
from support.answers import ReadAnswers
from support.stub_server import StubServer, answer

LONG = Request(role="writer", stage="verification", messages=(("system", "Rules. " * 300), ("user", "Write 4 words.")))
SHORT = replace(LONG, messages=(("system", "Answer."), ("user", "Why do we sleep?")))


class Server:
    """Answers a request when it is told to; what is asked meanwhile stays open."""

    def __init__(self) -> None:
        self.beginnings = Beginnings()
        self.open: list[asyncio.Future[None]] = []

    async def ask(self, request: Request) -> None:
        async with self.beginnings.turn(request):
            self.open.append(asyncio.get_running_loop().create_future())
            await self.open[-1]

    async def ask_all(self, *requests: Request) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self.ask(request)) for request in requests]
        await asyncio.sleep(0)
        return tasks

    async def answer(self, error: Exception | None = None) -> None:
        waiting = next(each for each in self.open if not each.done())
        if error:
            waiting.set_exception(error)
        else:
            waiting.set_result(None)
        for _ in range(9):
            await asyncio.sleep(0)


async def test_a_long_beginning_is_read_by_the_first_request_and_all_others_follow_together():
    server = Server()
    others = [replace(LONG, messages=(*LONG.messages[:1], ("user", f"Write {n} words."))) for n in range(5, 8)]
    tasks = await server.ask_all(LONG, *others)
    assert len(server.open) == 1
    await server.answer()
    assert len(server.open) == 4
    for _ in others:
        await server.answer()
    await asyncio.gather(*tasks)
    await server.ask_all(LONG, LONG)
    assert len(server.open) == 6  # known by now


async def test_requests_that_begin_otherwise_or_shortly_wait_for_nothing():
    server = Server()
    other = replace(LONG, messages=(("system", "Grades. " * 300), *LONG.messages[1:]))
    bare = replace(SHORT, messages=(), prompt="Once upon a time " * 300)
    await server.ask_all(LONG, other, SHORT, SHORT, bare, bare)
    assert len(server.open) == 6


async def test_a_first_request_that_fails_keeps_nobody_waiting():
    server = Server()
    first, *_ = await server.ask_all(LONG, LONG, LONG)
    await server.answer(OSError("gone"))
    assert len(server.open) == 2
    with pytest.raises(OSError, match="gone"):
        await first


@pytest.mark.parametrize(("read_once", "most"), [(True, 3), (False, 4)])  # of four, with the first alone or not
async def test_only_a_server_that_asks_for_it_gets_a_first_request_alone(cache: ReadAnswers, read_once, most):
    async def slow(_: web.Request, body: dict) -> web.Response:
        await asyncio.sleep(0.05)
        return web.json_response(answer(body))

    async with StubServer(default=slow) as server:
        endpoint = Endpoint(base_url=server.url, model="m", api_key_env="", read_once=read_once)
        async with ChatClient({"writer": endpoint}, cache) as client:
            await asyncio.gather(*(client.sample(replace(LONG, seed=seed)) for seed in range(4)))
    assert server.most_in_flight == most
