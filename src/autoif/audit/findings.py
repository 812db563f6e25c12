"""The findings of an audit, as records: about functions, and about the instructions that they were written for."""

from collections.abc import Iterable

from autoif.audit.rates import InstructionRates, VerdictCounts, add_up
from autoif.faults.reasons import Finding, FindingReason
from autoif.records import Record


class FunctionAudit(Record):
    """Findings about one function, from what it does with texts that it was not written for."""

    function_id: str
    kept: bool
    """Whether it judges the run's responses."""
    accepted_probes: float
    """Share of the probes, 0 to 1."""
    accepted_others: float | None
    """Share of the answers to other instructions; None if there are none."""
    accepted_own: float | None
    """Share of the answers to its own instruction; None if there are none."""
    mutants: int
    """Changed versions of it that behave differently on some text; made only of kept functions that run."""
    killed: int
    """Mutants that a case of its instruction notices."""
    findings: tuple[Finding, ...] = ()

    @property
    def reasons(self) -> frozenset[FindingReason]:
        return frozenset(finding.reason for finding in self.findings)

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found that makes its verdicts wrong."""
        return not any(reason.is_fault for reason in self.reasons)


class InstructionAudit(Record):
    """Findings about an instruction and its functions."""

    instruction_id: str
    instruction: str
    functions: tuple[FunctionAudit, ...]
    findings: tuple[Finding, ...] = ()
    """About the instruction itself."""


class Tally(Record):
    """How many functions, or instructions, have a certain finding."""

    written: int
    kept: int
    """How many of these are in the run's data."""


class FaultsAgainstGold(Record):
    """How often faults are found in kept functions that gold shows to be wrong, and in those it shows to be right."""

    wrong: int
    """Kept functions that are wrong on more than a tenth of their gold."""
    wrong_with_fault: int
    right: int
    """Kept functions that are right on all of their gold."""
    right_with_fault: int
    """Not necessarily false alarms: gold may lack the texts that show a fault."""


class FindingsAudit(Record):
    """Findings about a run's functions, without gold."""

    probes: int
    """Texts of every kind that each function ran on, beside those for its instruction."""
    tallies: dict[FindingReason, Tally]
    """Counts of functions; for the last two reasons, of instructions."""
    sound: Tally
    """Functions without a fault."""
    mutants: int
    """Mutants of the kept functions; `killed` are those that cases notice."""
    killed: int
    instructions: tuple[InstructionAudit, ...]
    against_gold: FaultsAgainstGold | None = None


def sum_up_findings(instructions: Iterable[InstructionAudit], probes: int) -> FindingsAudit:
    """Return all findings, and how many there are for each reason."""
    listed = tuple(instructions)
    functions = [function for audit in listed for function in audit.functions]
    kept = [function for function in functions if function.kept]
    tallies = {}
    for reason in FindingReason:
        found = [each for each in functions if reason in each.reasons]
        of_instructions = sum(reason in {finding.reason for finding in audit.findings} for audit in listed)
        tallies[reason] = Tally(
            written=len(found) + of_instructions, kept=sum(each.kept for each in found) + of_instructions
        )
    return FindingsAudit(
        probes=probes,
        tallies=tallies,
        sound=Tally(written=sum(each.is_sound for each in functions), kept=sum(each.is_sound for each in kept)),
        mutants=sum(each.mutants for each in kept),
        killed=sum(each.killed for each in kept),
        instructions=listed,
    )


def compare_with_gold(found: FindingsAudit, rates: Iterable[InstructionRates]) -> FaultsAgainstGold:
    """Return how faults of kept functions go together with mistakes on gold, all groups of gold together."""
    by_function: dict[tuple[str, str], list[VerdictCounts]] = {}
    for each in rates:
        for rated in each.functions:
            by_function.setdefault((each.instruction_id, rated.id), []).append(rated.counts)
    wrong: list[bool] = []
    right: list[bool] = []
    for audit in found.instructions:
        for function in audit.functions:
            counts = add_up(by_function.get((audit.instruction_id, function.function_id), []))
            mistakes = counts.false_positives + counts.false_negatives
            total = mistakes + counts.true_positives + counts.true_negatives
            if function.kept and 10 * mistakes > total:
                wrong.append(not function.is_sound)
            elif function.kept and total and not mistakes:
                right.append(not function.is_sound)
    return FaultsAgainstGold(
        wrong=len(wrong), wrong_with_fault=sum(wrong), right=len(right), right_with_fault=sum(right)
    )
