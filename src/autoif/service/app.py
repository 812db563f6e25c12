"""The routes: who may call them, how a request becomes verdicts, and how errors are answered."""

import asyncio
import hmac
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

from aiohttp import web

from autoif.errors import SandboxError
from autoif.sandbox import Sandbox
from autoif.service import callers
from autoif.service.admission import Admission, Place
from autoif.service.bodies import AnyRequest, Ask, Judged, answer_reward, answer_verify, collect
from autoif.service.document import OPEN_ROUTES, PAGE_HEADERS, make_document, render_page
from autoif.service.reader import Reader
from autoif.service.schemas import Refusal, RewardRequest, VerifyRequest
from autoif.service.settings import ServiceSettings
from autoif.service.telemetry import CONTENT_TYPE, Metrics
from autoif.service.turns import Verifier

_CLIENT_GONE: Final = 499
"""The status in `/metrics` of a request whose client left before the answer."""
_RETRY_S: Final = 5
_SLOWEST_READER: Final = 500_000
"""Bytes a second."""
_DETAIL_CHARS: Final = 4 << 20
"""Characters that all details of an answer may have together; each gets an equal share, so that none is dropped."""
_VERDICT_BYTES: Final = 512
"""Memory that a verdict takes up as an outcome and in the answer."""
_logger = logging.getLogger("autoif.service")


class Service:
    """One sandbox behind HTTP. `app` is what a server runs."""

    def __init__(self, settings: ServiceSettings, sandbox: Sandbox) -> None:
        self.draining = False
        self._settings = settings
        self._sandbox = sandbox
        self.admission = Admission(settings.queue, settings.queue_mb << 20)
        self._reader = Reader()
        self._verifier = Verifier(sandbox, settings.sandbox.count_workers(), settings.sandbox.timeout_s)
        self._deadlines: set[asyncio.Timeout] = set()
        self.metrics = Metrics(
            queued=lambda: self.admission.requests - self._verifier.begun, in_flight=lambda: self._verifier.begun
        )
        document = make_document(with_token=bool(settings.token), body_mb=settings.body_mb)
        self._document = json.dumps(document)
        self._page = render_page(document)
        self.app = web.Application(middlewares=[self._frame], client_max_size=settings.body_mb << 20)
        self.app.add_routes(
            [
                web.post("/v1/verify", self._verify),
                web.post("/v1/reward", self._reward),
                web.get("/healthz", self._health),
                web.get("/metrics", self._show_metrics),
                web.get("/openapi.json", self._show_document),
                web.get("/docs", self._show_page),
            ]
        )

    def stop_requests(self) -> None:
        """End every request under way; each is answered with `draining`."""
        for deadline in self._deadlines:
            deadline.reschedule(0)

    async def end(self) -> None:
        """Close what the service opened itself; the sandbox is the caller's."""
        await self._reader.end()

    async def _verify(self, request: web.Request) -> web.Response:
        return await self._judge(request, VerifyRequest, answer_verify)

    async def _reward(self, request: web.Request) -> web.Response:
        return await self._judge(request, RewardRequest, answer_reward)

    async def _judge(
        self,
        request: web.Request,
        model: type[AnyRequest],
        make_answer: Callable[[Ask[AnyRequest], Judged], Iterator[str]],
    ) -> web.Response:
        if self.draining:
            raise _draining()
        with self.admission.admit() as place:
            late = Refusal("slow_body", f"the body did not arrive within {self._settings.deadline_s:g} s")
            try:
                async with self._deadline():
                    body = await self._receive(request, place)
                    late = Refusal("deadline", f"not done within {self._settings.deadline_s:g} s: send less at once")
                    place.enter_queue()
                    ask = await self._reader.read(body, model)
                    del body
                    place.hold(_VERDICT_BYTES * ask.verdicts)
                    judged = await self._verifier.judge(ask.work, longest_detail=_DETAIL_CHARS // ask.verdicts)
                    self.metrics.count_verdicts(
                        (verdict for row in judged.values() for verdict in row.verdicts), ask.faults
                    )
                    answer = await collect(make_answer(ask, judged))
            except TimeoutError:
                raise _draining() if self.draining else late from None
            except SandboxError as error:
                _logger.error("%s", error)
                raise Refusal("sandbox", str(error), {"Retry-After": str(_RETRY_S)}) from error
            response = web.Response(body=answer, content_type="application/json", charset="utf-8")
            del ask, judged, answer
            await self._send(request, response)  # the request keeps its place until the client has taken the answer
            return response

    async def _receive(self, request: web.Request, place: Place) -> bytes:
        """Return the body. `request.read` would keep a copy of it for as long as the request waits."""
        callers.require_json(request)
        patience_s, now = self._settings.patience_s, asyncio.get_running_loop().time
        body = bytearray()
        try:
            async with asyncio.timeout(patience_s) as silence:
                place.stop_receiving = lambda: silence.reschedule(now())
                with callers.client_has_the_turn(request, self._settings.deadline_s + patience_s):
                    async for part in request.content.iter_any():
                        place.hold(len(part))
                        body += part
                        if len(body) > request.client_max_size:
                            raise callers.too_large(request.client_max_size)
                        silence.reschedule(now() if place.gave_way else now() + patience_s)
        except TimeoutError:
            if not silence.expired():
                raise
            if not place.gave_way:
                raise Refusal("slow_body", f"nothing of the body arrived for {patience_s:g} s") from None
        finally:
            place.stop_receiving = None
        callers.connection_of(request).require_attention()
        if place.gave_way:
            raise Refusal("slow_body", "the body came slowly, and its room was needed: send less at once")
        return bytes(body)

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        async with asyncio.timeout(self._settings.deadline_s) as deadline:
            self._deadlines.add(deadline)
            try:
                yield
            finally:
                self._deadlines.discard(deadline)

    async def _health(self, request: web.Request) -> web.Response:
        status = "draining" if self.draining else "ready"
        health = {"status": status, "sandbox": self._sandbox.describe()}
        return web.json_response(health, status=503 if self.draining else 200)

    async def _show_metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self.metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    async def _show_document(self, request: web.Request) -> web.Response:
        return web.Response(text=self._document, content_type="application/json")

    async def _show_page(self, request: web.Request) -> web.Response:
        return web.Response(text=self._page, content_type="text/html", headers=PAGE_HEADERS)

    @web.middleware
    async def _frame(self, request: web.Request, handler: callers.Handler) -> web.StreamResponse:
        """Check the caller, handle the request, turn errors into answers, send the answer, and count the request."""
        began, status = monotonic(), _CLIENT_GONE
        resource = request.match_info.route.resource
        route = resource.canonical if resource else "other"
        connection = callers.connection_of(request)
        connection.work()
        try:
            response = await self._respond(request, handler, route)
            await self._send(request, response)
            status = response.status
            return response
        finally:
            callers.wait_for_next(connection, request)
            self.metrics.count_request(route, status, monotonic() - began)

    async def _send(self, request: web.Request, response: web.StreamResponse) -> None:
        """Send a response, unless it was sent before. Hang up on a client that does not take it in time."""
        if response.prepared:
            return
        if self.draining:
            response.force_close()
        await response.prepare(request)
        with callers.client_has_the_turn(
            request, self._settings.patience_s + (response.content_length or 0) / _SLOWEST_READER
        ):
            await response.write_eof()

    async def _respond(self, request: web.Request, handler: callers.Handler, route: str) -> web.StreamResponse:
        try:
            self._check_caller(request, route)
            return await handler(request)
        except Refusal as refusal:
            refused = refusal
        except web.HTTPException as error:
            refused = callers.translate(error)
        except web.RequestPayloadError as error:
            refused = Refusal("bad_json", f"the body broke off: {error}")
        except ConnectionError:  # the client has left
            raise
        except Exception:  # an error in one request must not affect others
            _logger.exception("a request failed")
            refused = Refusal("internal", "this request failed in the server; its log says why")
        self.metrics.count_refusal(refused.code)
        return callers.show_refusal(refused)

    def _check_caller(self, request: web.Request, route: str) -> None:
        token = self._settings.token
        if not token:
            callers.refuse_foreign_name(request)
        elif route not in OPEN_ROUTES:
            scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
            right = hmac.compare_digest(shown.strip().encode("utf-8", "surrogateescape"), token.encode("ascii"))
            if scheme.lower() != "bearer" or not right:
                raise Refusal("no_token", "send the header Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})


def _draining() -> Refusal:
    return Refusal("draining", "the server is stopping: try another, or again later", {"Retry-After": str(_RETRY_S)})
