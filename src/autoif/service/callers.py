"""What every server here asks of its callers: a name of this machine, a body that is JSON, steps in time."""

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
    """Raise Refusal if a server without a token is called by a name that isn't this machine's own."""
    # A page in a browser on this machine may reach us under a name of its own that points here.
    if not is_own_name(request.host):
        raise Refusal("wrong_host", "call this server by the address it listens on")


def require_json(request: web.Request) -> None:
    """Raise Refusal if the body is not announced as JSON, or as larger than it may be."""
    # Not only for order's sake: a web page can't send this type to another origin without asking first.
    packed = {*request.headers.getall("Content-Encoding", ())} - {"identity"}
    if request.content_type != "application/json" or packed:
        raise Refusal("not_json", "send the body as application/json, not compressed")
    if (request.content_length or 0) > request.client_max_size:
        raise too_large(request.client_max_size)


def connection_of(request: web.Request) -> Connection:
    """Return the connection that a request came on. Raises ConnectionResetError if it is gone."""
    if request.transport is None:
        raise ConnectionResetError("the client has left")
    connection = request.transport.get_protocol()
    assert isinstance(connection, Connection), "the server listens by `server.listening`"
    return connection


def wait_for_next(connection: Connection, request: web.Request) -> None:
    """Wait for the next request, and before it for what is left of a refused body, which is no head."""
    connection.wait(KEEP_ALIVE_S)
    request.content.on_eof(partial(connection.wait_for_head, KEEP_ALIVE_S))


@contextmanager
def client_has_the_turn(request: web.Request, seconds: float) -> Iterator[None]:
    """Hang up within the block if the client lets so long pass without a step."""
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
    """Return what aiohttp says of a route as one of our refusals."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return Refusal("method_not_allowed", f"this route takes {allowed}", {"Allow": allowed})
    return Refusal("not_found", "no such route: GET /docs shows those that there are")


def too_large(most_bytes: int) -> Refusal:
    """Return the refusal of a body that is longer than this."""
    return Refusal("body_too_large", f"the body may have {most_bytes:,} bytes: send less at once")


def show_refusal(refusal: Refusal) -> web.Response:
    """Return the answer to a request that is refused."""
    said = {"error": {"code": refusal.code, "message": refusal.message}}
    return web.json_response(said, status=refusal.status, headers=refusal.headers)
