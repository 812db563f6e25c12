"""How likely a function is right, told without gold: a score between 0 and 1 from what it does.

    trial = plan_trial(matrix, answers, others)              # texts to run all functions of an instruction on
    verdicts = await run_trial(trial, sandbox)
    scores = score_functions(trial, verdicts)                # one for each function

The score is a logistic function of a few signs. Its weights lie in reliability.json; benchmarks/reliability.py fitted
them on gold, and says how well they are calibrated on instructions that were kept aside. A function counted as right
if it accepted at least 0.9 of the texts that follow and refused at least 0.9 of the others. With answers to the
instruction and to others there is one sign more, and weights of their own.

No sign is proof: functions of one model that share a misreading pass each other's cases and agree.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Final

from autoif.behaviour import cluster_functions
from autoif.judging import Runner
from autoif.probes import load_probes
from autoif.records import Matrix, Record, Verdict
from autoif.sandbox.sandbox import Sandbox

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
    """Verdicts that it shares with another function of its instruction; 0.5 where there is no other."""
    is_narrow: float
    """1 if it accepts hardly any text at all, else 0."""
    errors: float
    """Texts on which it neither accepts nor refuses."""
    lift: float | None = None
    """Answers to its instruction that it accepts, less those to others; None where there are none. For a function that
    is blind to what follows it is 0, whatever the responder did."""


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


@dataclass(frozen=True, slots=True)
class ReliabilityTrial:
    """The texts that the functions of one instruction are run on."""

    sources: tuple[str, ...]
    expected: tuple[bool, ...]
    """For each case whether its text follows, as its writer said."""
    cases: tuple[str, ...]
    answers: tuple[str, ...]
    """To this instruction."""
    others: tuple[str, ...]
    """To other instructions."""

    @property
    def texts(self) -> list[str]:
        """All of them, in the order in which functions are run on them."""
        return [*self.cases, *load_probes(), *self.answers, *self.others]


def plan_trial(matrix: Matrix, answers: Sequence[str] = (), others: Sequence[str] = ()) -> ReliabilityTrial:
    """Return what the functions of an instruction have to be run on.

    Args:
        matrix: its functions and cases.
        answers: to this instruction.
        others: to other instructions, about as many. Both or neither.
    """
    return ReliabilityTrial(
        sources=tuple(function.source for function in matrix.functions),
        expected=tuple(case.expected for case in matrix.cases),
        cases=tuple(case.input for case in matrix.cases),
        answers=tuple(answers),
        others=tuple(others),
    )


async def run_trial(trial: ReliabilityTrial, sandbox: Runner) -> list[list[Verdict]]:
    """Return the verdict of each function on each text. Shape (functions, texts)."""
    return await run_patiently(trial.sources, trial.texts, sandbox)


async def run_patiently(sources: Sequence[str], texts: Sequence[str], sandbox: Runner) -> list[list[Verdict]]:
    """Return the verdict of each function on each text; one that took too long for a text gets no more of them."""
    judged = await sandbox.run_many([(source, texts) for source in sources], until_timeout=True)
    return [[outcome.verdict for outcome in outcomes] for outcomes in judged]


def run_trial_sync(trial: ReliabilityTrial, sandbox: Sandbox) -> list[list[Verdict]]:
    """Do as `run_trial` does, and wait for it."""
    texts = trial.texts
    judged = sandbox.run_many_sync([(source, texts) for source in trial.sources], until_timeout=True)
    return [[outcome.verdict for outcome in outcomes] for outcomes in judged]


def score_functions(trial: ReliabilityTrial, verdicts: VerdictRows) -> list[float]:
    """Return the score of each function.

    Args:
        trial: what they were run on.
        verdicts: what came of it, shape (functions, texts).
    """
    return [score(signs) for signs in read_signs(trial, verdicts)]


def read_signs(trial: ReliabilityTrial, verdicts: VerdictRows) -> list[Signs]:
    """Return the signs of each function; `verdicts` are what came of the trial."""
    size = {member: len(cluster.members) for cluster in cluster_functions(verdicts) for member in cluster.members}
    return [
        _read_signs(trial, row, size[place] / len(verdicts), _measure_agreement(verdicts, place))
        for place, row in enumerate(verdicts)
    ]


def _read_signs(trial: ReliabilityTrial, row: Sequence[Verdict], cluster: float, agreement: float) -> Signs:
    at, parts = 0, []
    for length in (len(trial.cases), len(load_probes()), len(trial.answers), len(trial.others)):
        parts.append(row[at : at + length])
        at += length
    cases, probes, answers, others = parts
    follow = _pass_rate([found for found, expected in zip(cases, trial.expected, strict=True) if expected])
    differ = _pass_rate([found for found, expected in zip(cases, trial.expected, strict=True) if not expected])
    undecided = sum(found not in {Verdict.PASS, Verdict.FAIL} for found in row)
    return Signs(
        cases=follow - differ,
        contrast=follow - _pass_rate(probes),
        cluster=cluster,
        agreement=agreement,
        is_narrow=float(_pass_rate(row) <= _NARROW),
        errors=undecided / len(row),
        lift=_pass_rate(answers) - _pass_rate(others) if answers and others else None,
    )


def _measure_agreement(verdicts: VerdictRows, place: int) -> float:
    """Return the mean share of verdicts that a function has in common with another one."""
    others = [row for other, row in enumerate(verdicts) if other != place]
    if not others:
        return 0.5
    same = sum(one == two for row in others for one, two in zip(verdicts[place], row, strict=True))
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


def _pass_rate(verdicts: Sequence[Verdict]) -> float:
    return verdicts.count(Verdict.PASS) / len(verdicts) if verdicts else 0.0
