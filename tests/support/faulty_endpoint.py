"""A model's endpoint that fails on order, before a server that doesn't; it remembers what it has handed over."""

import asyncio
import hashlib
import threading
from collections.abc import Awaitable, Callable
from typing import Self

import aiohttp
from aiohttp import web

Fault = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]
"""Answers a request, given what the server behind says to it."""


async def no_fault(request: web.Request, said: bytes) -> web.StreamResponse:
    """Hand the answer over."""
    return web.Response(body=said, content_type="application/json")


async def busy(request: web.Request, said: bytes) -> web.StreamResponse:
    """Say that there are too many requests."""
    return web.json_response({"error": {"message": "slow down"}}, status=429)


async def cut(request: web.Request, said: bytes) -> web.StreamResponse:
    """Close the connection in the middle of the answer."""
    response = web.StreamResponse(headers={"Content-Length": str(len(said)), "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(said[: len(said) // 2])
    assert request.transport is not None
    request.transport.abort()
    return response


def slow(seconds: float) -> Fault:
    """Answer, but late."""

    async def answer(request: web.Request, said: bytes) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await no_fault(request, said)

    return answer


class FaultyEndpoint:
    """Passes requests on to a server, in a thread of its own."""

    def __init__(self, behind: str) -> None:
        """`behind` is the server's base URL."""
        self.fault: Fault = no_fault
        """What becomes of each request from now on."""
        self.failed = 0
        """Requests that got a complaint or half an answer."""
        self.delivered = set[str]()
        """Requests that got their whole answer, by hash."""
        self.repeated = set[str]()
        """Those of them that came again after that."""
        self._behind = behind.removesuffix("/v1")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def go(self) -> None:
        """Close the port and all connections."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()

    def come_back(self) -> None:
        """Listen again, on the same port."""
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    def __enter__(self) -> Self:
        self._thread.start()
        self.come_back()
        return self

    def __exit__(self, *_: object) -> None:
        self.go()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()
            self._runner = None
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:  # those that answer late
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        key, fault = hashlib.sha256(body).hexdigest(), self.fault
        if key in self.delivered:
            self.repeated.add(key)
        async with aiohttp.ClientSession() as session, session.post(self._behind + request.path, data=body) as answer:
            said = await answer.read()
        response = await fault(request, said)
        if fault in {busy, cut}:
            self.failed += 1
            return response
        await response.prepare(request)
        await response.write_eof()
        self.delivered.add(key)
        return response
