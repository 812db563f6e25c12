"""Reads the body of a request, and writes the body of an answer.

Reading is stricter than `json.loads`: UTF-8 only, no NaN, no duplicate keys, few keys. Answers are written piece by
piece: the largest have 25 MB, and other requests are served meanwhile.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, Generic, TypeVar

from pydantic import ValidationError

from autoif.gate import find_unanswered
from autoif.judging import deal_out, group_by_function
from autoif.records import Verdict
from autoif.reward import compute_reward
from autoif.sandbox import Outcome
from autoif.service.schemas import Refusal, RewardRequest, VerifyRequest

AnyRequest = TypeVar("AnyRequest", VerifyRequest, RewardRequest)

Work = Mapping[str, Sequence[str]]
"""The texts that each function has to judge, by its source."""

_MOST_KEYS: Final = 16
_LONGEST_NAME: Final = 60


@dataclass(frozen=True, slots=True)
class Ask(Generic[AnyRequest]):
    """A request, and what can be computed from it before any function is run."""

    request: AnyRequest
    work: Work
    faults: Sequence[str]
    """Why each completion of a reward request has no answer; "" if it has one."""
    verdicts: int
    """How many the answer will have. A function that is given twice is run once, and both places get its verdicts."""


def read_ask(body: bytes, model: type[AnyRequest]) -> Ask[AnyRequest]:
    """Return what a body asks for. Raises Refusal: `bad_json` or `invalid`."""
    request = read_request(body, model)
    if isinstance(request, VerifyRequest):
        return Ask(request, dict.fromkeys(request.functions, request.responses), (), request.count_verdicts())
    completions = [item.read() for item in request.items]  # only the text after the thought is judged
    rows = [(item.functions, each.text) for item, each in zip(request.items, completions, strict=True)]
    faults = [find_unanswered(each) or "" for each in completions]
    return Ask(request, group_by_function(rows), faults, request.count_verdicts())


def read_request(body: bytes, model: type[AnyRequest]) -> AnyRequest:
    """Return the request in a body. Raises Refusal: `bad_json` or `invalid`."""
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_read_object, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise Refusal("bad_json", f"the body is not UTF-8: byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise Refusal("bad_json", f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise Refusal("bad_json", "the body is not JSON that this server reads: nested too deeply") from None
    except ValueError as error:
        raise Refusal("bad_json", f"the body is not JSON that this server reads: {error}") from None
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise Refusal("invalid", _name_problem(error)) from None


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs[: _MOST_KEYS + 1])
    if len(pairs) > _MOST_KEYS:
        raise ValueError(f"an object with {len(pairs):,} keys")
    if len(value) < len(pairs):
        raise ValueError("a key twice in one object")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _name_problem(error: ValidationError) -> str:
    """Describe the first problem. Of the request's own text it shows only a key, shortened and escaped."""
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    where = where[:_LONGEST_NAME].encode("ascii", "backslashreplace").decode("ascii")
    if problem["type"] == "extra_forbidden":
        return f'unknown key "{where}"'
    what = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {what}" if where else what


_AT_ONCE_S: Final = 0.005
"""How long an answer is written before other requests get a turn."""
_quote = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(slots=True)
class FunctionAnswer:
    """The verdicts of one function, and their JSON. No `Outcome` is kept, as the garbage collector would visit them."""

    verdicts: list[Verdict] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    """A `VerdictOut` for each text, as JSON."""
    loaded: bool = False

    def __len__(self) -> int:
        return len(self.verdicts)

    def add(self, outcomes: Sequence[Outcome], longest_detail: int) -> None:
        """Add the outcomes of the next texts, with their details cut to `longest_detail` characters."""
        self.loaded = self.loaded or any(outcome.loaded for outcome in outcomes)
        for verdict, detail, seconds, _ in outcomes:
            kept = detail if len(detail) <= longest_detail else detail[: longest_detail - 1] + "…"
            self.verdicts.append(verdict)
            self.shown.append(f'{{"verdict": "{verdict}", "detail": {_quote(kept)}, "seconds": {round(seconds, 6)}}}')


Judged = dict[str, FunctionAnswer]
"""The verdicts of each function on its texts, in their order, by the function's source."""


async def collect(pieces: Iterable[str]) -> bytearray:
    """Join the pieces into one body, and let other tasks run in between."""
    body, began = bytearray(), monotonic()
    for piece in pieces:
        body += piece.encode()
        if monotonic() - began > _AT_ONCE_S:
            await asyncio.sleep(0)
            began = monotonic()
    return body


def answer_verify(ask: Ask[VerifyRequest], judged: Judged) -> Iterator[str]:
    """Yield the body of a `VerifyAnswer` in pieces."""
    rows = [judged[source] for source in ask.request.functions]
    yield '{"verdicts": ['
    yield from _separate(f"[{', '.join(row.shown)}]" for row in rows)
    yield f'], "not_loaded": {json.dumps([index for index, row in enumerate(rows) if not row.loaded])}}}'


def answer_reward(ask: Ask[RewardRequest], judged: Judged) -> Iterator[str]:
    """Yield the body of a `RewardAnswer` in pieces."""
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
