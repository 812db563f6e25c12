"""What an audit found without gold, for a terminal: how many functions have which fault, and the worst of them."""

from itertools import islice

from rich.console import Console

from autoif.audit.findings import FindingsAudit, FunctionAudit, InstructionAudit
from autoif.faults.reasons import FindingReason
from autoif.reading.text_lines import show_beginning, show_in_line
from autoif.report.terminal import make_table, print_line

_MEANINGS = {
    FindingReason.DOES_NOT_LOAD: "gives no function to call",
    FindingReason.VACUOUS: "accepts nearly everything",
    FindingReason.DEAD: "refuses nearly everything",
    FindingReason.RAISES: "raises on an ordinary text",
    FindingReason.TOO_SLOW: "meets the limit of time or memory",
    FindingReason.TRAILING_SPACE: "a space at the end changes the verdict",
    FindingReason.FINAL_NEWLINE: "a line break at the end changes it",
    FindingReason.CURLY_QUOTES: "curly quotes change it",
    FindingReason.WORD_PUNCTUATION: "a comma after the word that is named changes it",
    FindingReason.LETTER_CASE: "letter case that nobody asked for changes it",
    FindingReason.THRESHOLD: "the number that is asked for makes no difference",
    FindingReason.ASKED_TEXT: "the text that is named makes no difference",
    FindingReason.WEAK_CASES: "cases notice less than half of its mutants",
    FindingReason.OBEYED_UNASKED: "instructions that other answers obey, too",
    FindingReason.NO_FUNCTION_SOUND: "instructions all of whose kept functions have a fault",
}
_SHOWN = 8
"""Instructions that are named."""


def print_findings(found: FindingsAudit, kept: int, console: Console) -> None:
    """Print how many functions have which finding, and instructions whose kept functions all have a fault."""
    table = make_table("found", "", "written", "kept", numbers=("written", "kept"))
    for reason, tally in found.tallies.items():
        if tally.written:
            table.add_row(reason.value, _MEANINGS[reason], f"{tally.written:,}", f"{tally.kept:,}")
    console.print()
    console.print(table if table.row_count else "nothing found", highlight=False)
    lines = [f"without a fault: {found.sound.kept:,} of {kept:,} kept functions"]
    if found.mutants:
        lines.append(f"changes of kept functions that cases notice: {100 * found.killed / found.mutants:.0f} %")
    if against := found.against_gold:
        lines.append(
            f"wrong on over a tenth of gold: {against.wrong:,}, {against.wrong_with_fault:,} of these have a fault; "
            f"right on all of it: {against.right:,}, {against.right_with_fault:,} of these"
        )
    print_line("\n".join(lines), console)
    for each in islice(filter(_is_faulty, found.instructions), _SHOWN):
        function = next(function for function in each.functions if function.kept)
        line = show_in_line(f"{each.instruction_id}  {_name_fault(function)}: {show_beginning(each.instruction)}")
        print_line(f"  {line}", console)


def _is_faulty(audit: InstructionAudit) -> bool:
    return any(finding.reason is FindingReason.NO_FUNCTION_SOUND for finding in audit.findings)


def _name_fault(function: FunctionAudit) -> str:
    return next(finding.detail for finding in function.findings if finding.reason.is_fault)
