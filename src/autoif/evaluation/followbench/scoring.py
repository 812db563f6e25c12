"""FollowBench's scores, by constraint type and over all, with intervals over initial instructions.

HSR   share of responses that satisfy all of their constraints, in percent
SSR   share of constraints that are satisfied, averaged over responses, in percent; where a rule decides it is the HSR
CSL   how many levels in a row are satisfied, from the first one on, of 0 to 5

The official program gives a judgement that it can't read the value -1, in HSR and in SSR, and says that it has to be
mended by hand. These are the scores, though none goes below 0; beside them stand those over what can be read alone.
"""

from collections.abc import Sequence
from typing import Literal

from autoif.evaluation.bootstrap import Interval, Stratum, bootstrap_strata
from autoif.evaluation.followbench.data import LEVELS, TYPES
from autoif.evaluation.rates import estimate_strata_rate
from autoif.records import Record

AVERAGE = "average"
UNREAD = -1
"""What the official program counts for a judgement that can't be read."""


class SampleResult(Record):
    """One response, judged."""

    satisfied: tuple[bool, ...] | None
    """Each constraint; where a rule decides, all of them at once. None: the judgement can't be read."""
    problem: str | None = None
    """Why it can't be read."""
    judgement: str | None = None
    """What the judge wrote."""
    empty: bool = False
    """The response is blank."""
    truncated: bool | None = None

    @property
    def hard(self) -> int:
        return UNREAD if self.satisfied is None else int(all(self.satisfied))

    @property
    def soft(self) -> float:
        return UNREAD if self.satisfied is None else sum(self.satisfied) / len(self.satisfied)


class PromptResult(Record):
    """A prompt with its responses, in order of their index."""

    id: str
    type: str
    group: str
    """Its initial instruction."""
    level: int
    source: str
    by: Literal["rule", "judge"]
    samples: tuple[SampleResult, ...]


class Table(Record):
    """The scores of one type, or of all of them; None where there is nothing to score."""

    groups: int
    """Initial instructions."""
    prompts: int
    hsr: dict[str, Interval | None]
    """Of level 1 to 5, and their average, in percent."""
    ssr: dict[str, Interval | None]
    csl: Interval | None
    """0 to 5, over the initial instructions with all five levels."""


class Tables(Record):
    """Scores of each type, and over all: the mean of the types, each counting alike."""

    types: dict[str, Table]
    overall: Table


def score(results: Sequence[PromptResult], *, with_unread: bool = True) -> Tables:
    """Return the scores of all types that there are; without judgements that can't be read if asked for."""
    types = {kind: [result for result in results if result.type == kind] for kind in TYPES}
    types = {kind: some for kind, some in types.items() if some}
    tables = {kind: _tabulate([some], with_unread) for kind, some in types.items()}
    return Tables(types=tables, overall=_tabulate(list(types.values()), with_unread))


def _tabulate(types: Sequence[Sequence[PromptResult]], with_unread: bool) -> Table:
    hard = [[collect_rates(some, "hard", level, with_unread) for some in types] for level in (*LEVELS, None)]
    soft = [[collect_rates(some, "soft", level, with_unread) for some in types] for level in (*LEVELS, None)]
    names = [*map(str, LEVELS), AVERAGE]
    results = [result for some in types for result in some]
    return Table(
        groups=len({result.group for result in results}),
        prompts=len(results),
        hsr={name: _rate(values) for name, values in zip(names, hard, strict=True)},
        ssr={name: _rate(values) for name, values in zip(names, soft, strict=True)},
        csl=_average_levels([count_levels(some, with_unread) for some in types]),
    )


def collect_rates(
    results: Sequence[PromptResult], kind: Literal["hard", "soft"], level: int | None, with_unread: bool
) -> Stratum:
    """Return the percentages of the responses at one level, or at all, and the group of each."""
    pairs = [
        (100.0 * (sample.hard if kind == "hard" else sample.soft), result.group)
        for result in results
        if level in {None, result.level}
        for sample in result.samples
        if with_unread or sample.satisfied is not None
    ]
    return [value for value, _ in pairs], [group for _, group in pairs]


def count_levels(results: Sequence[PromptResult], with_unread: bool) -> Stratum:
    """Return the levels in a row of each group and sample; a group without all five has none."""
    groups: dict[str, dict[int, tuple[SampleResult, ...]]] = {}
    for result in results:
        groups.setdefault(result.group, {})[result.level] = result.samples
    values, clusters = [], []
    for group, levels in groups.items():
        if len(levels) < len(LEVELS):
            continue
        for chain in zip(*(levels[level] for level in LEVELS), strict=True):
            if with_unread or all(sample.satisfied is not None for sample in chain):
                values.append(float(next((n for n, sample in enumerate(chain) if sample.hard != 1), len(chain))))
                clusters.append(group)
    return values, clusters


def _rate(types: Sequence[Stratum]) -> Interval | None:
    there = [(values, groups) for values, groups in types if values]
    return estimate_strata_rate(there) if there else None


def _average_levels(types: Sequence[Stratum]) -> Interval | None:
    there = [(values, groups) for values, groups in types if values]
    return bootstrap_strata(there, bounds=(0, len(LEVELS))) if there else None
