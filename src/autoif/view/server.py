"""The server of `autoif view`: pages, events and decisions. Access is controlled as in `autoif serve`.

    GET  /N/             the page of run N, counted from 0; / leads to the first
    GET  /N/data/X.js    data beside the page of a large run
    GET  /N/events       server-sent events: what has changed in the run
    GET  /N/decisions    the decisions that count, by item
    GET  /N/queue        the functions to review first
    POST /N/decisions    a decision, as JSON
    GET  /compare        the first two runs side by side

Other machines need a token, which a browser asks for as a password with the reviewer's name. Without a token the server
answers only to this machine's names. It refuses requests of other origins and bodies that aren't JSON, so no page
elsewhere can decide anything.
"""

import asyncio
import base64
import binascii
import hmac
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from aiohttp import web
from pydantic import Field, ValidationError

from autoif.datasets.reviewing import list_items
from autoif.decisions import Decision, Standing, Target, add_decisions, read_decisions, settle_decisions
from autoif.errors import AutoIFError
from autoif.messages import Say, name_folders, show_in_line
from autoif.reading.json_text import parse_json
from autoif.reading.jsonl import name_problem
from autoif.records import Record
from autoif.runs.store import AUDIT, DECISIONS, FOLDERS, MANIFEST, PREFERENCES, REVIEWED, SFT, read_manifest
from autoif.service import callers
from autoif.service.listening import catch_stops, listening
from autoif.service.schemas import Refusal
from autoif.service.settings import ServiceSettings, require_token_beyond_loopback
from autoif.view.difference import compare_runs, read_side
from autoif.view.pages import ServedPage, make_difference_page, make_view_page
from autoif.view.precision import HALF_WIDTH
from autoif.view.queue import make_queue, read_functions

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_MOST_STREAMS: Final = 64
_TICK_S: Final = 1.0
_HEARTBEAT_TICKS: Final = 15
_logger = logging.getLogger("autoif.view")
Made = TypeVar("Made")


class DecisionRequest(Record):
    """What a reviewer sends; the server adds who and when."""

    target: Target
    id: str = Field(pattern=r"^[0-9a-f]{16}$")
    decision: Literal["accept", "reject", "comment", "revoke"]
    comment: str = ""
    queued: bool = False
    """Whether the item was shown by the queue."""


@dataclass(frozen=True, slots=True)
class RunState:
    """Fingerprints by which a page sees whether it is still current."""

    status: str
    page: str
    """Changes with the files that the page shows."""
    decisions: str


class Viewer:
    """Serves some runs over HTTP; `app` is the web application."""

    def __init__(self, runs: Sequence[Path], settings: ServiceSettings, author: str) -> None:
        self._runs = list(runs)
        self._settings = settings
        self._author = author
        self._ending = asyncio.Event()
        self._streams = 0
        self._made: dict[tuple[Path, str], tuple[str, Any]] = {}
        """Cache of what was last made from each run, by name, with the state of the run's files at that time."""
        self._making: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.app = web.Application(middlewares=[self._frame], client_max_size=settings.body_mb << 20)
        self.app.add_routes(
            [
                web.get("/", self._lead),
                web.get("/compare", self._compare),
                web.get("/favicon.ico", self._show_no_icon),
                web.get(r"/{run:\d{1,4}}/", self._show_page),
                web.get(r"/{run:\d{1,4}}/data/{name}.js", self._show_piece),
                web.get(r"/{run:\d{1,4}}/events", self._send_events),
                web.get(r"/{run:\d{1,4}}/decisions", self._show_decisions),
                web.post(r"/{run:\d{1,4}}/decisions", self._decide),
                web.get(r"/{run:\d{1,4}}/queue", self._show_queue),
            ]
        )

    async def end(self) -> None:
        """End all streams of events."""
        self._ending.set()

    async def _lead(self, request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "0/"})

    async def _show_no_icon(self, request: web.Request) -> web.Response:
        return web.Response(status=204)

    async def _show_page(self, request: web.Request) -> web.Response:
        page = await self._make(self._find(request), self._make_page)
        return web.Response(text=page.html, content_type="text/html")

    async def _show_piece(self, request: web.Request) -> web.Response:
        page, name = await self._make(self._find(request), self._make_page), request.match_info["name"]
        if name not in page.pieces:
            raise Refusal("not_found", "the page has no such data: load it again")
        return web.Response(text=f'autoif.give("{name}","{page.pieces[name]}")\n', content_type="text/javascript")

    async def _make(self, run: Path, make: Callable[[Path], Made]) -> Made:
        """Return `make(run)` for the run's present files, from the cache if possible; concurrent requests share it."""
        async with self._making[make.__name__]:
            now = (await asyncio.to_thread(read_state, run)).page
            known = self._made.get((run, make.__name__))
            if known is None or known[0] != now:
                known = now, await asyncio.to_thread(make, run)
                self._made[run, make.__name__] = known
            made: Made = known[1]
            return made

    async def _has(self, run: Path, target: Target, item: str) -> bool:
        """Tell whether a run has an item. Runs never lose items, so the run is read again only for an unknown one."""
        known = self._made.get((run, list_items.__name__))
        return bool(known and item in known[1][target]) or item in (await self._make(run, list_items))[target]

    def _make_page(self, run: Path) -> ServedPage:
        return make_view_page(run, self._runs)

    async def _compare(self, request: web.Request) -> web.Response:
        if len(self._runs) < 2:
            raise Refusal("not_found", "one run is viewed: name two, as in `autoif view RUN OTHER`")
        named = zip(self._runs[:2], name_folders(self._runs), strict=False)
        first, second = [replace(await asyncio.to_thread(read_side, run), name=name) for run, name in named]
        found = await asyncio.to_thread(compare_runs, first, second)
        return web.Response(text=make_difference_page(found), content_type="text/html")

    async def _send_events(self, request: web.Request) -> web.StreamResponse:
        run = self._find(request)
        await asyncio.to_thread(read_state, run)  # fail before the stream begins if the run can't be read
        if self._streams >= _MOST_STREAMS:
            raise Refusal("queue_full", f"{self._streams} pages are kept up to date already: close some")
        self._streams += 1
        try:
            response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
            await response.prepare(request)
            with suppress(AutoIFError):  # the next request for the page reports what can't be read
                await self._stream(request, response, run)
            return response
        finally:
            self._streams -= 1

    async def _stream(self, request: web.Request, response: web.StreamResponse, run: Path) -> None:
        """Send the run's state whenever it has changed, until the server ends or the client leaves."""
        last: RunState | None = None
        ticks = 0
        while not self._ending.is_set():
            state = await asyncio.to_thread(read_state, run)
            ticks += 1
            if state != last or ticks >= _HEARTBEAT_TICKS:
                said = {"status": state.status, "page": state.page, "decisions": state.decisions}
                with callers.client_has_the_turn(request, self._settings.patience_s):
                    await response.write(f"event: state\ndata: {json.dumps(said)}\n\n".encode("ascii"))
                last, ticks = state, 0
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), _TICK_S)

    async def _show_decisions(self, request: web.Request) -> web.Response:
        found = await asyncio.to_thread(read_decisions, self._find(request))
        items = [
            {"target": target, "id": item, **_show_standing(standing)}
            for (target, item), standing in settle_decisions(found.decisions).standings.items()
        ]
        return web.json_response({"author": self._name(request), "damage": found.describe_damage(), "items": items})

    async def _decide(self, request: web.Request) -> web.Response:
        run, asked = self._find(request), await self._receive(request)
        try:
            decision = Decision(author=self._name(request), time=datetime.now(UTC), **dict(asked))
        except ValidationError as error:
            raise Refusal("invalid", name_problem(error)) from None
        if decision.decision != "revoke" and not await self._has(run, *decision.key):
            raise Refusal("not_found", f"the run has no {decision.target} {decision.id}")
        [written] = await asyncio.to_thread(add_decisions, run, [decision])
        review = settle_decisions((await asyncio.to_thread(read_decisions, run)).decisions)
        standing = review.standings.get(written.key, Standing())
        said = {"target": written.target, "id": written.id, **_show_standing(standing)}
        return web.json_response(said, status=201)

    async def _receive(self, request: web.Request) -> DecisionRequest:
        callers.require_json(request)
        try:
            with callers.client_has_the_turn(request, self._settings.patience_s):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise callers.too_large(request.client_max_size) from None
        try:
            return DecisionRequest.model_validate(parse_json(body.decode("utf-8")))
        except ValidationError as error:
            raise Refusal("invalid", name_problem(error)) from None
        except ValueError:
            raise Refusal("bad_json", "the body is no JSON text") from None

    async def _show_queue(self, request: web.Request) -> web.Response:
        run, given = self._find(request), request.query.get("within", str(HALF_WIDTH))
        try:
            half_width = float(given)
        except ValueError:
            half_width = 0.0
        if not 0.001 <= half_width <= 0.5:
            raise Refusal("invalid", "within: half the width of the interval, from 0.001 to 0.5")
        functions, found = await self._make(run, read_functions), await asyncio.to_thread(read_decisions, run)
        queue = make_queue(functions, settle_decisions(found.decisions), half_width=half_width)
        return web.json_response(queue.model_dump(mode="json"))

    def _find(self, request: web.Request) -> Path:
        number = int(request.match_info["run"])
        if number >= len(self._runs):
            raise Refusal("not_found", f"there are {len(self._runs)} runs here, counted from 0")
        return self._runs[number]

    def _name(self, request: web.Request) -> str:
        """Return the reviewer's name: the one given with the token, else that of the server's user."""
        return _read_login(request)[0] or self._author

    @web.middleware
    async def _frame(self, request: web.Request, handler: callers.Handler) -> web.StreamResponse:
        connection = callers.connection_of(request)
        connection.work()
        try:
            response = await self._respond(request, handler)
            if not response.prepared:
                response.headers.update({**_HEADERS, **response.headers})
                if request.body_exists and not request.content.at_eof():
                    response.force_close()  # the rest of a refused body is not read
                await response.prepare(request)
                with callers.client_has_the_turn(request, self._settings.patience_s):
                    await response.write_eof()
            return response
        finally:
            callers.wait_for_next(connection, request)

    async def _respond(self, request: web.Request, handler: callers.Handler) -> web.StreamResponse:
        try:
            self._check_caller(request)
            return await handler(request)
        except Refusal as refusal:
            found = refusal
        except AutoIFError as error:
            found = Refusal("run_unreadable", show_in_line(str(error)))
        except web.HTTPMethodNotAllowed:
            found = Refusal("method_not_allowed", "this route takes something else")
        except web.HTTPException:
            found = Refusal("not_found", "there is no such page: / leads to the first run")
        except ConnectionError:  # the client has left
            raise
        except Exception:  # an error in one request must not affect the others
            _logger.exception("a request failed")
            found = Refusal("internal", "this request failed in the server; its log says why")
        if _is_visit(request):  # somebody reads it
            return web.Response(text=f"{found.message}\n", status=found.status, headers=found.headers)
        return callers.show_refusal(found)

    def _check_caller(self, request: web.Request) -> None:
        token = self._settings.token
        if not token:
            callers.refuse_foreign_name(request)
        elif not hmac.compare_digest(_read_login(request)[1].encode("utf-8", "surrogateescape"), token.encode("ascii")):
            asked = {"WWW-Authenticate": 'Basic realm="autoif: your name, and the token as password", charset="UTF-8"'}
            raise Refusal("no_token", "give the token: as password, or as Authorization: Bearer TOKEN", asked)
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.host:
            raise Refusal("wrong_origin", "a page of another origin may not ask this server")
        if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"} and not _is_visit(request):
            raise Refusal("wrong_origin", "a page of another origin may not ask this server")


def _is_visit(request: web.Request) -> bool:
    """Tell whether the request is a browser's navigation to a page."""
    return request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate"


def _read_login(request: web.Request) -> tuple[str, str]:
    """Return the name and the token in a request, each "" if missing."""
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return "", shown.strip()
    if scheme.lower() == "basic":
        with suppress(binascii.Error, UnicodeDecodeError):
            name, _, token = base64.b64decode(shown.strip(), validate=True).decode("utf-8").partition(":")
            return name.strip(), token
    return "", ""


def _show_standing(standing: Standing) -> dict[str, Any]:
    def show(decisions: Sequence[Decision]) -> list[dict[str, str]]:
        return [
            {"author": each.author, "comment": each.comment, "time": each.time.isoformat(timespec="seconds")}
            for each in decisions
        ]

    return {
        "verdict": standing.verdict,
        "accepted": show(standing.accepted),
        "rejected": show(standing.rejected),
        "comments": show(standing.comments),
    }


def read_state(run: Path) -> RunState:
    """Return fingerprints of the times and sizes of the run's files, which show whether they have changed.

    Raises:
        StoreError: run.json is damaged.
    """
    shown = (MANIFEST, *FOLDERS, SFT, PREFERENCES, REVIEWED, AUDIT)
    page, decisions = ("".join(_stamp(run / name) for name in names) for names in (shown, (DECISIONS,)))
    return RunState(str(read_manifest(run).get("status", "")), page, decisions)


def _stamp(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return "-"
    return f"{found.st_mtime_ns:x}.{found.st_size:x} "


async def view_until_stopped(runs: Sequence[Path], settings: ServiceSettings, author: str, announce: Say) -> None:
    """Serve until SIGTERM or SIGINT; `announce` gets the URL once the server accepts requests.

    Raises:
        ConfigError: it can't listen on the address, or other machines could reach it without a token.
    """
    require_token_beyond_loopback(settings)
    stops = catch_stops()
    viewer = Viewer(runs, settings, author)
    async with listening(viewer, settings) as url:
        announce(url)
        await stops.get()
        await viewer.end()
