"""Runs verification functions on texts, the one way for all parts of autoif: verdicts and exact pass rates.

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
"""The sources of functions, and the text that each of them judges."""
Verdicts = tuple[Verdict, ...]
"""The verdict of each function of one row, in order."""
Outcomes = tuple[Outcome, ...]
"""The same, with the details of each verdict."""
Job = tuple[str, Sequence[str]]
T = TypeVar("T")


class HasFunctions(Protocol):
    """A constraint, in a row or in a run."""

    @property
    def functions(self) -> Sequence[Any]: ...


class Runner(Protocol):
    """Runs functions on an event loop: the part of a sandbox that stages use."""

    @property
    def verdicts(self) -> int:
        """The number of outcomes so far."""
        ...

    async def run_many(self, jobs: Sequence[Job], *, until_timeout: bool = False) -> list[list[Outcome]]:
        """Run several functions, each on its inputs; return the outcomes of each.

        With `until_timeout` a function gets no input after one that takes too long; the others count as timeouts.
        """
        ...


def judge(rows: Sequence[Row], sandbox: Sandbox, *, until_timeout: bool = False) -> list[Verdicts]:
    """Return the verdicts on each row, in order; blocks. Raises SandboxError.

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
    """Return the exact share of one constraint's verdicts that are `pass`; 0 if there are none."""
    return share(verdicts.count(Verdict.PASS), len(verdicts))


def split_verdicts(verdicts: Sequence[Verdict], constraints: Iterable[HasFunctions]) -> list[Verdicts]:
    """Divide the verdicts of all functions among the constraints, in order."""
    left = iter(verdicts)
    return [tuple(islice(left, len(each.functions))) for each in constraints]


def compute_least_rate(verdicts: Iterable[Sequence[Verdict]]) -> Fraction:
    """Return the exact pass rate of a text: that of the constraint it follows least; 0 if there is none.

    `verdicts` holds those of each constraint's functions. Counted all together, the functions of a constraint that has
    many would outvote those of one that has few.
    """
    return min(map(compute_pass_rate, verdicts), default=Fraction(0))


def group_by_function(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return each function's texts, in the order of the rows; a row that names a function twice adds its text twice."""
    texts: dict[str, list[str]] = {}
    for sources, text in rows:
        for source in sources:
            texts.setdefault(source, []).append(text)
    return texts


def deal_out(functions: Iterable[Sequence[str]], found: Mapping[str, Sequence[T]]) -> Iterator[tuple[T, ...]]:
    """Yield the results of each row's functions from the results by function: the reverse of `group_by_function`."""
    next_of = {source: iter(each) for source, each in found.items()}
    for sources in functions:
        yield tuple(next(next_of[source]) for source in sources)


def _deal_outcomes(
    rows: Sequence[Row], jobs: Mapping[str, Sequence[str]], judged: Sequence[Sequence[Outcome]]
) -> list[Outcomes]:
    return list(deal_out((sources for sources, _ in rows), dict(zip(jobs, judged, strict=True))))
