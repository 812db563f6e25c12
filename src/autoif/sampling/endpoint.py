"""Samples through any OpenAI-compatible endpoint that serves the policy, or through a llama.cpp that is started here.

Each response has its own request and seed, so no response depends on the others. vLLM and llama.cpp honour the seed;
some vendors don't. Neutral values of top-k, min-p and penalties are sent along, as a server may otherwise take other
values from the model's generation_config.json.
"""

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

from autoif.messages import Say
from autoif.models.client import ChatClient
from autoif.models.embedded import EmbeddedServer
from autoif.models.endpoint import Endpoint
from autoif.models.requests import Completion, Request
from autoif.models.stored_answers import StoredAnswers
from autoif.runs.store import COMPLETIONS
from autoif.sampling.settings import Draw, SamplingSettings, seed_rows
from autoif.together import run_together

_BATCH = 512
"""Enough to keep every server busy, and few enough to lose when the machine goes down."""
_PROMPT_TOKENS = 4096
"""Room for a prompt in llama.cpp, if the model's context allows it. FollowBench's longest take 2,000 to 3,000."""
_MOST_SLOTS = 8
"""Slots of llama.cpp: more are not faster on a CPU, and each takes memory (`models.embedded`)."""


class EndpointSampler:
    """Asks an endpoint; see `settings.Sampler`."""

    batch_size = _BATCH

    def __init__(self, client: ChatClient, runner: asyncio.Runner, settings: SamplingSettings) -> None:
        self._client = client
        self._runner = runner
        self._settings = settings

    def sample(self, rows: Sequence[Draw]) -> list[Completion]:
        """Return the answers. One that the server refuses, say because the prompt is too long, is empty and says why.

        Raises:
            ModelError: the endpoint can't be used.
        """
        return self._runner.run(run_together(map(self._ask, rows)))

    async def _ask(self, row: Draw) -> Completion:
        settings = self._settings
        [completion] = await self._client.sample(
            Request(
                role="responder",
                stage="sampling",
                messages=tuple((turn["role"], turn["content"]) for turn in row.prompt.messages),
                temperature=settings.temperature,
                top_p=settings.top_p,
                max_tokens=settings.max_tokens,
                seed=seed_rows(settings.seed, [row]),
                plain=True,
            )
        )
        return completion


@contextmanager
def open_endpoint(endpoint: Endpoint, settings: SamplingSettings) -> Iterator[EndpointSampler]:
    """Connect to an endpoint. The client's store is temporary, as sampling resumes from the file of samples."""
    if given := settings.chat_template_kwargs:
        body = {**endpoint.extra_body, "chat_template_kwargs": given}
        endpoint = endpoint.model_copy(update={"extra_body": body})
    stack = AsyncExitStack()

    async def connect(folder: str) -> ChatClient:
        answers = await stack.enter_async_context(StoredAnswers(Path(folder) / COMPLETIONS))
        return await stack.enter_async_context(ChatClient({"responder": endpoint}, answers))

    with tempfile.TemporaryDirectory(prefix="autoif-") as folder, asyncio.Runner() as runner:
        try:
            yield EndpointSampler(runner.run(connect(folder)), runner, settings)
        finally:
            runner.run(stack.aclose())


@contextmanager
def open_llama(model: str, settings: SamplingSettings, say: Say) -> Iterator[EndpointSampler]:
    """Start llama.cpp with a GGUF file or a named embedded model, and end it afterwards.

    `batch_size` limits how many answers it writes at once.

    Raises:
        ModelError: the model can't be loaded, or llama.cpp is not installed.
    """
    server = EmbeddedServer(
        model,
        slots=min(settings.batch_size, _MOST_SLOTS),
        context_tokens=_PROMPT_TOKENS + settings.max_tokens,
        truncate_sampling=False,
    )
    say(f"{model}: llama.cpp starts")
    with server, open_endpoint(server.endpoint(Endpoint()), settings) as sampler:
        yield sampler
