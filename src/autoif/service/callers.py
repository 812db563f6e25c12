"""Checks that every server here makes of its callers: a local host name, a JSON body, no waiting too long."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_address

from aiohttp import web

from autoif.service.connections import Connection
from autoif.service.schemas import Refusal

KEEP_ALIVE_S = 75.0
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def refuse_foreign_name(request: web.Request) -> None:
    """Raise Refusal if the request's host is not a name of this machine, as a server without a token must."""
    # Against DNS rebinding: a web page may reach this server by a name of its own that points to this machine.
    if not is_own_name(request.host):
        raise Refusal("wrong_host", "call this server by the address it listens on")


def require_json(request: web.Request) -> None:
    """Raise Refusal if the headers announce a body that is not JSON, is compressed, or is too large."""
    # The type is a protection, too: a web page can't send it to another origin without asking first.
    compressions = {*request.headers.getall("Content-Encoding", ())} - {"identity"}
    if request.content_type != "application/json" or compressions:
        raise Refusal("not_json", "send the body as application/json, not compressed")
    if (request.content_length or 0) > request.client_max_size:
        raise too_large(request.client_max_size)


def connection_of(request: web.Request) -> Connection:
    """Return the connection of a request. Raises ConnectionResetError: it is closed."""
    if request.transport is None:
        raise ConnectionResetError("the client has left")
    connection = request.transport.get_protocol()
    assert isinstance(connection, Connection), "the server wasn't started with `listening.listening`"
    return connection


def wait_for_next(connection: Connection, request: web.Request) -> None:
    """Wait for the client's next request, after what may be left of a refused body."""
    connection.wait(KEEP_ALIVE_S)
    request.content.on_eof(partial(connection.wait_for_head, KEEP_ALIVE_S))


@contextmanager
def client_has_the_turn(request: web.Request, seconds: float) -> Iterator[None]:
    """Hang up if the block, in which the server waits for the client, takes longer than this."""
    connection = connection_of(request)
    connection.wait(seconds)
    try:
        yield
    finally:
        connection.work()


def is_own_name(host: str) -> bool:
    """Tell whether a Host header names the machine itself."""
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    try:
        return name.lower() == "localhost" or ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def translate(error: web.HTTPException) -> Refusal:
    """Turn aiohttp's error about a route into a refusal."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return Refusal("method_not_allowed", f"this route takes {allowed}", {"Allow": allowed})
    return Refusal("not_found", "no such route: GET /docs shows those that there are")


def too_large(most_bytes: int) -> Refusal:
    """Return the refusal of a body that has more than `most_bytes`."""
    return Refusal("body_too_large", f"the body may have {most_bytes:,} bytes: send less at once")


def show_refusal(refusal: Refusal) -> web.Response:
    """Return the answer to a refused request."""
    error = {"code": refusal.code, "message": refusal.message}
    return web.json_response({"error": error}, status=refusal.status, headers=refusal.headers)
