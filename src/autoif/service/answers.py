"""From outcomes to the bytes of an answer, piece by piece: the largest have 25 MB, and others are served meanwhile."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from autoif.judging import deal_out
from autoif.records import Verdict
from autoif.reward import compute_reward
from autoif.sandbox import Outcome
from autoif.service.reading import Ask
from autoif.service.schemas import RewardRequest, VerifyRequest

_AT_ONCE_S: Final = 0.005
_quote = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(slots=True)
class Row:
    """What a function said of its texts, as it is answered. No outcomes: the garbage collector would walk them all."""

    verdicts: list[Verdict] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    """A `VerdictOut` for each text, as JSON."""
    loaded: bool = False

    def __len__(self) -> int:
        return len(self.verdicts)

    def add(self, outcomes: Sequence[Outcome], longest_detail: int) -> None:
        """Add the outcomes of the next texts; their details are cut to so many characters."""
        self.loaded = self.loaded or any(outcome.loaded for outcome in outcomes)
        for verdict, detail, seconds, _ in outcomes:
            kept = detail if len(detail) <= longest_detail else detail[: longest_detail - 1] + "…"
            self.verdicts.append(verdict)
            self.shown.append(f'{{"verdict": "{verdict}", "detail": {_quote(kept)}, "seconds": {round(seconds, 6)}}}')


Judged = dict[str, Row]
"""Source → what it said, in the order of its texts."""


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
    yield '{"verdicts": ['
    yield from _separate(f"[{', '.join(row.shown)}]" for row in rows)
    yield f'], "not_loaded": {json.dumps([index for index, row in enumerate(rows) if not row.loaded])}}}'


def answer_reward(ask: Ask[RewardRequest], judged: Judged) -> Iterator[str]:
    """Return the body of a `RewardAnswer`, in pieces."""
    functions, mode = [item.functions for item in ask.request.items], ask.request.mode
    yield '{"rewards": ['
    verdicts = deal_out(functions, {source: row.verdicts for source, row in judged.items()})
    yield from _separate(
        json.dumps(0.0 if fault else compute_reward(each, mode))
        for each, fault in zip(verdicts, ask.faults, strict=True)
    )
    yield f'], "faults": {json.dumps(ask.faults)}, "verdicts": ['
    shown = deal_out(functions, {source: row.shown for source, row in judged.items()})
    yield from _separate(f"[{', '.join(each)}]" for each in shown)
    yield "]}"


def _separate(values: Iterable[str]) -> Iterator[str]:
    comma = ""
    for value in values:
        yield comma + value
        comma = ", "
