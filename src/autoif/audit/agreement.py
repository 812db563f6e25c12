"""How far the functions of an instruction agree, and how reliable that makes each of them.

    clusters        functions with the same verdict on every text: cases, probes, answers
    with majority   the share of texts on which a function agrees with most of the others
    Dawid-Skene     each function's TPR and TNR, estimated from the verdicts alone, together with which texts follow

Agreement is no proof. One model wrote all functions of an instruction, so their errors are correlated, and an estimate
that takes them for independent witnesses (Dawid and Skene, 1979) is too high. Gold shows by how much: how often all are
wrong together, and how often that would happen if errors were independent. A second author (`second_author.py`) shares
fewer errors.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from autoif.audit.gold import RESPONSES, Gold
from autoif.audit.material import Material
from autoif.audit.observed import Observed
from autoif.behaviour import Cluster, cluster_functions, find_splits
from autoif.judging import judge
from autoif.records import Record, Verdict
from autoif.reliability import DECIMALS
from autoif.sandbox import Sandbox

CORRELATED = (
    "functions of one instruction are repeats of one model: where they share a misreading they agree, and rates that "
    "are estimated from agreement alone are too high"
)
_FEWEST_VOTERS = 3
"""With two functions, a disagreement doesn't show which one is wrong."""
_SHOWN_SPLITS = 3
_ROUNDS = 200
_SETTLED = 1e-7
"""The estimate has converged when no text's probability moves by more."""
_MOST_EXPONENT = 700.0
"""Largest exponent of e that a float holds."""


@dataclass(frozen=True, slots=True)
class Rates:
    """How often a function is right on texts that follow (TPR) and on texts that don't (TNR)."""

    tpr: float
    tnr: float


class FunctionAgreement(Record):
    """How far one function agrees with the others of its instruction."""

    function_id: str
    cluster: int
    """Rank of its cluster; the largest is 0."""
    with_majority: float | None
    """None if no text has a majority."""
    tpr: float | None
    """By Dawid and Skene; None for fewer than three functions."""
    tnr: float | None


class Split(Record):
    """A text on which clusters differ."""

    text: str
    accepted_by: tuple[str, ...]
    """Ids of functions."""


class InstructionAgreement(Record):
    """The functions of one instruction."""

    instruction_id: str
    instruction: str
    texts: int
    clusters: int
    largest: int
    """Functions in the largest cluster."""
    functions: tuple[FunctionAgreement, ...]
    splits: tuple[Split, ...]
    """The first three texts on which clusters differ."""


class SharedErrors(Record):
    """How often functions err together, against gold; instructions with at least two functions count."""

    texts: int
    wrong: float
    """Share of all verdicts that are wrong."""
    all_wrong: float
    """Share of the texts on which all functions are wrong."""
    all_wrong_if_independent: float
    """What that share would be if the functions of an instruction erred independently."""


class AgreementAudit(Record):
    """How far the functions of all instructions agree."""

    instructions: tuple[InstructionAgreement, ...]
    unanimous: int
    """Instructions with two or more functions, which behave alike on every text."""
    note: str = CORRELATED
    shared_errors: SharedErrors | None = None
    """None without gold."""


def measure_agreement(observed: Iterable[Observed]) -> AgreementAudit:
    """Return how far the functions of each instruction agree."""
    instructions = tuple(_compare_functions(each) for each in observed if each.verdicts)
    unanimous = sum(each.clusters == 1 < len(each.functions) for each in instructions)
    return AgreementAudit(instructions=instructions, unanimous=unanimous)


def measure_shared_errors(material: Material, gold: Gold, sandbox: Sandbox) -> SharedErrors | None:
    """Return how often functions err together on gold's responses; None if no instruction with gold has two functions.

    Raises:
        SandboxError: functions can't be contained on this machine.
    """
    texts = wrong = verdicts = 0
    all_wrong, expected = 0, 0.0
    for written in material.instructions:
        labels = gold.of(written.instruction.text).get(RESPONSES, {})
        if len(written.sources) < 2 or not labels:
            continue
        judged = judge([(written.sources, text) for text in labels], sandbox)
        errors = [
            [(verdict is Verdict.PASS) != followed for verdict in row]
            for row, followed in zip(judged, labels.values(), strict=True)
        ]
        texts += len(errors)
        verdicts += len(errors) * len(written.sources)
        wrong += sum(map(sum, errors))
        all_wrong += sum(map(all, errors))
        expected += len(errors) * prod(sum(column) / len(errors) for column in zip(*errors, strict=True))
    if not texts:
        return None
    return SharedErrors(
        texts=texts,
        wrong=round(wrong / verdicts, DECIMALS),
        all_wrong=round(all_wrong / texts, DECIMALS),
        all_wrong_if_independent=round(expected / texts, DECIMALS),
    )


def estimate_rates(accepted: Sequence[Sequence[bool]]) -> list[Rates] | None:
    """Estimate the rates of functions by Dawid and Skene's expectation maximisation, starting from the majority.

    Each round estimates the rates from which texts follow, and then which texts follow from the rates. Votes are taken
    as independent given whether a text follows. For smoothing, each function counts as right on one more text that
    follows and wrong on another, and likewise for texts that don't.

    Args:
        accepted: whether each function accepts each text, shape (functions, texts).

    Returns:
        The rates of each function; None for fewer than three functions, or without a text.
    """
    if len(accepted) < _FEWEST_VOTERS or not accepted[0]:
        return None
    # Texts with the same votes are one row with their number.
    votes, counts = np.unique(np.array(accepted, float).T, axis=0, return_counts=True)
    follows = votes.mean(axis=1)
    for _ in range(_ROUNDS):
        positive, negative = counts @ follows, counts @ (1 - follows)
        tpr = ((counts * follows) @ votes + 1) / (positive + 2)
        tnr = ((counts * (1 - follows)) @ (1 - votes) + 1) / (negative + 2)
        log_follows = np.log(positive + 1) + votes @ np.log(tpr) + (1 - votes) @ np.log(1 - tpr)
        log_fails = np.log(negative + 1) + votes @ np.log(1 - tnr) + (1 - votes) @ np.log(tnr)
        updated = 1 / (1 + np.exp(np.minimum(log_fails - log_follows, _MOST_EXPONENT)))
        moved, follows = np.abs(updated - follows).max(), updated
        if moved < _SETTLED:
            break
    return [Rates(*each) for each in zip(tpr.tolist(), tnr.tolist(), strict=True)]


def _compare_functions(observed: Observed) -> InstructionAgreement:
    written, verdicts = observed.written, observed.verdicts
    clusters = cluster_functions(verdicts)
    place_of = {member: place for place, cluster in enumerate(clusters) for member in cluster.members}
    accepted = [[verdict is Verdict.PASS for verdict in row] for row in verdicts]
    rates = estimate_rates(accepted)
    agreed = _compare_with_majority(accepted)
    return InstructionAgreement(
        instruction_id=written.instruction.id,
        instruction=written.instruction.text,
        texts=len(observed.texts.all),
        clusters=len(clusters),
        largest=len(clusters[0].members),
        functions=tuple(
            FunctionAgreement(
                function_id=function.id,
                cluster=place_of[place],
                with_majority=agreed[place],
                tpr=round(rates[place].tpr, DECIMALS) if rates else None,
                tnr=round(rates[place].tnr, DECIMALS) if rates else None,
            )
            for place, function in enumerate(written.functions)
        ),
        splits=tuple(_show_splits(observed, clusters, accepted)),
    )


def _compare_with_majority(accepted: Sequence[Sequence[bool]]) -> list[float | None]:
    """Return for each function the share of texts on which it agrees with the majority; ties are left out."""
    decided = [column for column in zip(*accepted, strict=True) if 2 * sum(column) != len(column)]
    if not decided or len(accepted) < 2:
        return [None] * len(accepted)
    return [
        round(sum(column[place] == (2 * sum(column) > len(column)) for column in decided) / len(decided), DECIMALS)
        for place in range(len(accepted))
    ]


def _show_splits(
    observed: Observed, clusters: Sequence[Cluster], accepted: Sequence[Sequence[bool]]
) -> Iterable[Split]:
    texts, functions = observed.texts.all, observed.written.functions
    for place in find_splits(clusters)[:_SHOWN_SPLITS]:
        accepting = tuple(function.id for function, row in zip(functions, accepted, strict=True) if row[place])
        yield Split(text=texts[place], accepted_by=accepting)
