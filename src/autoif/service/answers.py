"""From outcomes to the bytes of an answer, piece by piece: the largest have 25 MB, and others are served meanwhile."""

import asyncio
import json
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Final

from autoif.reward import compute_reward
from autoif.sandbox import Outcome
from autoif.service.reading import Ask
from autoif.service.schemas import RewardRequest, VerifyRequest
from autoif.service.verification import Judged

_AT_ONCE_S: Final = 0.005


async def collect(pieces: Iterable[str]) -> bytearray:
    """Return the pieces as one body, and let others go on between them."""
    body, began = bytearray(), monotonic()
    for piece in pieces:
        body += piece.encode()
        if monotonic() - began > _AT_ONCE_S:
            await asyncio.sleep(0)
            began = monotonic()
    return body


def answer_verify(ask: Ask[VerifyRequest], judged: Judged) -> Iterator[str]:
    """Return the body of a `VerifyAnswer`, in pieces."""
    rows = [judged[source] for source in ask.request.functions]
    not_loaded = [index for index, row in enumerate(rows) if not any(outcome.loaded for outcome in row)]
    yield '{"verdicts": ['
    yield from _separate(map(_show, rows))
    yield f'], "not_loaded": {json.dumps(not_loaded)}}}'


def answer_reward(ask: Ask[RewardRequest], judged: Judged) -> Iterator[str]:
    """Return the body of a `RewardAnswer`, in pieces."""
    next_of = {source: iter(outcomes) for source, outcomes in judged.items()}
    rows = [[next(next_of[source]) for source in item.functions] for item in ask.request.items]
    yield '{"rewards": ['
    yield from _separate(
        json.dumps(0.0 if fault else compute_reward([outcome.verdict for outcome in row], ask.request.mode))
        for row, fault in zip(rows, ask.faults, strict=True)
    )
    yield f'], "faults": {json.dumps(ask.faults)}, "verdicts": ['
    yield from _separate(map(_show, rows))
    yield "]}"


def _separate(values: Iterable[str]) -> Iterator[str]:
    comma = ""
    for value in values:
        yield comma + value
        comma = ", "


def _show(row: Iterable[Outcome]) -> str:
    shown = [
        {"verdict": outcome.verdict, "detail": outcome.detail, "seconds": round(outcome.seconds, 6)} for outcome in row
    ]
    return json.dumps(shown, ensure_ascii=False)
