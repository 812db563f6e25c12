"""Scores of functions and instructions without gold, and their calibration against gold.

    score of a function        how likely it is right, from what it does (`autoif.reliability`)
    score of an instruction    the mean score of its kept functions, or of all if none was kept

Scores are calibrated if about 80 % of the functions with scores around 0.8 are right: they have a TPR and TNR of at
least 90 % against gold. The Brier score is the mean squared distance from score to truth; it should be below that of
the base rate.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import fmean

from autoif.audit.gold import RESPONSES
from autoif.audit.observed import Observed
from autoif.audit.rates import InstructionRates
from autoif.records import Record
from autoif.reliability import DECIMALS, Signs, read_signs, score

_EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


class FunctionScore(Record):
    """How likely one function is right, and why."""

    function_id: str
    kept: bool
    """Whether it judges the run's responses."""
    score: float
    """0 to 1."""
    signs: Signs


class InstructionScore(Record):
    """How likely the functions of one instruction are right."""

    instruction_id: str
    instruction: str
    score: float
    functions: tuple[FunctionScore, ...]


class Bin(Record):
    """Functions with scores from `low` to below `high`."""

    low: float
    high: float
    functions: int
    score: float
    """Their mean score."""
    right: float
    """The share that is right."""


class Calibration(Record):
    """Scores against gold."""

    functions: int
    right: float
    """The share that is right: the base rate."""
    brier: float
    brier_of_base_rate: float
    bins: tuple[Bin, ...]
    """Of a reliability diagram; empty bins are left out."""


class ScoreAudit(Record):
    """The scores of a run."""

    instructions: tuple[InstructionScore, ...]
    calibration: Calibration | None = None
    """None without gold."""

    @property
    def by_function(self) -> dict[tuple[str, str], float]:
        """The scores by instruction and function."""
        return {
            (one.instruction_id, each.function_id): each.score for one in self.instructions for each in one.functions
        }


def score_instructions(observed: Iterable[Observed]) -> ScoreAudit:
    """Return the score of every function and instruction."""
    return ScoreAudit(instructions=tuple(_score(each) for each in observed if each.verdicts))


def measure_calibration(scores: ScoreAudit, rates: Iterable[InstructionRates]) -> Calibration | None:
    """Return the calibration of scores against gold's responses.

    None if no instruction has both responses that follow and others: only these show whether a function is right.
    """
    found = scores.by_function
    judged = [
        (found[each.instruction_id, function.id], function.counts.is_right)
        for each in rates
        if each.group == RESPONSES and each.followed and each.not_followed
        for function in each.functions
        if (each.instruction_id, function.id) in found
    ]
    return calibrate(judged) if judged else None


def calibrate(judged: Sequence[tuple[float, bool]]) -> Calibration:
    """Return the calibration of at least one function, each given as (score, whether it is right)."""
    base = fmean(right for _, right in judged)
    return Calibration(
        functions=len(judged),
        right=round(base, DECIMALS),
        brier=round(fmean((found - right) ** 2 for found, right in judged), DECIMALS),
        brier_of_base_rate=round(base * (1 - base), DECIMALS),
        bins=tuple(_fill_bins(judged)),
    )


def _fill_bins(judged: Sequence[tuple[float, bool]]) -> Iterator[Bin]:
    for low, high in pairwise(_EDGES):
        inside = [(found, right) for found, right in judged if low <= found < high or found == high == 1]
        if inside:
            mean, right = (fmean(column) for column in zip(*inside, strict=True))
            yield Bin(
                low=low, high=high, functions=len(inside), score=round(mean, DECIMALS), right=round(right, DECIMALS)
            )


def _score(observed: Observed) -> InstructionScore:
    written = observed.written
    functions = tuple(
        FunctionScore(
            function_id=function.id,
            kept=place in written.back_translated,
            score=round(score(signs), DECIMALS),
            signs=signs,
        )
        for place, (function, signs) in enumerate(
            zip(written.functions, read_signs(observed.texts, observed.verdicts), strict=True)
        )
    )
    deciding = [each.score for each in functions if each.kept] or [each.score for each in functions]
    return InstructionScore(
        instruction_id=written.instruction.id,
        instruction=written.instruction.text,
        score=round(fmean(deciding), DECIMALS),
        functions=functions,
    )
