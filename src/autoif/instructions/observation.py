"""§3.2, compare what the functions of a draft do: run them on its cases, near misses of cases, and the probes.

    behaviour = await Observer(tools).observe(draft)
    behaviour.is_settled(settings)     # most answers gave functions that behave alike: more would change little

Two functions behave alike if they give the same verdict on each text. Functions that don't load have no behaviour.
A function has one vote for each answer that gave it, or gave the function that it was repaired from.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from autoif.behaviour import Cluster, cluster_functions
from autoif.probes import load_probes, make_near_misses
from autoif.records import Draft, Function, Repair, RepairOutcome, Verdict
from autoif.sandbox.outcomes import Outcome
from autoif.settings import Verification
from autoif.thresholds import meets, share
from autoif.tools import Tools

DECIDED = (Verdict.PASS, Verdict.FAIL)
_TEXTS_AT_ONCE = 64
"""Texts per call of the sandbox. A call ends at the first text that takes too long. After such a call, or one without
any verdict, the function isn't run on further texts: they aren't worth the wait."""

_CASES_VARIED = 24
"""Cases of which near misses are made, some thirty of each. More would take time and hardly tell more."""


class ObservedText(NamedTuple):
    """A text that functions are run on."""

    text: str
    source: Literal["case", "probe", "response"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the functions of a draft do on the same texts."""

    texts: tuple[ObservedText, ...]
    outcomes: tuple[tuple[Outcome, ...], ...]
    """Shape (functions, texts)."""
    votes: tuple[int, ...]
    """How many answers gave each function."""
    clusters: tuple[Cluster, ...]
    """The functions that load (places in the draft), grouped by behaviour; the cluster with most votes first."""

    @property
    def verdicts(self) -> list[list[Verdict]]:
        """Shape (functions, texts)."""
        return [[outcome.verdict for outcome in row] for row in self.outcomes]

    def loads(self, place: int) -> bool:
        return any(outcome.loaded for outcome in self.outcomes[place])

    def count_votes(self, cluster: Cluster) -> int:
        """Return how many answers gave a function of this cluster."""
        return sum(self.votes[place] for place in cluster.members)

    def is_settled(self, settings: Verification) -> bool:
        """Tell whether enough answers gave functions of the first cluster, and these tell texts apart.

        Functions that accept everything, or nothing, agree with each other whatever was asked.
        """
        if not self.clusters or self.clusters[0].is_constant:
            return False
        leading = self.count_votes(self.clusters[0])
        return leading >= settings.settled_functions and meets(share(leading, sum(self.votes)), settings.settled)


class Observer:
    """Runs the functions of one instruction, each on each text once, however often it is asked."""

    def __init__(self, tools: Tools, responses: Sequence[str] = ()) -> None:
        """`responses` are answers to the instruction and to others, if there are any already."""
        self.tools = tools
        self._responses = responses
        self._known: dict[str, dict[str, Outcome]] = {}
        """By function id and text."""

    async def observe(self, draft: Draft) -> Behaviour:
        """Run the functions of a draft on its cases, near misses of these, responses and the probes."""
        texts = list_observed_texts(draft, self._responses)
        outcomes = await self.run(draft.matrix.functions, texts)
        votes = count_votes(draft)
        loading = [place for place, row in enumerate(outcomes) if any(outcome.loaded for outcome in row)]
        clusters = [
            replace(cluster, members=tuple(loading[member] for member in cluster.members))
            for cluster in cluster_functions([[outcome.verdict for outcome in outcomes[place]] for place in loading])
        ]
        clusters.sort(key=lambda cluster: (-sum(votes[place] for place in cluster.members), cluster.members))
        return Behaviour(texts, tuple(outcomes), votes, tuple(clusters))

    async def run(self, functions: Iterable[Function], texts: Sequence[ObservedText]) -> list[tuple[Outcome, ...]]:
        """Return the outcomes of each function on the texts. Shape (functions, texts)."""
        inputs = [each.text for each in texts]
        return list(await asyncio.gather(*(self._run(function, inputs) for function in functions)))

    async def _run(self, function: Function, inputs: Sequence[str]) -> tuple[Outcome, ...]:
        """Run a function on the texts that are new to it, until it takes too long or gives none of them a verdict."""
        known = self._known.setdefault(function.id, {})
        missing = [text for text in inputs if text not in known]
        for at in range(0, len(missing), _TEXTS_AT_ONCE):
            given = missing[at : at + _TEXTS_AT_ONCE]
            [found] = await self.tools.sandbox.run_many([(function.source, given)], until_timeout=True)
            known.update(zip(given, found, strict=True))
            verdicts = {outcome.verdict for outcome in found}
            if Verdict.TIMEOUT in verdicts or not verdicts.intersection(DECIDED):
                last = Outcome(Verdict.TIMEOUT) if Verdict.TIMEOUT in verdicts else found[-1]
                known.update(dict.fromkeys(missing[at + _TEXTS_AT_ONCE :], last))
                break
        return tuple(known[text] for text in inputs)


def list_observed_texts(draft: Draft, responses: Sequence[str] = ()) -> tuple[ObservedText, ...]:
    """Return the texts on which the functions of a draft are compared, each once."""
    cases = [case.input for case in draft.matrix.cases]
    own = [draft.instruction.text, *cases[:_CASES_VARIED]]
    probes = [*(near for text in own for near in make_near_misses(text)), draft.instruction.text, *load_probes()]
    listed = [
        *(ObservedText(text, "case") for text in cases),
        *(ObservedText(text, "response") for text in responses),
        *(ObservedText(text, "probe") for text in probes),
    ]
    found: dict[str, ObservedText] = {}
    for each in listed:
        found.setdefault(each.text, each)
    return tuple(found.values())


def follow_repairs(repairs: Iterable[Repair]) -> dict[str, Function]:
    """Map the id of each repaired function to the function that it has become."""
    became: dict[str, Function] = {}
    for repair in repairs:
        if repair.outcome is RepairOutcome.REPAIRED and repair.made:
            became = {old: repair.made if new.id == repair.function.id else new for old, new in became.items()}
            became[repair.function.id] = repair.made
    return became


def count_votes(draft: Draft) -> tuple[int, ...]:
    """Return how many answers gave each function: 1 for each where the answers don't name their functions."""
    became = follow_repairs(draft.repairs)
    ids = [answer.function for answer in draft.answers if answer.function]
    votes = Counter(became[each].id if each in became else each for each in ids)
    return tuple(votes[function.id] or 1 for function in draft.matrix.functions)
