"""One endpoint as the client sees it: it asks for samples, and learns which fields its servers accept.

If one of several servers rejects a field, none of them gets it any more, so that a request is the same for all.
"""

import asyncio
import itertools
import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from autoif.errors import ModelError
from autoif.messages import Say
from autoif.models.batches import RunBatches
from autoif.models.beginnings import Beginnings
from autoif.models.dialect import Dialect, Narrowed, fewer_samples, is_too_long, narrow, narrowest, request_body
from autoif.models.endpoint import Endpoint
from autoif.models.fleet import Call, Fleet
from autoif.models.requests import Completion, Request
from autoif.models.suspicions import Suspicions
from autoif.models.transport import Rejected, Unanswered, Unfinished
from autoif.models.wire import Question, ServerAnswer, read_server_answer

Keep = Callable[[Sequence[Completion]], Awaitable[None]]
"""Stores completions."""

_RANKS = {"judge": 0, "responder": 1, "writer": 2}
"""Priorities: requests nearest to a finished row go first, so that rows come early and a stopped run has some."""

_MOST_STEPS = 50
"""Refusals of one request that the server learns from. A request has fewer fields than this."""
_MOST_WARNINGS = 3
_MOST_MODELS = 20
"""Model names that are remembered, as some servers make up a name for each answer."""
_PROBE = Request(role="writer", stage="probe", messages=(("user", "Hello"),), max_tokens=1)


class Server:
    """An endpoint's servers, and the dialect that was learned from their answers."""

    def __init__(self, endpoint: Endpoint, note: Say, run: RunBatches) -> None:
        """`note` gets a sentence for everything that the server doesn't accept; `run` knows the run's batches."""
        self.endpoint = endpoint
        self.fleet = Fleet(endpoint, note, run)
        self.dialect = Dialect()
        self._taken: set[str] = set()
        """The sets of neutral sampling values that it has accepted."""
        self._probing: asyncio.Task[int] | None = None
        self._note = note
        self._name = " or ".join(endpoint.addresses)
        self._models: list[str] = []
        """The models that have answered, by the names that the server gives."""
        self._suspicions = Suspicions()
        self._beginnings = Beginnings()
        self._noted = Counter[str]()
        """How many notes of each kind there were."""

    async def ask(
        self, request: Request, *, seed: int, samples: int, before: Callable[[], None], keep: Keep
    ) -> list[Completion]:
        """Return one to `samples` completions from one answer of the server, after `keep` has stored them."""
        if not self.endpoint.read_once:
            return await self._ask(request, seed, samples, before, keep)
        async with self._beginnings.turn(request):
            return await self._ask(request, seed, samples, before, keep)

    async def _ask(
        self, request: Request, seed: int, samples: int, before: Callable[[], None], keep: Keep
    ) -> list[Completion]:
        """Make the request, and after each refusal change it, until it is answered or refused for good.

        If only this request is refused, the completions are refusals with the server's sentence. A change is kept for
        later requests if this request then went through; otherwise the field was not the cause.
        """
        path = "/chat/completions" if request.messages else "/completions"
        probed, dialect, learned = False, self.dialect, self.dialect
        for attempt in itertools.count():
            guess = dialect.neutral not in self._taken
            asked = min(samples, dialect.samples_per_request)
            body = self._make_body(request, dialect, seed, samples)
            try:
                most_tokens = body.get(dialect.token_limit)
                read = partial(_read, request=request, samples=asked, most_tokens=most_tokens)
                call: Call[ServerAnswer] = Call(path, body, before, read, partial(_keep_all, keep), seed)
                answer, why = await self.fleet.post(call, _RANKS[request.role]), "the server gave no choices"
            except Rejected as rejection:
                hopeless = rejection.is_about_content or attempt == _MOST_STEPS
                step = None if hopeless else _step(dialect, body, rejection.words, guess)
                if step and self._make_body(request, step.dialect, seed, samples) == body:
                    step = None  # the refused field comes from `extra_body`, and would be sent again and again
                if step is None:
                    if not rejection.is_about_content and not is_too_long(rejection.words):
                        await self._check_that_it_takes_others(learned, str(rejection), before)
                    return await _keep_refusal(str(rejection), samples, keep)
                if step.lasting:
                    known = _step(learned, body, rejection.words, guess)
                    learned = known.dialect if known else learned
                dialect = step.dialect
                continue
            except Unanswered as failure:
                if not failure.alone and (await self._try_another(failure, learned, before) > 1 or not probed):
                    probed = True
                    continue
                answer, why = ServerAnswer([]), f"it failed again and again, last with: {failure}"
            completions = answer.completions
            if not completions and asked > 1:  # it may fail because several samples were asked for at once
                dialect, learned = fewer_samples(dialect, body), fewer_samples(learned, body)
                continue
            if not completions:
                return await _keep_refusal(why, samples, keep)
            if len(completions) < asked and not answer.failures:
                learned = replace(learned, samples_per_request=len(completions))
            self._learn(learned)
            self._look_at(answer, request, body)
            if request.plain:
                self._taken.add(dialect.neutral)
            return completions
        raise AssertionError("the last attempt returns or raises")

    def _make_body(self, request: Request, dialect: Dialect, seed: int, samples: int) -> dict[str, Any]:
        most = min(samples, dialect.samples_per_request)
        return request_body(request, self.endpoint.model, dialect, seed=seed, samples=most) | self.endpoint.extra_body

    def _learn(self, dialect: Dialect) -> None:
        if dialect is self.dialect:
            return
        known = set(self.dialect.describe())
        self.dialect = narrowest(self.dialect, dialect)
        for sentence in self.dialect.describe():
            if sentence not in known:
                self._note(f"{self._name} {sentence}")

    def _look_at(self, answer: ServerAnswer, request: Request, body: dict[str, Any]) -> None:
        """Note what an answer shows about the server."""
        self._note_model(answer.model)
        for warning in answer.warnings:
            self._note_once("warning", f"says: {warning}")
        most_tokens = _as_count(body.get(self.dialect.token_limit))
        for sentence in self._suspicions.look_at_counts(request, answer.completions, most_tokens):
            self._note_once(f"{request.stage} {sentence.split()[0]}", sentence)
        if "logprobs" in body and not any(each.logprobs or not each.text for each in answer.completions):
            self._note(
                f"{self._name} tells no probabilities of tokens (logprobs): what they decide is read from the text "
                f"instead, by all or nothing (stage {request.stage})"
            )

    def look_at_samples(self, key: str, request: Request, completions: Sequence[Completion]) -> None:
        """Note what the samples of a prompt, whose key this is, show about the server beside those of other prompts."""
        for sentence in self._suspicions.look_at_samples(key, request, completions):
            self._note_once(f"{request.stage} {sentence.split()[0]}", sentence)

    def _note_once(self, kind: str, sentence: str) -> None:
        """Note a sentence about the server, once for each kind; warnings of the server's own a few times."""
        if self._noted[kind] < (_MOST_WARNINGS if kind == "warning" else 1):
            self._noted[kind] += 1
            self._note(f"{self._name} {sentence}")

    def _note_model(self, model: str) -> None:
        """Note once that another model answers than the one that was asked for, or than before.

        Gateways fall back to other models, some servers answer with whatever they have loaded, and a name without a
        date may come to mean the next version.
        """
        if not model or model in self._models or len(self._models) == _MOST_MODELS:
            return
        self._models.append(model)
        if not _is_same_model(*(_shorten(each) for each in (self.endpoint.model, model))):
            self._note(f"{self._name} says that the model {model} answered, and not {self.endpoint.model}")
        elif _shorten(model) != _shorten(self._models[0]):
            self._note(f"{self._name} says that the model {model} answered, and {self._models[0]} before")

    async def _check_that_it_takes_others(self, dialect: Dialect, complaint: str, before: Callable[[], None]) -> None:
        """Raise `ModelError` if the server has never answered, and refuses even the plainest request."""
        if self.fleet.answered:
            return
        try:
            await self.fleet.post(self._make_probe(dialect, before))
        except Unanswered as failure:
            await self._try_another(failure, dialect, before)
        except Rejected:
            raise ModelError(
                f"{self._name} refuses every request: {complaint}; a field that it misses can be given by "
                "models.ROLE.extra_body (docs/models.md)"
            ) from None

    async def _try_another(self, failure: Unanswered, dialect: Dialect, before: Callable[[], None]) -> int:
        """Wait until a server answers the plainest request (all callers share one); return how many attempts it took.

        If it took one attempt and the caller's request fails again, that request is to blame; otherwise the servers may
        have been away. Raises ModelError: none has answered for as long as a run waits for lost servers.
        """
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe(failure, dialect, before))
            # Retrieves the exception in case nobody waits any more, so that asyncio doesn't log it.
            self._probing.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._probing)

    async def _probe(self, failure: Unanswered, dialect: Dialect, before: Callable[[], None]) -> int:
        attempts = 0

        def count() -> None:
            nonlocal attempts
            before()
            attempts += 1

        with suppress(Rejected):  # as good as an answer
            await self.fleet.post(self._make_probe(dialect, count), after=failure)
        return attempts

    def _make_probe(self, dialect: Dialect, before: Callable[[], None]) -> Call[dict[str, Any]]:
        body = request_body(_PROBE, self.endpoint.model, dialect, seed=0, samples=1) | self.endpoint.extra_body
        seed = random.getrandbits(62)  # so that no batch holds its answer already
        return Call("/chat/completions", body, before, lambda read: read, seed=seed)


def _shorten(model: str) -> str:
    """Return the name of a model without folders or owner before it, and without the file's ending."""
    return model.lower().replace("\\", "/").rpartition("/")[2].removesuffix(".gguf")


_OTHER_SIZE = re.compile(
    r"(?:\A|[^a-z0-9])(?:mini|nano|micro|tiny|small|medium|large|lite|light|flash|fast|air|pro|plus|max|ultra|turbo|haiku|sonnet"
    r"|opus|distill\w*|draft|base|\d{1,4}(?:\.\d)?[bm])(?![a-z])"
)


def _is_same_model(one: str, other: str) -> bool:
    """Tell whether two names can mean the same model: one may add a date, a version or a quantisation, but no size."""
    shorter, longer = sorted((one, other), key=len)
    at = longer.find(shorter)
    if at < 0:
        return False
    before, after = longer[:at], longer[at + len(shorter) :]
    return not after[:1].isalpha() and not _OTHER_SIZE.search(f"{before} {after}")


async def _keep_all(keep: Keep, answer: ServerAnswer) -> None:
    if answer.completions:
        await keep(answer.completions)


async def _keep_refusal(detail: str, samples: int, keep: Keep) -> list[Completion]:
    """Return refused completions in place of answers, after storing them as such."""
    refused = [Completion(text="", finish_reason="refused", detail=detail)] * samples
    await keep(refused)
    return refused


def _step(dialect: Dialect, body: dict[str, Any], words: str, guess: bool) -> Narrowed | None:
    """Return what to try after a refusal: leave out the field that it names, or else ask for fewer samples; or None."""
    step = narrow(dialect, body, words, guess=guess)
    if step is None and body.get("n", 1) > 1 and not is_too_long(words):
        return Narrowed(fewer_samples(dialect, body))
    return step


def _as_count(most_tokens: object) -> int:
    return most_tokens if isinstance(most_tokens, int) else 0


def _read(answer: dict[str, Any], request: Request, samples: int, most_tokens: object) -> ServerAnswer:
    found = read_server_answer(answer, Question.of(request, _as_count(most_tokens)))
    if found.failures and not found.completions:
        raise Unfinished(found.failures[0])
    return found._replace(completions=found.completions[:samples])
