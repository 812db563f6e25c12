"""What servers say when they don't answer: what is wrong, how long to wait, which models there are instead."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from autoif.models.endpoint import Endpoint

_LISTED_MODELS = 10


def server_sentence(content: bytes) -> str:
    """Return the server's own words from the body of an error: OpenAI's, FastAPI's, or any other form."""
    text = content.decode("utf-8", "replace").strip()
    try:
        body = json.loads(text)
    except ValueError:
        return "a web page" if text.startswith("<") else text or "no explanation"
    match body:
        case {"error": {"message": str(message), **rest}}:
            # The field at fault, or the code, is often missing from the message.
            named = [str(rest[name]) for name in ("param", "code", "type") if rest.get(name)]
            return f"{message} ({', '.join(named)})" if named else message
        case {"error": str(message)} | {"message": str(message)} | {"detail": str(message)}:
            return message
        case {"detail": [*faults]}:
            # Without their `input`, which repeats the request.
            return "; ".join(_validation_fault(fault) for fault in faults)
    return text


def _validation_fault(fault: object) -> str:
    match fault:
        case {"loc": [*path], "msg": str(message)}:
            return f"{'.'.join(map(str, path))}: {message}"
    return str(fault)


def is_html(response: aiohttp.ClientResponse, content: bytes) -> bool:
    return response.content_type == "text/html" or content.lstrip()[:1] == b"<"


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Return the seconds that `Retry-After` asks for, as a number or as an HTTP date; 0 if it asks for none."""
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return 0.0
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0


async def explain_missing(session: aiohttp.ClientSession, endpoint: Endpoint, status: int, complaint: str) -> str:
    """Return what a 404 means: a model that the server doesn't have, or an address that isn't the API."""
    names = await list_models(session, endpoint)
    if names is None:
        return f"{endpoint.base_url} has no such page (HTTP {status}): base_url should be the API's and end in /v1"
    if endpoint.model not in names:
        listed = ", ".join(names[:_LISTED_MODELS]) + (", …" if len(names) > _LISTED_MODELS else "")
        return f"{endpoint.base_url} has no model {endpoint.model!r}; it offers: {listed or 'none'}"
    return f"{endpoint.base_url} can't do this with the model {endpoint.model!r}: {complaint}"


async def list_models(session: aiohttp.ClientSession, endpoint: Endpoint) -> list[str] | None:
    """Return the names of the models that an endpoint lists; None if it doesn't answer or has no list."""
    try:
        async with session.get(endpoint.base_url + "/models", allow_redirects=False) as response:
            listing: Any = json.loads(await response.read())
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None
    match listing:
        case {"data": [*models]}:
            return sorted(str(each["id"]) for each in models if isinstance(each, dict) and "id" in each)
    return None


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment sets for this address, if any; none for this machine itself."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in {"localhost", "::1"} or host.startswith("127.") or proxy_bypass(parts.netloc):
        return None
    return getproxies().get(parts.scheme)
