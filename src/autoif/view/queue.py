"""Which functions a reviewer should look at first, and how many decisions settle how many of them are right.

    least sure first     kept functions in three bands of the same size, by how unsure the audit's score is (1/2 is the
                         least sure); where there is no audit, by the share of cases that they get as expected
    within a band        in the order of a hash: what was decided is a random sample of its band
    the precision        the share of kept functions that are right: of each band what its decisions say, for the rest
                         of the band what a uniform prior and these decisions predict (beta-binomial)
    to settle it         decisions are added where the next one narrows the interval most, until it is narrow enough

So looking at doubtful functions first does not make the whole look worse than it is: each band counts by its size. Once
everything is decided the interval is a point.

The queue begins with as many of each band as the precision still needs, the least sure band first; then comes the rest.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final

from autoif.decisions import Review
from autoif.errors import StoreError
from autoif.reading.jsonl import read_json_lines
from autoif.reading.text_lines import parse_json
from autoif.records import Record, content_id
from autoif.store import AUDIT, BACK_TRANSLATION, INSTRUCTIONS, read_stage, reading_errors

BANDS: Final = ("least sure", "in between", "most sure")
LEVEL: Final = 0.95
HALF_WIDTH: Final = 0.05
"""Of the interval that is narrow enough, unless another is asked for."""


class QueuedFunction(Record):
    """A kept function that a reviewer may decide on."""

    function_id: str
    source: str
    instruction_id: str
    instruction: str
    score: float | None
    """How likely it is right, by the audit; None where there is none."""
    agreement: float
    """Share of its instruction's cases that it gets as expected, 0 to 1."""
    band: int = 0
    """Place in BANDS."""

    @property
    def surety(self) -> float:
        """The higher, the surer: what sorts the queue."""
        return abs(self.score - 0.5) if self.score is not None else self.agreement


@dataclass(frozen=True, slots=True)
class Band:
    """Functions of one band: how many there are, and what was decided."""

    size: int
    accepted: int = 0
    rejected: int = 0

    @property
    def open(self) -> int:
        return self.size - self.accepted - self.rejected

    @property
    def rate(self) -> float:
        """The share of right ones to expect among those that nobody decided on."""
        return (self.accepted + 1) / (self.accepted + self.rejected + 2)

    def find_variance(self, more: int = 0) -> float:
        """Return the variance of the number of right ones, after so many more decisions at this rate."""
        seen, left = self.accepted + self.rejected + more, self.open - more
        return left * self.rate * (1 - self.rate) * (seen + 2 + left) / (seen + 3)


class ReviewedPrecision(Record):
    """The share of kept functions that are right, as far as reviewers know."""

    value: float
    low: float
    high: float
    """An interval of 95 %."""
    decided: int
    functions: int
    half_width: float
    """That was asked for."""
    needed: tuple[int, ...]
    """Further decisions of each band that make the interval so narrow, if they go on as before."""


class Queue(Record):
    """What to look at next."""

    by: str
    """What says how sure we are, in words."""
    precision: ReviewedPrecision | None
    """None where no function was kept."""
    functions: tuple[QueuedFunction, ...]
    """Those that nobody decided on, the first to look at first."""


def make_queue(
    functions: Iterable[QueuedFunction], review: Review, *, half_width: float = HALF_WIDTH, most: int = 100
) -> Queue:
    """Return the queue of a run's kept functions; at most so many of it.

    Args:
        functions: as `read_functions` returns them.
        review: what counts of the decisions so far.
        half_width: of the interval that is narrow enough, 0 to 1.
        most: functions to return.
    """
    listed = list(functions)
    audited = any(each.score is not None for each in listed)
    by = "the audit's score" if audited else "agreement with cases: there is no audit.json, `autoif audit` tells more"
    if not listed:
        return Queue(by=by, precision=None, functions=())
    bands = [_count(place, listed, review) for place in range(len(BANDS))]
    needed = count_needed(bands, half_width)
    undecided = [each for each in listed if not _is_decided(each, review)]
    first, rest = list[QueuedFunction](), list[QueuedFunction]()
    for place, count in enumerate(needed):
        of_band = sorted((each for each in undecided if each.band == place), key=_order)
        first += of_band[:count]
        rest += of_band[count:]
    return Queue(by=by, precision=_estimate(bands, half_width, needed), functions=tuple([*first, *rest][:most]))


def count_needed(bands: Sequence[Band], half_width: float) -> tuple[int, ...]:
    """Return how many further decisions of each band narrow the interval to this, if they go on as before."""
    more, whole = [0] * len(bands), sum(band.size for band in bands)
    enough = (half_width * whole / _quantile()) ** 2
    variances = [band.find_variance() for band in bands]
    while sum(variances) > enough:
        gains = [
            variance - band.find_variance(count + 1) if count < band.open else 0.0
            for band, count, variance in zip(bands, more, variances, strict=True)
        ]
        place = gains.index(max(gains))
        if gains[place] <= 0:
            break
        more[place] += 1
        variances[place] = bands[place].find_variance(more[place])
    return tuple(more)


def _estimate(bands: Sequence[Band], half_width: float, needed: tuple[int, ...]) -> ReviewedPrecision:
    whole, accepted = sum(each.size for each in bands), sum(each.accepted for each in bands)
    rejected = sum(each.rejected for each in bands)
    value = sum(each.accepted + each.open * each.rate for each in bands) / whole
    half = _quantile() * sum(each.find_variance() for each in bands) ** 0.5 / whole
    # Of a band that nobody has looked into nothing is known but its size.
    unknown = sum(each.size for each in bands if each.open == each.size) / whole
    half = half if unknown == 0 else max(half, unknown / 2)
    return ReviewedPrecision(
        value=round(value, 4),
        low=round(max(accepted / whole, value - half), 4),
        high=round(min(1 - rejected / whole, value + half), 4),
        decided=accepted + rejected,
        functions=whole,
        half_width=half_width,
        needed=needed,
    )


def _quantile() -> float:
    return NormalDist().inv_cdf(0.5 + LEVEL / 2)


def _count(place: int, functions: Sequence[QueuedFunction], review: Review) -> Band:
    names = [each.function_id for each in functions if each.band == place]
    accepted = sum(review.accepts("function", name) for name in names)
    return Band(len(names), accepted, sum(review.rejects("function", name) for name in names))


def _is_decided(function: QueuedFunction, review: Review) -> bool:
    name = function.function_id
    return review.accepts("function", name) or review.rejects("function", name)


def _order(function: QueuedFunction) -> str:
    return content_id("queue", function.function_id)


def read_functions(run: Path) -> list[QueuedFunction]:
    """Return the kept functions of a run, each once, in their bands.

    Raises:
        StoreError: a stage's file or audit.json is damaged.
    """
    scores, found = _read_scores(run), dict[str, QueuedFunction]()
    try:
        for row in _read_verified(run):
            for function in _read_kept(row, scores):
                found.setdefault(function.function_id, function)
    except (KeyError, TypeError, IndexError):
        raise StoreError(f"{run} holds an instruction of another form: run the same command again") from None
    return divide(found.values())


def divide(functions: Iterable[QueuedFunction]) -> list[QueuedFunction]:
    """Return functions in bands of the same size, the least sure ones first."""
    ordered = sorted(functions, key=lambda each: (each.surety, _order(each)))
    return [each.model_copy(update={"band": place * len(BANDS) // len(ordered)}) for place, each in enumerate(ordered)]


def _read_verified(run: Path) -> Iterable[dict[str, Any]]:
    if not (run / BACK_TRANSLATION).is_dir() and (run / INSTRUCTIONS).exists():
        return (parse_json(line) for _, line in read_json_lines(run / INSTRUCTIONS))
    return read_stage(run, BACK_TRANSLATION, "kept")


def _read_kept(row: Mapping[str, Any], scores: Mapping[str, float]) -> Iterable[QueuedFunction]:
    matrix, instruction = row["matrix"], row["instruction"]
    expected = ["pass" if case["expected"] else "fail" for case in matrix["cases"]]
    for place in row["kept_functions"]:
        function, verdicts = matrix["functions"][place], matrix["verdicts"][place] if matrix["verdicts"] else []
        agreed = sum(said == wanted for said, wanted in zip(verdicts, expected, strict=False))
        yield QueuedFunction(
            function_id=function["id"],
            source=function["source"],
            instruction_id=instruction["id"],
            instruction=instruction["text"],
            score=scores.get(function["id"]),
            agreement=agreed / len(verdicts) if verdicts else 0.0,
        )


def _read_scores(run: Path) -> dict[str, float]:
    """Return the audit's score of each function, by its id; {} where there was none."""
    path = run / AUDIT
    try:
        with reading_errors(path):
            content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    try:
        instructions = parse_json(content)["scores"]["instructions"]
        return {each["function_id"]: float(each["score"]) for one in instructions for each in one["functions"]}
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{path} is damaged or of another version: `autoif audit {run}` makes it anew") from None
