"""Reads servers' error responses: what is wrong, how long to wait, which models there are instead."""

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
"""A complaint with fewer words doesn't say what is wrong."""
_ECHOES = frozenset({"input", "failed_generation", "prompt", "messages", "user_id", "request_id", "id"})
"""Members of a complaint that repeat the request."""
_MAX_DEPTH = 9
_MOST_CHARS = 100_000
"""Only this much of a complaint is read."""


_REGION = re.compile(
    r"(?:country|region|territory|location)[^.]{0,60}(?:not|un)[ -]?(?:supported|available|allowed|permitted|served)"
    r"|(?:unsupported|unavailable|not (?:supported|available|allowed|permitted))[^.]{0,60}(?:country|region|territory)",
    re.IGNORECASE,
)
_WANTS_TLS = re.compile(r"plain HTTP request was sent to HTTPS|HTTP request to an HTTPS server", re.IGNORECASE)
_API_VERSION = re.compile(r"api[- ]version", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Complaint:
    """The contents of an error response."""

    sentence: str
    """The server's own message in one line, for people."""
    words: str
    """All texts in the body, at any depth, for finding which field is meant."""
    code: int = 0
    """The HTTP status that the body names; 0 if none."""
    wait_s: float = 0.0
    """How long the server asks to wait; 0 if it doesn't."""
    is_json: bool = True
    """Whether it comes from the API itself; HTML or plain text comes from a proxy or firewall before it."""

    def kind(self, status: int) -> ComplaintKind:
        """Return what the complaint is about, given the response's status."""
        return find_kind(self.words, status, says_when=self.wait_s > 0)


_ERRORS = ("error", "errors", "error_msg", "error_code", "errorMessage")
_WORDS = ("message", "detail", "msg")
_NO_ERROR: tuple[object, ...] = (None, "", 0, "0", [])
_NO_ERROR_WORDS = frozenset({"none", "null", "ok", "success", "no error", "false", "no"})
_SUCCESS_CODES = (0, "0", 200, "200")
_BLOCKED_PROMPT = ("promptFeedback", "prompt_feedback")


def says_error(answer: Mapping[str, Any]) -> bool:
    """Return whether an answer with status 200 is an error.

    That is OpenRouter's and LM Studio's `error`, MiniMax's `base_resp`, Baidu's `error_code`, Cloudflare's `errors`, a
    message in place of choices, as DashScope sends, or Gemini's feedback on a prompt that it blocks. With an error, any
    choices are incomplete.
    """
    base = answer.get("base_resp")
    if isinstance(base, dict) and base.get("status_code") not in _NO_ERROR:
        return True
    if any(_is_error(answer.get(name)) for name in _ERRORS):
        return True
    if answer.get("choices"):
        return False
    return any(isinstance(answer.get(name), str) and answer[name] for name in _WORDS) or any(
        map(answer.get, _BLOCKED_PROMPT)
    )


def _is_error(value: object) -> bool:
    if isinstance(value, dict):
        return value.get("code") not in _SUCCESS_CODES and any(value.values())
    return value not in _NO_ERROR and not (isinstance(value, str) and value.strip().lower() in _NO_ERROR_WORDS)


def read_complaint(content: bytes, headers: Mapping[str, str] | None = None, *, is_busy: bool = True) -> Complaint:
    """Read the body of an error response: OpenAI's form, FastAPI's, Google's list, JSON inside a string, or any other.

    The reset times of rate limits count only if the server `is_busy`, as many servers always send them.
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
    words = _one_line(clean_text(" · ".join(_list_strings(body))))[:4000]
    sentence = _one_line(clean_text(_find_sentence(body) or words or text))
    return Complaint(
        sentence, f"{sentence} · {words}", _find_code(body), find_wait_s(headers or {}, words, body, resets=is_busy)
    )


def find_remedy(base_url: str, status: int, words: str) -> str:
    """Return what to do about a refusal that is not due to key, model or request; "" for other refusals."""
    azure = (".azure.com" in base_url and "/openai/v1" not in base_url) or "/deployments/" in base_url
    if status == 400 and _WANTS_TLS.search(words):
        return "write https:// in base_url"
    if azure and "api-version=" not in base_url and (status == 404 or (status == 400 and _API_VERSION.search(words))):
        return "write base_url as Azure shows it, with ?api-version=… at its end"
    if status in {400, 403, 451} and _REGION.search(words):
        return "ask from where it is supported, or take another endpoint"
    if status == 407:
        return "write the proxy's user and password into the variable that names it, as http://user:password@proxy:3128"
    return ""


def find_new_address(asked: str, location: str) -> str:
    """Return the base URL to which a redirect of an API path leads; "" if it doesn't lead to the same path."""
    moved = urljoin(asked, location)
    page = urlsplit(asked).path.rpartition("/v1")[2]
    try:
        return check_url(moved) if page and urlsplit(moved).path.endswith(page) else ""
    except ValueError:
        return ""


async def speaks_tls(url: str, timeout_s: float) -> bool:
    """Return whether the server at an http:// address speaks TLS, whatever its certificate."""
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
    """Return the JSON object or list in a text or a stream of events; None if there is none."""
    try:
        if text.startswith(("data:", "event:")):
            return read_body(text.encode("utf-8", "replace"))
        return parse_json(text) if text[:1] in {"{", "["} else None
    except ValueError:
        return None


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _find_sentence(body: Any, depth: int = 0) -> str:
    """Return the message that is meant for people, with the field or code at fault added; "" if there is none."""
    if depth == _MAX_DEPTH:
        return ""
    match body:
        case str():
            inner = _parse(body.strip())
            return (_find_sentence(inner, depth + 1) or body) if inner is not None else body
        case [*items]:
            return "; ".join(filter(None, (_describe_fault(item, depth + 1) for item in items[:5])))
        case {"loc": [*_], "msg": str(_)}:
            return _describe_fault(body, depth)
        case {"error": error} if error:
            return _find_sentence(error, depth + 1)
        case {"base_resp": {"status_msg": str(message)}} if message:
            return message
        case {"promptFeedback": dict(feedback)} | {"prompt_feedback": dict(feedback)}:
            return f"the prompt is blocked: {', '.join(_list_strings(feedback, depth + 1)) or 'no reason told'}"
        case {"errors": [*_] as errors} if errors:
            return _find_sentence(errors, depth + 1)
        case {"message": message, **rest} if message:
            # The field at fault, or the code, is often missing from the message; so is what a gateway passes on.
            text = _find_sentence(message, depth + 1)
            named = [
                str(rest[name])
                for name in ("param", "code", "type")
                if isinstance(rest.get(name), str | int) and rest[name]
            ]
            metadata = rest.get("metadata")
            raw = _find_sentence(metadata.get("raw", ""), depth + 1) if isinstance(metadata, dict) else ""
            return text + (f": {raw}" if raw else "") + (f" ({', '.join(named)})" if named else "")
        case {"detail": detail} if detail:
            return _find_sentence(detail, depth + 1)
        case {"msg": str(message)} | {"error_msg": str(message)} | {"errorMessage": str(message)}:
            return message
    return ""


def _describe_fault(item: Any, depth: int) -> str:
    match item:
        case {"loc": [*path], "msg": str(message)}:  # without its `input`, which repeats the request
            return f"{'.'.join(map(str, path))}: {message}"
    return _find_sentence(item, depth)


def _list_strings(body: Any, depth: int = 0) -> Iterator[str]:
    """Yield every text in a complaint, including JSON inside strings, without what repeats the request."""
    if depth == _MAX_DEPTH:
        return
    if isinstance(body, str):
        inner = _parse(body.strip())
        if inner is None:
            yield body
        else:
            yield from _list_strings(inner, depth + 1)
    elif isinstance(body, list):
        for item in body[:20]:
            yield from _list_strings(item, depth + 1)
    elif isinstance(body, dict):
        for name, value in body.items():
            if name not in _ECHOES:
                if name in FIELDS and isinstance(value, str | list):
                    yield name  # the value tells what is wrong with the field of this name
                yield from _list_strings(value, depth + 1)


_STATUS = re.compile(r"[45][0-9][0-9]")


def _find_code(body: Any) -> int:
    match body:
        case [first, *_]:
            return _find_code(first)
        case {"error": dict(error)}:
            return _find_code(error)
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
    """Explain a 404: the server lacks the model, the address isn't the API's, or the API can't do what was asked."""
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
    """Return the names in a list of models by OpenAI, Together, Ollama or Gemini; None if it is no such list."""
    match listing:
        case {"data": [*models]} | {"models": [*models]} | [*models]:
            named = (each.get("id", each.get("name")) if isinstance(each, dict) else each for each in models)
            return sorted(each.removeprefix("models/") for each in named if isinstance(each, str))
    return None


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment sets for this address; None if there is none or it is a loopback address.
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
