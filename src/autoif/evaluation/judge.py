"""A judge model: its endpoint and its budget. Its answers are stored, so that none is asked for twice."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from autoif.messages import Say, count_tenths
from autoif.models.client import ChatClient
from autoif.models.embedded import EmbeddedServer
from autoif.models.endpoint import EMBEDDED, Budget, Endpoint
from autoif.models.requests import Completion, Request, sampling_seed
from autoif.models.stored_answers import StoredAnswers
from autoif.runs.store import COMPLETIONS
from autoif.runs.whole_files import storage_errors
from autoif.together import run_to_end, run_together

_QUESTION_TOKENS = 6_144
"""Context for a question to an embedded judge: FollowBench's longest prompts with a response or with neighbours."""
_SLOTS = 4
"""Questions that an embedded judge answers at once; more aren't faster on a CPU, and take memory."""


@dataclass(frozen=True, slots=True)
class Judge:
    """A judge model, the most tokens of an answer, and its budget."""

    endpoint: Endpoint
    max_tokens: int = 1024
    budget: Budget = field(default_factory=Budget)

    @property
    def identity(self) -> str:
        """The model and its revision, independent of where it is served."""
        return self.endpoint.identity

    def put(self, question: str, stage: str, *about: str) -> Request:
        """Return the request for a question; its seed is derived from the stage and from what it is about."""
        return Request(
            role="judge",
            stage=stage,
            messages=(("user", question),),
            max_tokens=self.max_tokens,
            seed=sampling_seed(stage, *about),
        )


def consult(judge: Judge, folder: Path, requests: Sequence[Request], say: Say, what: str) -> list[Completion]:
    """Return the judge's answer to each request (role `judge`), in order.

    An embedded judge is started for the call. Answers are stored in the folder.

    Args:
        judge: the judge.
        folder: where its answers are stored.
        requests: what to ask.
        say: called with lines of progress.
        what: the things that are judged, in the plural, for these lines.

    Raises:
        ModelError: the judge can't be used, or its budget is spent.
        StoreError: its answers can't be stored in the folder.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)

    async def open_and_ask(endpoint: Endpoint) -> list[Completion]:
        async with (
            StoredAnswers(folder / COMPLETIONS) as answers,
            ChatClient({"judge": endpoint}, answers, budget=judge.budget) as chat,
        ):
            add = count_tenths(say, len(requests), f"{what} judged")

            async def ask(request: Request) -> Completion:
                [answer] = await chat.sample(request)
                add(1)
                return answer

            return await run_together(map(ask, requests))

    with _serve(judge) as endpoint:
        return run_to_end(open_and_ask(endpoint))


def explain_unread(answer: Completion, problem: str | None) -> str | None:
    """Return why an answer can't be read: the server's message, or else the reader's `problem`; None if it can."""
    if answer.finish_reason == "refused":
        return f"the judge's server refused: {answer.fault_detail}"
    return answer.fault_detail if problem and answer.fault else problem


@contextmanager
def _serve(judge: Judge) -> Iterator[Endpoint]:
    if judge.endpoint.base_url != EMBEDDED:
        yield judge.endpoint
        return
    context_tokens = _QUESTION_TOKENS + judge.max_tokens
    with EmbeddedServer(judge.endpoint.model, slots=_SLOTS, context_tokens=context_tokens) as server:
        yield server.endpoint(judge.endpoint)
