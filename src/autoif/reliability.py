"""How likely a function is right, told without gold: a score between 0 and 1 from what it does.

    texts = make_probing_texts(instruction, cases, answers, others)       # of autoif.faults.probing
    verdicts = await run_patiently(sources, texts.all, sandbox)     # all functions of the instruction
    scores = score_functions(texts, verdicts)                       # one for each

The score is a logistic function of a few signs. benchmarks/reliability.py fitted its weights (reliability.json) on
gold, where a right function accepts at least 0.9 of the texts that follow and refuses at least 0.9 of the others. With
answers there is one sign more, and weights of their own. No sign is proof: functions that share a misreading agree.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Final

from autoif.behaviour import cluster_functions
from autoif.faults.probing import ProbingTexts, find_faults, measure_accepted
from autoif.judging import Runner
from autoif.records import Record, Verdict

VerdictRows = Sequence[Sequence[Verdict]]
"""Shape (functions, texts)."""
_NARROW: Final = 0.05
DECIMALS: Final = 4
"""Of scores that are written to files."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What a function does, as shares of texts."""

    cases: float
    """Its share of accepted cases among those that follow, less that among the others: 1 is right on all."""
    contrast: float
    """The former, less the probes that it accepts: how much more it likes what was written for its instruction."""
    cluster: float
    """Functions of its instruction that behave as it does, itself among them."""
    agreement: float
    """Verdicts that it shares with another function of its instruction, none with one that takes too long for a text;
    0.5 where there is no other."""
    is_narrow: float
    """1 if it accepts hardly any text at all, else 0."""
    errors: float
    """Texts on which it neither accepts nor refuses."""
    has_fault: float
    """1 if what it does shows a fault, as an audit finds it, else 0."""
    passed: float
    """1 if it shows none though the instruction's words told what to try, so that both sides of it were; else 0."""
    lift: float | None = None
    """Answers to its instruction that it accepts, less those to others; None where there are none."""


class Weights(Record):
    """A logistic function of signs."""

    intercept: float
    signs: dict[str, float]


class Fit(Record):
    """What reliability.json holds."""

    made_by: str
    gold: str
    written: Weights
    """Where there are no answers."""
    answered: Weights
    """Where there are answers to the instruction and to others."""


async def run_patiently(sources: Sequence[str], texts: Sequence[str], sandbox: Runner) -> list[list[Verdict]]:
    """Return the verdict of each function on each text; one that took too long for a text gets no more of them."""
    judged = await sandbox.run_many([(source, texts) for source in sources], until_timeout=True)
    return [[outcome.verdict for outcome in outcomes] for outcomes in judged]


def score_functions(texts: ProbingTexts, verdicts: VerdictRows) -> list[float]:
    """Return the score of each function of an instruction; `verdicts` are those on `texts.all`."""
    return [score(signs) for signs in read_signs(texts, verdicts)]


def read_signs(texts: ProbingTexts, verdicts: VerdictRows) -> list[Signs]:
    """Return the signs of each function of an instruction; `verdicts` are those on `texts.all`."""
    size = {member: len(cluster.members) for cluster in cluster_functions(verdicts) for member in cluster.members}
    return [
        _read_signs(texts, row, size[place] / len(verdicts), _measure_agreement(verdicts, place))
        for place, row in enumerate(verdicts)
    ]


def _read_signs(texts: ProbingTexts, row: Sequence[Verdict], cluster: float, agreement: float) -> Signs:
    verdicts = dict(zip(texts.all, row, strict=True))
    follow, differ = (
        measure_accepted([case.input for case in texts.cases if case.expected is side], verdicts)
        for side in (True, False)
    )
    own, others = (measure_accepted(answers, verdicts) for answers in (texts.own, texts.others))
    has_fault = any(found.reason.is_fault for found in find_faults(texts, verdicts))
    undecided = sum(found not in {Verdict.PASS, Verdict.FAIL} for found in row)
    return Signs(
        cases=follow - differ,
        contrast=follow - measure_accepted(texts.probes, verdicts),
        cluster=cluster,
        agreement=agreement,
        is_narrow=float(measure_accepted(texts.all, verdicts) <= _NARROW),
        errors=undecided / len(row),
        has_fault=float(has_fault),
        passed=float(texts.is_tried and not has_fault),
        lift=own - others if texts.own and texts.others else None,
    )


def _measure_agreement(verdicts: VerdictRows, place: int) -> float:
    """Return the mean share of verdicts that a function has in common with another one."""
    others = [row for other, row in enumerate(verdicts) if other != place]
    if not others:
        return 0.5
    quick = [row for row in others if Verdict.TIMEOUT not in row]
    same = sum(one == two for row in quick for one, two in zip(verdicts[place], row, strict=True))
    return same / (len(others) * len(verdicts[place]))


def score(signs: Signs) -> float:
    """Return how likely a function with these signs is right, 0 to 1."""
    fit = load_fit()
    weights = fit.written if signs.lift is None else fit.answered
    values = asdict(signs)
    return 1 / (1 + math.exp(-weights.intercept - sum(each * values[name] for name, each in weights.signs.items())))


@cache
def load_fit() -> Fit:
    """Return the weights that come with the package."""
    return Fit.model_validate(json.loads((resources.files("autoif") / "reliability.json").read_text(encoding="utf-8")))
