"""Scores how likely a function is right, 0 to 1, from what it does and without gold.

    texts = make_probing_texts(instruction, cases, answers, others)       # of autoif.faults.probing
    verdicts = await run_patiently(sources, texts.all, sandbox)     # all functions of the instruction
    scores = score_functions(texts, verdicts)                       # one for each

The score is a logistic function of a few signs. benchmarks/reliability.py fitted its weights (reliability.json) on
gold, where a right function accepts at least 0.9 of the texts that follow and refuses at least 0.9 of the others. If
there are answers, a further sign and separate weights are used. No sign is proof: functions that share a misreading
agree.
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
"""Decimal places of scores in files."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What a function does, as shares of texts."""

    cases: float
    """The share of following cases that it accepts, minus the share of the others: 1 is right on all."""
    contrast: float
    """The share of following cases that it accepts, minus the share of the probes."""
    cluster: float
    """The share of its instruction's functions that behave as it does, itself included."""
    agreement: float
    """The mean share of verdicts that it has in common with each other function of its instruction (0 with one that
    times out on a text); 0.5 if there is no other."""
    is_narrow: float
    """1 if it accepts hardly any text at all, else 0."""
    errors: float
    """The share of texts that it neither accepts nor rejects."""
    has_fault: float
    """1 if what it does shows a fault, as an audit finds it, else 0."""
    passed: float
    """1 if it has no fault although the instruction could be read, so that both of its sides were tried; else 0."""
    lift: float | None = None
    """Its share of accepted answers to its instruction, minus that of answers to others; None without answers."""


class Weights(Record):
    """A logistic function of signs."""

    intercept: float
    signs: dict[str, float]


class Fit(Record):
    """The content of reliability.json."""

    made_by: str
    gold: str
    written: Weights
    """For functions without answers."""
    answered: Weights
    """For functions with answers to their instruction and to others."""


async def run_patiently(sources: Sequence[str], texts: Sequence[str], sandbox: Runner) -> list[list[Verdict]]:
    """Return the verdict of each function on each text; after a timeout the rest are timeouts, too."""
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
    """Return the mean share of verdicts that a function has in common with each other one."""
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
