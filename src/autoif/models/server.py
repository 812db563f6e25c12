"""One endpoint as the client sees it: asks for samples, and learns what the server understands."""

from collections.abc import Callable
from dataclasses import replace

from autoif.errors import ModelError
from autoif.models.endpoint import Endpoint
from autoif.models.requests import Completion, Request
from autoif.models.transport import Rejected, Transport
from autoif.models.wire import Dialect, fewer_samples, is_too_long, narrow, narrowest, read_answer, request_body

_REFUSED = Completion(text="", finish_reason="refused")

_PROBE = Request(role="writer", stage="probe", messages=(("user", "Hello"),), max_tokens=1)


class Server:
    """An endpoint's transport and the dialect that has been learned from its answers."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.transport = Transport(endpoint)
        self.dialect = Dialect()

    async def ask(self, request: Request, *, seed: int, samples: int, before: Callable[[], None]) -> list[Completion]:
        """Return one to `samples` completions from one answer of the server.

        A request that the server refuses, although it takes others, yields refused completions: data, no error.
        """
        path = "/chat/completions" if request.messages else "/completions"
        dialect = self.dialect
        while True:
            asked = min(samples, dialect.samples_per_request)
            body = request_body(request, self.endpoint.model, dialect, seed=seed, samples=asked)
            try:
                answer = await self.transport.post(path, body, before)
            except Rejected as rejection:
                weaker = narrow(dialect, body, str(rejection))
                if weaker is None and asked > 1 and not is_too_long(str(rejection)):
                    weaker = fewer_samples(dialect, body)
                if weaker is not None:
                    dialect = weaker
                    continue
                if not is_too_long(str(rejection)):
                    await self._check_that_it_takes_others(dialect, str(rejection), before)
                return [_REFUSED] * samples
            completions = read_answer(answer, prompt_bytes=len(request.text.encode())).completions[:asked]
            if not completions:
                return [_REFUSED] * samples
            if len(completions) < asked:
                dialect = replace(dialect, samples_per_request=len(completions))
            self.dialect = narrowest(self.dialect, dialect)
            return completions

    async def _check_that_it_takes_others(self, dialect: Dialect, complaint: str, before: Callable[[], None]) -> None:
        """Raise `ModelError` if the server has never answered and refuses the plainest request too."""
        if self.transport.pace.answered:
            return
        body = request_body(_PROBE, self.endpoint.model, dialect, seed=0, samples=1)
        try:
            await self.transport.post("/chat/completions", body, before)
        except Rejected:
            raise ModelError(f"{self.endpoint.base_url} refuses every request: {complaint}") from None
