"""One address over HTTP: makes a single attempt at a request, and raises errors that say what to do.

| exception    | the failure                                                                                   |
|--------------|-----------------------------------------------------------------------------------------------|
| `Passing`    | may pass by itself (time-out, reset, half an answer, 408, 425, 429, 5xx): `fleet` tries again |
| `Rejected`   | is about this request (400, 413, 422, a prompt too long or not wanted): the caller decides    |
| `ModelError` | lasts until somebody changes a setting or pays                                                |
"""

import asyncio
import errno
import os
import ssl
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp

from autoif.errors import ModelError
from autoif.messages import Say
from autoif.models import replies
from autoif.models.bodies import ENCODINGS, LARGE_BYTES, MAX_BODY_BYTES, UnreadableBody, read_body, read_content
from autoif.models.complaints import ComplaintKind, guess_status, is_about_field, is_about_request, is_missing_model
from autoif.models.embedded import explain_end
from autoif.models.endpoint import Endpoint
from autoif.models.pace import Pace
from autoif.models.text import clean_text
from autoif.processors import raise_descriptors

Read = TypeVar("Read")

_BUSY = {429, 498, 503, 529}
"""498 is Groq's, for lack of capacity."""
_PASSING = {408, 409, 424, 425, 499}
_FINAL = {403, 404, 405, 410}
"""Once a server has answered, these are final only if they come in the API's own form (JSON). Otherwise they come from
what stands before the server: a firewall that dislikes a prompt, or a proxy whose server is just being started."""
_SHOWN_BYTES = 200
_LEAST_KEY = 12
"""Shorter keys are not struck from answers, which may contain them by chance: people give servers without keys any
word as the key."""
_MOST_HEADER_BYTES = 1 << 16
"""Limit for one header line; aiohttp's is 8,190, and gateways send longer policies and cookies."""
_DESCRIPTORS = 1 << 16
"""Each request under way takes a file descriptor; systems allow 256 or 1,024 unless asked for more."""
_PATIENCE = 300
"""How long a server may be busy without answering any request, in multiples of `retry_wait_s`."""
_LOADING_PATIENCE = 1800
"""The same for a server that is loading its model."""


class Rejected(Exception):
    """The server refuses this one request; the message is the server's own."""

    def __init__(self, complaint: replies.Complaint, kind: ComplaintKind) -> None:
        super().__init__(complaint.sentence)
        self.words = complaint.words
        """All texts of the complaint, for finding the field that is meant."""
        self.is_about_content = kind == ComplaintKind.CONTENT
        """Whether the content of the prompt is refused, so that no other form of the request will help."""


class Passing(Exception):
    """A failure that may pass by itself."""

    def __init__(
        self, what: str, *, busy: bool = False, gone: bool = False, wait_s: float = 0.0, patience: int = _PATIENCE
    ) -> None:
        super().__init__(what)
        self.busy = busy
        """The server asks for fewer requests."""
        self.gone = gone
        """The server didn't respond, or seems to be broken."""
        self.wait_s = wait_s
        """How long the server asks to wait; 0 if it doesn't."""
        self.patience = patience
        """How long to keep trying while the server answers nothing, in multiples of `retry_wait_s`."""

    @property
    def may_be_its_own(self) -> bool:
        """Whether the request itself may cause the failure, rather than the state of the server."""
        return self.gone or not self.busy


class Unanswered(Exception):
    """A request has used up its retries; the message is that of the last failure."""

    def __init__(self, failure: Passing, *, alone: bool, failures: int = 1, since: float = 0.0) -> None:
        super().__init__(str(failure))
        self.alone = alone
        """Whether only this request fails: servers answered requests sent after its previous failure."""
        self.failures = failures
        self.since = since
        """When the first attempt failed."""


class NotThere(ModelError):
    """The server has no such page, file or model."""


class NoConnection(Passing):
    """Nothing listens at the address."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what, gone=True)
        self.advice = advice
        """The error message to use if the address has never answered."""

    @property
    def may_be_its_own(self) -> bool:
        return False


class Unfinished(Passing):
    """The server failed to finish a choice: worth another try, and never a reason to end the run."""


class Transport:
    """Sends JSON to one address, between `open` and `close`, in one event loop."""

    def __init__(self, endpoint: Endpoint, note: Say = lambda sentence: None) -> None:
        """`endpoint` has one address; `note` is called with what the user should know about it."""
        assert isinstance(endpoint.concurrency, int)
        self.pace = Pace(endpoint.concurrency, retry_wait_s=endpoint.retry_wait_s, slow_s=endpoint.slow_s)
        self.url = endpoint.addresses[0]
        self._may_be_tls = self.url.startswith("http://")
        self._endpoint = endpoint
        self._note = note
        self._session: aiohttp.ClientSession | None = None
        self._answered: set[str] = set()
        """API paths that have given an answer."""
        self._key = os.environ.get(endpoint.api_key_env, "").strip()
        if not (self._key.isascii() and self._key.replace(" ", "").isprintable()):
            raise ModelError(f"the key in ${endpoint.api_key_env} holds characters that no key has: set it again")

    async def open(self) -> None:
        endpoint = self._endpoint
        headers = {"Content-Type": "application/json", "Accept-Encoding": ENCODINGS}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
            if "api-version=" in self.url:  # Azure's
                headers["api-key"] = self._key
        raise_descriptors(_DESCRIPTORS)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, keepalive_timeout=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=endpoint.timeout_s, sock_connect=endpoint.connect_timeout_s),
            headers=headers,
            auto_decompress=False,
            max_line_size=_MOST_HEADER_BYTES,
            max_field_size=_MOST_HEADER_BYTES,
            proxy=replies.proxy_for(self.url),
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def list_models(self) -> list[str] | None:
        """Return the names of the models that the endpoint lists; None if it doesn't answer or has no list."""
        assert self._session is not None, "open it first"
        return await replies.list_models(self._session, self._endpoint)

    async def attempt(self, path: str, data: bytes, read: Callable[[dict[str, Any]], Read]) -> Read:
        """Send JSON once and return what `read` makes of the server's object, which has choices.

        Large answers are parsed and read in a thread, so that other requests go on.

        Raises:
            Rejected: the server refuses this request.
            Passing: another attempt may succeed.
            ModelError: no attempt will succeed.
        """
        if self._session is None:
            raise ModelError(f"the embedded model {self._endpoint.model} is not running: start it before it is asked")
        try:
            async with self._session.post(self._endpoint.url(path), data=data, allow_redirects=False) as response:
                content = self._strike_key(await read_content(response))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            if getattr(error, "errno", None) in {errno.EMFILE, errno.ENFILE}:
                raise Passing("this process may open no more files", busy=True) from error
            if ended := await asyncio.to_thread(explain_end, self.url):
                raise ModelError(ended) from error
            raise NoConnection(f"no connection ({self.shown(str(error))})", self._explain_connection(error)) from error
        except TimeoutError as error:
            what = f"no answer within timeout_s = {self._endpoint.timeout_s:g} s"
            raise Passing(what, busy=True, gone=True) from error
        except (aiohttp.InvalidURL, aiohttp.ClientHttpProxyError) as error:
            wrong = "the proxy" if replies.proxy_for(self.url) else "base_url"
            raise ModelError(f"{self.url} can't be asked ({self.shown(str(error))}): correct {wrong}") from error
        except UnreadableBody as error:
            raise ModelError(f"{self.url} {self.shown(str(error))}") from error
        except aiohttp.ClientError as error:
            may_be_tls, self._may_be_tls = self._may_be_tls and not self.pace.answered, False
            if may_be_tls and await replies.speaks_tls(self.url, self._endpoint.connect_timeout_s):
                raise ModelError(f"{self.url} speaks TLS there: write https:// in base_url") from error
            raise Passing(f"the connection broke ({type(error).__name__}: {error})", gone=True) from error
        if response.status // 100 != 2:
            await self._raise_for(response, response.status, content)
        answer = await self._parse(response, content)
        self._answered.add(response.url.path)
        self._note_cache(response)
        return read(answer) if len(content) < LARGE_BYTES else await asyncio.to_thread(read, answer)

    async def call(
        self, method: str, path: str, data: bytes | None = None, kind: str = "", *, most_bytes: int = MAX_BODY_BYTES
    ) -> bytes:
        """Make any other call of the API and return the body; raise as `attempt` does."""
        assert self._session is not None, "open it first"
        page, _, query = path.partition("?")
        url = self._endpoint.url(page) + (f"?{query}" if query else "")
        headers = {"Content-Type": kind} if kind else {}
        try:
            async with self._session.request(
                method, url, data=data, headers=headers, allow_redirects=False
            ) as response:
                content = await read_content(response, most_bytes)
        except UnreadableBody as error:
            raise ModelError(f"{self.url} {self.shown(str(error))}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Passing(f"no connection ({self.shown(str(error))})", gone=True) from error
        if response.status // 100 != 2:
            await self._raise_for(response, response.status, content)
        return content

    def _explain_connection(self, error: Exception) -> str:
        url, reason = self.url, self.shown(str(error))
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return (
                f"{url}: its TLS certificate is not trusted ({reason}): put its authority's certificate into a file "
                "and its name into SSL_CERT_FILE, or correct the address"
            )
        if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
            return f"{url} speaks no TLS there ({reason}): write http:// for a plain server, or correct the port"
        if isinstance(error, aiohttp.ClientProxyConnectionError):
            return (
                f"{url} is behind a proxy that does not answer ({reason}): correct http_proxy, https_proxy or "
                "all_proxy in the environment, or add the server's host to no_proxy"
            )
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return f"no server at {url} (there is no host of this name: {reason}): start it, or correct base_url"
        return f"no server at {url} ({reason}): start it, or correct base_url"

    async def _parse(self, response: aiohttp.ClientResponse, content: bytes) -> dict[str, Any]:
        try:
            if len(content) < LARGE_BYTES:
                answer = read_body(content, response.charset)
            else:
                answer = await asyncio.to_thread(read_body, content, response.charset, patient=True)
        except ValueError as error:
            if replies.is_html(response, content):
                raise self._wrong_server(response, "answers with a web page") from error
            raise Passing(self._describe_incomplete(content), gone=True) from error
        if not isinstance(answer, dict):
            raise self._wrong_server(response, f"answers with JSON that is no object{self._quote_beginning(content)}")
        if replies.says_error(answer):
            complaint = replies.read_complaint(content, response.headers)
            status = complaint.code or guess_status(complaint.words)
            if 400 <= status < 500:
                await self._raise_for(response, status, content)
            raise Passing(self.shown(complaint.sentence))
        if "choices" not in answer:
            raise self._wrong_server(response, f"answers with JSON that has no choices{self._quote_beginning(content)}")
        return answer

    def _quote_beginning(self, content: bytes) -> str:
        """Return the beginning of an answer in parentheses, for an error message."""
        return f" ({self.shown(clean_text(content[:_SHOWN_BYTES].decode('utf-8', 'replace')))})"

    def _note_cache(self, response: aiohttp.ClientResponse) -> None:
        """Note if the answer came from a cache: then several samples of a request are all the same."""
        for name, value in response.headers.items():
            if value[:3].upper() == "HIT" and "cache" in name.lower():
                self._note(
                    f"{self.url} gives answers from a cache ({self.shown(name)}: {value[:3]}): switch it off there"
                )

    def _describe_incomplete(self, content: bytes) -> str:
        """Describe a body that is no whole JSON, with its beginning if that doesn't look like JSON."""
        text = content.strip()[:_SHOWN_BYTES].decode("utf-8", "replace")
        if not text:
            return "an answer without a body"
        half = f"half an answer ({len(content)} bytes that are no JSON)"
        return half if text.startswith(("{", "[", "data:")) else self.shown(f"{half}: {clean_text(text)}")

    async def _raise_for(self, response: aiohttp.ClientResponse, status: int, content: bytes) -> None:
        """Raise what an answer with this status means; a status of 2xx isn't given."""
        endpoint, url = self._endpoint, self.url
        complaint = replies.read_complaint(content, response.headers, is_busy=status in _BUSY)
        kind = complaint.kind(status)
        sentence = self.shown(complaint.sentence)
        if kind == ComplaintKind.MONEY:
            raise ModelError(f"{url}: {sentence}: add credit, then run the same command again")
        if kind == ComplaintKind.EXHAUSTED or complaint.wait_s > endpoint.timeout_s:
            wait = f" to wait {complaint.wait_s:,.0f} s" if complaint.wait_s else ""
            words = f" ({sentence})" if kind == ComplaintKind.EXHAUSTED else ""
            raise ModelError(
                f"{url} asks{wait or ' for no more'} (HTTP {status}){words}: run the same command again after that"
            )
        if remedy := replies.find_remedy(url, status, complaint.words):
            raise ModelError(f"{url} forbids this (HTTP {status}): {sentence}: {remedy}")
        if kind in {ComplaintKind.BUSY, ComplaintKind.BROKEN}:
            raise Passing(f"HTTP {status}: {sentence}", busy=kind == ComplaintKind.BUSY, wait_s=complaint.wait_s)
        if status == 401 or (kind == ComplaintKind.KEY and status != 403):
            raise self._explain_key(status, sentence)
        no_model = status == 400 and is_missing_model(complaint.words)
        hidden = (status == 500 and is_about_request(complaint.words)) or (
            status == 403 and complaint.is_json and is_about_field(complaint.words)
        )
        refused = hidden or (status in {400, 413, 422} and not no_model)
        if refused or kind in {ComplaintKind.LENGTH, ComplaintKind.CONTENT}:
            raise Rejected(replies.Complaint(sentence, complaint.words), kind)
        passing = _BUSY | _PASSING
        final = no_model or (complaint.is_json and status in _FINAL)
        other = status // 100 == 4 and status not in passing and not final
        if other and response.url.path in self._answered:
            raise Passing(f"HTTP {status}: {sentence}", wait_s=complaint.wait_s)
        if status == 403:
            raise (
                ModelError(f"{url} forbids this (HTTP 403): {sentence}")
                if self._key
                else self._explain_key(403, sentence)
            )
        missing = no_model or status in {404, 405, 410} or (status == 501 and response.url.path not in self._answered)
        if missing and self._session is not None:
            is_json = complaint.is_json
            raise NotThere(await replies.explain_missing(self._session, endpoint, status, sentence, is_json=is_json))
        if kind == ComplaintKind.LOADING:
            self._note(f"{url} is loading its model: waiting for it")
            raise Passing(f"HTTP {status}: {sentence}", busy=True, wait_s=complaint.wait_s, patience=_LOADING_PATIENCE)
        if status in passing or status >= 500:
            busy = status in _BUSY
            gone = status >= 500 and not busy
            raise Passing(f"HTTP {status}: {sentence}", busy=busy, gone=gone, wait_s=complaint.wait_s)
        if status // 100 == 3:
            raise self._explain_redirect(response)
        raise ModelError(f"{url} answers HTTP {status}: {sentence}")

    def _explain_key(self, status: int, sentence: str) -> ModelError:
        name = self._endpoint.api_key_env
        held = f"the key in ${name} is refused" if self._key else "no key"
        words = f" ({sentence})" if sentence != "no explanation" else ""
        return ModelError(f"{self.url}: {held} (HTTP {status}){words}: set ${name} to a valid one")

    def _explain_redirect(self, response: aiohttp.ClientResponse) -> Exception:
        location = response.headers.get("Location", "")
        target = self.shown(location or "another address")
        moved = replies.find_new_address(str(response.url), location)
        if moved not in {"", self.url} and response.url.path not in self._answered:
            return ModelError(
                f"{self.url} redirects to {target}: write {self.shown(moved)} as base_url, if it is yours"
            )
        return self._wrong_server(response, f"redirects to {target}")

    def _wrong_server(self, response: aiohttp.ClientResponse, what: str) -> Exception:
        """Return the exception for an answer that is not of this API. It may pass if the path has answered before, as a
        maintenance page does."""
        if response.url.path in self._answered:
            return Passing(what, gone=True)
        return ModelError(f"{self.url} {what}: this is not an OpenAI-compatible endpoint, base_url should end in /v1")

    def _strike_key(self, content: bytes) -> bytes:
        """Strike the key out of an answer: a server may quote it, and answers are stored in a run's files."""
        return content.replace(self._key.encode(), b"***") if len(self._key) >= _LEAST_KEY else content

    def shown(self, text: str) -> str:
        """Return a server's text as one line for display, with the key struck out, as servers like to quote it."""
        line = " ".join(text.split())
        for form in (self._key, quote(self._key, safe="")) if self._key else ():  # it is percent-encoded in an address
            line = line.replace(form, "***")
        return line if len(line) <= 400 else line[:400] + " …"
