"""One endpoint over HTTP: connections, retries, pace, and errors that say what to do.

A failure is one of three things. It may pass (time-out, reset, half an answer, 408, 425, 429, 5xx): the request is
sent again after a random, growing wait, or when the server says. It is about this request (400, 413, 422): `Rejected`,
for the client to judge. Or nothing works until somebody changes a setting: `ModelError` at once.
"""

import json
import os
import random
from collections.abc import Callable
from typing import Any

import aiohttp

from autoif.errors import ModelError
from autoif.models.endpoint import Endpoint
from autoif.models.pace import Pace
from autoif.models.replies import explain_missing, is_html, list_models, proxy_for, retry_after_s, server_sentence

_REJECTED = {400, 413, 422}
_BUSY = {429, 503, 529}
_PASSING = {408, 409, 425}
_LONGEST_WAIT_S = 60.0


class Rejected(Exception):
    """The server refuses this one request; the text is the server's complaint."""


class Passing(Exception):
    """A failure that may pass by itself."""

    def __init__(self, what: str, *, busy: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(what)
        self.busy = busy
        """The server asks for fewer requests."""
        self.wait_s = wait_s


class Transport:
    """Sends JSON to one endpoint, between `open` and `close`, in one event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.pace = Pace(endpoint.concurrency)
        self.retries = 0
        self._endpoint = endpoint
        self._session: aiohttp.ClientSession | None = None
        self._key = os.environ.get(endpoint.api_key_env, "").strip()
        if not (self._key.isascii() and self._key.replace(" ", "").isprintable()):
            raise ModelError(f"the key in ${endpoint.api_key_env} holds characters that no key has: set it again")

    async def open(self) -> None:
        endpoint = self._endpoint
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, keepalive_timeout=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=endpoint.timeout_s, sock_connect=endpoint.connect_timeout_s),
            headers=headers,
            proxy=proxy_for(endpoint.base_url),
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def list_models(self) -> list[str] | None:
        """Return the names of the models that the endpoint lists; None if it doesn't answer or has no list."""
        assert self._session is not None, "open it first"
        return await list_models(self._session, self._endpoint)

    async def post(self, path: str, body: dict[str, Any], before: Callable[[], None]) -> dict[str, Any]:
        """Return the server's JSON object; raise `Rejected`, or `ModelError` when another try is of no use.

        `before` is called just before each attempt goes out, and may raise to prevent it.
        """
        data = json.dumps(body).encode("ascii")
        failures = 0
        answered = -1
        while True:
            start = await self.pace.enter()
            try:
                before()
                answer = await self._attempt(path, data)
                self.pace.speed_up()
                return answer
            except Passing as failure:
                if failure.busy:
                    self.pace.slow_down(start, failure.wait_s)
                # A busy server that serves others is worth the wait: only standstill counts against it.
                standstill = not failure.busy or self.pace.answered == answered
                failures = failures + 1 if standstill else 1
                answered = self.pace.answered
                if failures > self._endpoint.retries:
                    raise self._gave_up(failure, failures) from failure
                wait_s = max(failure.wait_s, self._wait_s(failures))
            finally:
                self.pace.leave()
            self.retries += 1
            await self.pace.pause(wait_s)

    async def _attempt(self, path: str, data: bytes) -> dict[str, Any]:
        if self._session is None:
            raise ModelError(f"the embedded model {self._endpoint.model} is not running: start it before it is asked")
        url = self._endpoint.base_url + path
        try:
            async with self._session.post(url, data=data, allow_redirects=False) as response:
                content = await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            if self.pace.answered:
                raise Passing(f"no connection ({error})", busy=True) from error
            raise ModelError(
                f"no server at {self._endpoint.base_url} ({self._shown(str(error))}): start it, or correct base_url"
            ) from error
        except TimeoutError as error:
            raise Passing(f"no answer within timeout_s = {self._endpoint.timeout_s:g} s", busy=True) from error
        except aiohttp.ClientError as error:
            raise Passing(f"the connection broke ({type(error).__name__}: {error})") from error
        if response.status // 100 != 2:
            await self._raise_for(response, content)
        return self._parse(response, content)

    def _parse(self, response: aiohttp.ClientResponse, content: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(content)
        except ValueError as error:
            if is_html(response, content):
                raise self._wrong_server("answers with a web page") from error
            raise Passing(f"half an answer ({len(content)} bytes that are no JSON)") from error
        if not isinstance(answer, dict):
            raise self._wrong_server("answers with JSON that is no object")
        if "choices" not in answer:
            if "error" in answer:
                raise Passing(self._shown(server_sentence(content)))
            raise self._wrong_server("answers with JSON that has no choices")
        return answer

    async def _raise_for(self, response: aiohttp.ClientResponse, content: bytes) -> None:
        status = response.status
        endpoint = self._endpoint
        complaint = self._shown(server_sentence(content))
        if status in _REJECTED:
            raise Rejected(complaint)
        if status in {401, 403}:
            kind = f"the key in ${endpoint.api_key_env} is refused" if self._key else "no key"
            raise ModelError(f"{endpoint.base_url}: {kind} (HTTP {status}): set ${endpoint.api_key_env} to a valid one")
        if status in {404, 405} and self._session is not None:
            raise ModelError(await explain_missing(self._session, endpoint, status, complaint))
        if status == 429 and "insufficient_quota" in complaint:
            raise ModelError(f"{endpoint.base_url}: {complaint}: add credit, then run the same command again")
        if status in _BUSY | _PASSING or status >= 500:
            wait_s = retry_after_s(response.headers)
            if wait_s > endpoint.timeout_s:
                raise ModelError(
                    f"{endpoint.base_url} asks to wait {wait_s:,.0f} s (HTTP {status}): "
                    "run the same command again after that"
                )
            raise Passing(f"HTTP {status}: {complaint}", busy=status in _BUSY, wait_s=wait_s)
        if status // 100 == 3:
            target = response.headers.get("Location", "another address")
            raise self._wrong_server(f"redirects to {target}")
        raise ModelError(f"{endpoint.base_url} answers HTTP {status}: {complaint}")

    def _wrong_server(self, what: str) -> ModelError:
        return ModelError(
            f"{self._endpoint.base_url} {what}: this is not an OpenAI-compatible endpoint, base_url should end in /v1"
        )

    def _gave_up(self, failure: Passing, attempts: int) -> ModelError:
        return ModelError(
            f"{self._endpoint.base_url} failed {attempts} times in a row, last with: {self._shown(str(failure))}; "
            "run the same command again when it works"
        )

    def _wait_s(self, failures: int) -> float:
        wait_s = self._endpoint.retry_wait_s * 2.0 ** (failures - 1)
        return min(wait_s, _LONGEST_WAIT_S) * random.uniform(0.5, 1.5)

    def _shown(self, text: str) -> str:
        """Return one line of text from outside, with the key struck out: servers like to quote it."""
        line = " ".join(text.split())
        if self._key:
            line = line.replace(self._key, "***")
        return line if len(line) <= 400 else line[:400] + " …"
