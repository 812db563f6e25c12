"""What servers say when they don't answer: what is wrong, how long to wait, which models there are instead."""

import asyncio
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from autoif.errors import ModelError
from autoif.messages import list_some
from autoif.models.bodies import read_body, read_content
from autoif.models.catalog import load_catalog
from autoif.models.complaints import ComplaintKind, find_kind, is_missing_model, is_missing_page
from autoif.models.dialect import FIELDS
from autoif.models.endpoint import Endpoint, check_url, is_own_host
from autoif.models.text import clean_text
from autoif.models.waits import find_wait_s
from autoif.reading.json_text import parse_json

_LISTED_MODELS = 10
_LEAST_WORDS = 4
"""Of a complaint that says what is wrong."""
_ECHOES = frozenset({"input", "failed_generation", "prompt", "messages", "user_id", "request_id", "id"})
"""Members of a complaint that repeat the request."""
_DEEPEST = 9
_MOST_CHARS = 100_000
"""Of a complaint that is looked at."""


_PLACE = re.compile(
    r"(?:country|region|territory|location)[^.]{0,60}(?:not|un)[ -]?(?:supported|available|allowed|permitted|served)"
    r"|(?:unsupported|unavailable|not (?:supported|available|allowed|permitted))[^.]{0,60}(?:country|region|territory)",
    re.IGNORECASE,
)
_WANTS_TLS = re.compile(r"plain HTTP request was sent to HTTPS|HTTP request to an HTTPS server", re.IGNORECASE)
_API_VERSION = re.compile(r"api[- ]version", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Complaint:
    """An error's body, read."""

    sentence: str
    """The server's own words, one line, for people."""
    words: str
    """All it says, in whatever nesting, for telling which field is meant."""
    code: int = 0
    """An HTTP status that it names itself, 0 if none."""
    wait_s: float = 0.0
    """How long it asks to wait."""
    is_json: bool = True
    """Whether it is of the API; a page in HTML or a bare text is of what stands before it."""

    def kind(self, status: int) -> ComplaintKind:
        """Return what an answer with this status complains about."""
        return find_kind(self.words, status, says_when=self.wait_s > 0)


_ERRORS = ("error", "errors", "error_msg", "error_code", "errorMessage")
_WORDS = ("message", "detail", "msg")
_NO_ERROR: tuple[object, ...] = (None, "", 0, "0", [])
_NO_ERROR_WORDS = frozenset({"none", "null", "ok", "success", "no error", "false", "no"})
_FINE = (0, "0", 200, "200")
_BLOCKS = ("promptFeedback", "prompt_feedback")


def says_error(answer: Mapping[str, Any]) -> bool:
    """Tell whether an answer with status 200 is an error: OpenRouter's and LM Studio's `error`, MiniMax's `base_resp`,
    Baidu's `error_code`, Cloudflare's `errors`; or words in place of choices, as of DashScope, or
    Gemini's word on a prompt that it blocks.

    What came of choices by then is half an answer.
    """
    base = answer.get("base_resp")
    if isinstance(base, dict) and base.get("status_code") not in _NO_ERROR:
        return True
    if any(_is_error(answer.get(name)) for name in _ERRORS):
        return True
    if answer.get("choices"):
        return False
    return any(isinstance(answer.get(name), str) and answer[name] for name in _WORDS) or any(map(answer.get, _BLOCKS))


def _is_error(value: object) -> bool:
    if isinstance(value, dict):
        return value.get("code") not in _FINE and any(value.values())
    return value not in _NO_ERROR and not (isinstance(value, str) and value.strip().lower() in _NO_ERROR_WORDS)


def read_complaint(content: bytes, headers: Mapping[str, str] | None = None, *, is_busy: bool = True) -> Complaint:
    """Read the body of an error: OpenAI's form, FastAPI's, Google's list, JSON inside a string, or any other.

    Limits that are reset some time are a reason to wait for a server that `is_busy` only: many tell of them always.
    """
    text = content.decode("utf-8", "replace").removeprefix("\ufeff").strip()
    body = _parse(text)
    text = text[:_MOST_CHARS]
    if body is None:
        sentence = "a web page" if text.startswith("<") else clean_text(text) or "no explanation"
        return Complaint(
            _one_line(sentence),
            _one_line(clean_text(text))[:4000],
            wait_s=find_wait_s(headers or {}, text, None, resets=is_busy),
            is_json=False,
        )
    words = _one_line(clean_text(" · ".join(_strings(body))))[:4000]
    sentence = _one_line(clean_text(_sentence(body) or words or text))
    return Complaint(
        sentence, f"{sentence} · {words}", _code(body), find_wait_s(headers or {}, words, body, resets=is_busy)
    )


def find_remedy(base_url: str, status: int, words: str) -> str:
    """Return what to do about a refusal that is of whoever asks, whatever key, model and request; "" of others."""
    azure = (".azure.com" in base_url and "/openai/v1" not in base_url) or "/deployments/" in base_url
    if status == 400 and _WANTS_TLS.search(words):
        return "write https:// in base_url"
    if azure and "api-version=" not in base_url and (status == 404 or (status == 400 and _API_VERSION.search(words))):
        return "write base_url as Azure shows it, with ?api-version=… at its end"
    if status in {400, 403, 451} and _PLACE.search(words):
        return "ask from where it is supported, or take another endpoint"
    if status == 407:
        return "write the proxy's user and password into the variable that names it, as http://user:password@proxy:3128"
    return ""


def find_new_address(asked: str, location: str) -> str:
    """Return the base URL to which a redirect of a page of the API leads; "" if it leads elsewhere."""
    moved = urljoin(asked, location)
    page = urlsplit(asked).path.rpartition("/v1")[2]
    try:
        return check_url(moved) if page and urlsplit(moved).path.endswith(page) else ""
    except ValueError:
        return ""


async def speaks_tls(url: str, timeout_s: float) -> bool:
    """Tell whether TLS is spoken at an address of http://, whatever the certificate."""
    parts = urlsplit(url)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        opening = asyncio.open_connection(parts.hostname, parts.port or 80, ssl=context)
        _, writer = await asyncio.wait_for(opening, timeout_s)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _parse(text: str) -> Any:
    """Return the JSON in a text, or in a stream of events, if it is an object or a list, else None."""
    try:
        if text.startswith(("data:", "event:")):
            return read_body(text.encode("utf-8", "replace"))
        return parse_json(text) if text[:1] in {"{", "["} else None
    except ValueError:
        return None


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _sentence(body: Any, depth: int = 0) -> str:
    """Return the sentence that is meant for people, with the field or code at fault if it lacks them; "" if none."""
    if depth == _DEEPEST:
        return ""
    match body:
        case str():
            inner = _parse(body.strip())
            return (_sentence(inner, depth + 1) or body) if inner is not None else body
        case [*items]:
            return "; ".join(filter(None, (_fault(item, depth + 1) for item in items[:5])))
        case {"loc": [*_], "msg": str(_)}:
            return _fault(body, depth)
        case {"error": error} if error:
            return _sentence(error, depth + 1)
        case {"base_resp": {"status_msg": str(message)}} if message:
            return message
        case {"promptFeedback": dict(feedback)} | {"prompt_feedback": dict(feedback)}:
            return f"the prompt is blocked: {', '.join(_strings(feedback, depth + 1)) or 'no reason told'}"
        case {"errors": [*_] as errors} if errors:
            return _sentence(errors, depth + 1)
        case {"message": message, **rest} if message:
            # The field at fault, or the code, is often missing from the message; so is what a gateway passes on.
            said = _sentence(message, depth + 1)
            named = [
                str(rest[name])
                for name in ("param", "code", "type")
                if isinstance(rest.get(name), str | int) and rest[name]
            ]
            metadata = rest.get("metadata")
            raw = _sentence(metadata.get("raw", ""), depth + 1) if isinstance(metadata, dict) else ""
            return said + (f": {raw}" if raw else "") + (f" ({', '.join(named)})" if named else "")
        case {"detail": detail} if detail:
            return _sentence(detail, depth + 1)
        case {"msg": str(message)} | {"error_msg": str(message)} | {"errorMessage": str(message)}:
            return message
    return ""


def _fault(item: Any, depth: int) -> str:
    match item:
        case {"loc": [*path], "msg": str(message)}:  # without its `input`, which repeats the request
            return f"{'.'.join(map(str, path))}: {message}"
    return _sentence(item, depth)


def _strings(body: Any, depth: int = 0) -> Iterator[str]:
    """Yield every text in a complaint, those inside JSON inside strings, too, without what repeats the request."""
    if depth == _DEEPEST:
        return
    if isinstance(body, str):
        inner = _parse(body.strip())
        if inner is None:
            yield body
        else:
            yield from _strings(inner, depth + 1)
    elif isinstance(body, list):
        for item in body[:20]:
            yield from _strings(item, depth + 1)
    elif isinstance(body, dict):
        for name, value in body.items():
            if name not in _ECHOES:
                if name in FIELDS and isinstance(value, str | list):
                    yield name  # what is wrong with a field, by its name
                yield from _strings(value, depth + 1)


_STATUS = re.compile(r"[45][0-9][0-9]")


def _code(body: Any) -> int:
    match body:
        case [first, *_]:
            return _code(first)
        case {"error": dict(error)}:
            return _code(error)
        case {"code": int(code) | str(code)} if _STATUS.fullmatch(str(code)):
            return int(code)
        case {"status": int(code) | str(code)} if _STATUS.fullmatch(str(code)):
            return int(code)
    return 0


def is_html(response: aiohttp.ClientResponse, content: bytes) -> bool:
    return response.content_type == "text/html" or content.lstrip()[:1] == b"<"


async def explain_missing(
    session: aiohttp.ClientSession, endpoint: Endpoint, status: int, complaint: str, *, is_json: bool
) -> str:
    """Return what a 404 means: a model that the server doesn't have, an address that isn't the API, or what the API
    itself says of it."""
    url = endpoint.addresses[0]
    names = await list_models(session, endpoint)
    hint = "; name one of its models (--model, models.ROLE.model)" if endpoint.model in load_catalog() else ""
    named = re.search(rf"(?<!\w){re.escape(endpoint.model)}(?!\w)", complaint) or is_missing_model(complaint)
    if names is None and named:
        return f"{url} has no model {endpoint.model!r} (HTTP {status}): {complaint}{hint}"
    if names is None and is_json and len(complaint.split()) >= _LEAST_WORDS and not is_missing_page(complaint):
        return f"{url} can't do this (HTTP {status}): {complaint}{hint}"
    if names is None:
        meant = f", as in {url}/v1" if "/v" not in urlsplit(url).path else ""
        return f"{url} has no such page (HTTP {status}): base_url should be the API's and end in /v1{meant}"
    if endpoint.model.removeprefix("models/") not in names:
        return f"{url} has no model {endpoint.model!r}; it offers: {list_some(names, _LISTED_MODELS) or 'none'}{hint}"
    return f"{url} can't do this with the model {endpoint.model!r}: {complaint}"


async def list_models(session: aiohttp.ClientSession, endpoint: Endpoint) -> list[str] | None:
    """Return the names of the models that an endpoint lists; None if it doesn't answer or has no list."""
    try:
        async with session.get(endpoint.url("/models"), allow_redirects=False) as response:
            listing = read_body(await read_content(response), response.charset)
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None
    return read_model_names(listing)


def read_model_names(listing: Any) -> list[str] | None:
    """Return the names in a list of models: OpenAI's, Together's, Ollama's and Gemini's; None if it is none."""
    match listing:
        case {"data": [*models]} | {"models": [*models]} | [*models]:
            named = (each.get("id", each.get("name")) if isinstance(each, dict) else each for each in models)
            return sorted(each.removeprefix("models/") for each in named if isinstance(each, str))
    return None


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment sets for this address, if any; none for this machine itself.
    Raises ModelError: it is a SOCKS proxy, or no address at all."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_own_host(host) or proxy_bypass(parts.netloc):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy:
        return None
    try:
        split = urlsplit(proxy)
        fine = split.scheme in {"http", "https"} and split.hostname and (split.port or True)
    except ValueError:
        fine = False
    if not fine:
        shown = re.sub(r"//[^/@]*@", "//***@", proxy)
        raise ModelError(
            f"the environment sets the proxy {shown!r} for {host}: an http(s) proxy is wanted, SOCKS is not supported; "
            f"correct {parts.scheme}_proxy or all_proxy, or add {host} to no_proxy"
        )
    return proxy
