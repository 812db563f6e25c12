"""The one way to run functions on what models wrote: verdicts and exact pass rates.

    verdicts = judge(rows, sandbox)                         # rows: (functions, text)
    rates = [compute_pass_rate(each) for each in verdicts]  # fractions; of several constraints, compute_least_rate

A function runs once over the texts of all rows that name it, in their order, which is far quicker than a call for each.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import islice
from typing import Any, Protocol, TypeVar

from autoif.records import Verdict
from autoif.sandbox.outcomes import Outcome
from autoif.sandbox.sandbox import Sandbox
from autoif.thresholds import share

Row = tuple[Sequence[str], str]
"""The sources of functions, and a text that each of them is to judge."""
Verdicts = tuple[Verdict, ...]
"""Of one row: one of each of its functions, in order."""
Outcomes = tuple[Outcome, ...]
"""The same with what there is to say of each verdict."""
Job = tuple[str, Sequence[str]]
T = TypeVar("T")


class HasFunctions(Protocol):
    """A constraint, in a row or in a run."""

    @property
    def functions(self) -> Sequence[Any]: ...


class Runner(Protocol):
    """What runs functions on an event loop: a sandbox, as the stages see it."""

    @property
    def verdicts(self) -> int:
        """Outcomes given so far."""
        ...

    async def run_many(self, jobs: Sequence[Job], *, until_timeout: bool = False) -> list[list[Outcome]]:
        """Run several functions, each on its inputs; return the outcomes of each.

        With `until_timeout` a function gets no input after one that takes too long; the others count as timeouts.
        """
        ...


def judge(rows: Sequence[Row], sandbox: Sandbox, *, until_timeout: bool = False) -> list[Verdicts]:
    """Return the verdicts on each row, in order; wait for them. Raises SandboxError.

    With `until_timeout` a function gets no text after one that takes too long; those that are left count as timeouts.
    """
    return list(map(take_verdicts, find_outcomes(rows, sandbox, until_timeout=until_timeout)))


async def judge_async(rows: Sequence[Row], sandbox: Runner) -> list[Verdicts]:
    """Do as `judge` does, on an event loop."""
    return list(map(take_verdicts, await find_outcomes_async(rows, sandbox)))


def find_outcomes(rows: Sequence[Row], sandbox: Sandbox, *, until_timeout: bool = False) -> list[Outcomes]:
    """Return the outcomes of each row's functions, as `judge` does the verdicts."""
    jobs = group_by_function(rows)
    judged = sandbox.run_many_sync(list(jobs.items()), until_timeout=until_timeout)
    return _deal_outcomes(rows, jobs, judged)


async def find_outcomes_async(rows: Sequence[Row], sandbox: Runner) -> list[Outcomes]:
    """Do as `find_outcomes` does, on an event loop."""
    jobs = group_by_function(rows)
    return _deal_outcomes(rows, jobs, await sandbox.run_many(list(jobs.items())))


def take_verdicts(outcomes: Outcomes) -> Verdicts:
    return tuple(outcome.verdict for outcome in outcomes)


def compute_pass_rate(verdicts: Sequence[Verdict]) -> Fraction:
    """Return the share of the verdicts on one constraint that are `pass`, exactly; 0 of none."""
    return share(verdicts.count(Verdict.PASS), len(verdicts))


def split_verdicts(verdicts: Sequence[Verdict], constraints: Iterable[HasFunctions]) -> list[Verdicts]:
    """Return the verdicts of all functions as those of each constraint."""
    left = iter(verdicts)
    return [tuple(islice(left, len(each.functions))) for each in constraints]


def compute_least_rate(verdicts: Iterable[Sequence[Verdict]]) -> Fraction:
    """Return the pass rate of a text, exactly: that of the constraint that it follows least; 0 if there is none.

    `verdicts` holds those of each constraint's functions. Counted all together, the functions of a constraint that has
    many would outvote those of one that has few.
    """
    return min(map(compute_pass_rate, verdicts), default=Fraction(0))


def group_by_function(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return each function's texts, in the order of the rows; a row that names it twice has its text there twice."""
    texts: dict[str, list[str]] = {}
    for sources, text in rows:
        for source in sources:
            texts.setdefault(source, []).append(text)
    return texts


def deal_out(functions: Iterable[Sequence[str]], found: Mapping[str, Sequence[T]]) -> Iterator[tuple[T, ...]]:
    """Give back to each row's functions what was `found` of its text: the reverse of `group_by_function`."""
    next_of = {source: iter(each) for source, each in found.items()}
    for sources in functions:
        yield tuple(next(next_of[source]) for source in sources)


def _deal_outcomes(
    rows: Sequence[Row], jobs: Mapping[str, Sequence[str]], judged: Sequence[Sequence[Outcome]]
) -> list[Outcomes]:
    return list(deal_out((sources for sources, _ in rows), dict(zip(jobs, judged, strict=True))))
