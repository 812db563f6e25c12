"""Prints what `autoif audit` found: faults, rates against gold, agreement, scores, a second author."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from autoif.audit.agreement import AgreementAudit
from autoif.audit.calibration import Calibration, ScoreAudit
from autoif.audit.consequences import Consequences, RightShare
from autoif.audit.findings import FindingsAudit
from autoif.audit.rates import InstructionRates, Level, LevelRates
from autoif.audit.run import Audit, GoldAudit
from autoif.audit.second_author import SecondAuthor
from autoif.evaluation.statistics import Interval
from autoif.faults.reasons import FindingReason
from autoif.messages import cut_text, show_beginning, show_in_line
from autoif.report.terminal import make_table, print_line, print_notes

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
_LEVELS = {
    Level.WRITTEN: "as written",
    Level.CROSS_VALIDATED: "cross-validated",
    Level.BACK_TRANSLATED: "back-translated",
    Level.MAJORITY: "their majority",
}
_RATES = {"tpr": "TPR", "fpr": "FPR", "tnr": "TNR", "fnr": "FNR", "precision": "precision", "j": "J"}
_SHARES = {
    "cases": "cases with the right verdict",
    "sft": "SFT rows that follow",
    "pairs": "pairs that are right on both sides",
    "chosen": "… whose chosen answer follows",
    "rejected": "… whose rejected answer doesn't",
    "rewards": "rewards that are right",
}
_MOST_FAULTY = 8
"""How many instructions without a sound function are listed."""
_LOWEST = 5
"""How many instructions with the lowest scores or J, or the most disputes, are listed."""
_SHOWN_CHARS = 60


def print_audit(audit: Audit, console: Console) -> None:
    """Print all figures of an audit, and notes on how to read them."""
    print_line(
        f"{audit.instructions:,} instructions with {audit.functions:,} functions; kept: {audit.kept_instructions:,} "
        f"with {audit.kept_functions:,}",
        console,
    )
    if found := audit.reviewed:
        print_line(
            f"reviewers decided on {found.decided:,} of {found.functions:,} functions that the run kept: by that about "
            f"{found.value:.1%} of them are right [{found.low:.1%}, {found.high:.1%}]",
            console,
        )
    _print_findings(audit.findings, audit.kept_functions, console)
    if audit.gold:
        _print_gold(audit.gold, console)
    _print_agreement(audit.agreement, console)
    _print_scores(audit.scores, console)
    if audit.second:
        _print_second(audit.second, console)
    print_notes(audit.notes, console)


def _print_findings(found: FindingsAudit, kept: int, console: Console) -> None:
    """Print how many functions have each finding, and list instructions whose kept functions all have a fault."""
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
    unsound = FindingReason.NO_FUNCTION_SOUND
    faulty = [each for each in found.instructions if any(finding.reason is unsound for finding in each.findings)]
    for each in faulty[:_MOST_FAULTY]:
        function = next(function for function in each.functions if function.kept)
        fault = next(finding.detail for finding in function.findings if finding.reason.is_fault)
        line = show_in_line(f"{each.instruction_id}  {fault}: {show_beginning(each.instruction)}")
        print_line(f"  {line}", console)


def _print_gold(gold: GoldAudit, console: Console) -> None:
    for group, levels in groupby(gold.levels, key=lambda each: each.group):
        measured = [each for each in gold.instructions if each.group == group]
        follow = sum(each.followed for each in measured)
        against = sum(each.not_followed for each in measured)
        shown = escape(show_in_line(f"{gold.name}, {group}"))
        console.print(
            f"\n[bold]gold {shown}[/]: {len(measured):,} instructions, "
            f"{follow:,} responses that follow, {against:,} that don't",
            highlight=False,
            soft_wrap=True,
        )
        console.print(_make_level_table(list(levels)))
        _print_worst(measured, console)
    console.print("\nmeans over instructions in %, 95 % intervals in brackets; J = TPR + TNR - 100", style="dim")
    _print_consequences(gold.consequences, console)


def _make_level_table(levels: Sequence[LevelRates]) -> Table:
    """Return a table with a column for each level and a row for each measure.

    This way four columns with their intervals fit into 80 characters.
    """
    table = make_table("")
    for each in levels:
        table.add_column(_LEVELS[each.level], justify="right", no_wrap=True)
    table.add_row("instructions", *(f"{each.instructions:,}" for each in levels))
    table.add_row("functions", *(f"{each.functions:,}" for each in levels))
    for name, label in _RATES.items():
        table.add_row(label, *(_show_interval(getattr(each, name), 0) for each in levels))
    table.add_row("right", *(f"{each.right:,}" for each in levels))
    table.add_row("refuse all", *(f"{each.refuse_all:,}" for each in levels))
    return table


def _show_interval(interval: Interval | None, digits: int, unit: str = "") -> str:
    """Return a mean with its interval, in rich's markup."""
    if interval is None:
        return "–"
    shown = f"{interval.value:.{digits}f}{unit}"
    if interval.low is None or interval.high is None:
        return shown
    return f"{shown} \\[{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def _print_worst(measured: Iterable[InstructionRates], console: Console) -> None:
    """List the kept instructions whose functions are most often wrong."""
    judged = [(each.majority.j, each) for each in measured if each.majority and each.majority.j is not None]
    wrong = sorted((found for found in judged if found[0] < 50), key=lambda found: (found[0], found[1].instruction_id))
    for j, each in wrong[:_LOWEST]:
        assert each.majority
        rates = f"J {j:.0f}, TPR {each.majority.tpr:.0f}, TNR {each.majority.tnr:.0f}"
        line = f"  {each.instruction_id}  {rates}: {show_beginning(each.instruction)}"
        print_line(line, console)


def _print_consequences(found: Consequences, console: Console) -> None:
    numbers = ("rows", "known to gold", "right")
    table = make_table("the run's own", *numbers, numbers=numbers)
    for name, label in _SHARES.items():
        share: RightShare = getattr(found, name)
        if share.rows:
            right = _show_interval(share.right, 1, " %")
            table.add_row(label, f"{share.rows:,}", f"{share.known:,}", right)
    if not table.row_count:
        return
    console.print()
    console.print(table)
    if found.unwritten:
        print_line(
            f"{found.unwritten:,} of the SFT rows and pairs are in no file: their instructions are a benchmark's",
            console,
        )
    counts = found.responses
    if counts.precision is not None and counts.tpr is not None:
        print_line(
            f"accepted responses that follow: {counts.precision:.1f} %; responses that follow and are accepted: "
            f"{counts.tpr:.1f} %",
            console,
        )


def _print_agreement(found: AgreementAudit, console: Console) -> None:
    """Print how many different behaviours the functions of an instruction have, and how far to trust that."""
    several = [each for each in found.instructions if len(each.functions) > 1]
    if not several:
        return
    clusters = Counter(each.clusters for each in several)
    counted = ", ".join(f"{count:,} with {number}" for number, count in sorted(clusters.items()))
    print_line(f"\nbehaviours of an instruction's functions: {counted}; {found.unanimous:,} all alike", console)
    print_line(f"  {found.note}", console)
    shared = found.shared_errors
    if shared:
        wrong, together, apart = (
            f"{100 * each:.1f} %" for each in (shared.wrong, shared.all_wrong, shared.all_wrong_if_independent)
        )
        print_line(
            f"  against gold {wrong} of verdicts are wrong; all functions at once on {together} of the texts;", console
        )
        print_line(f"  if each erred by itself, that would be {apart}", console)


def _print_scores(found: ScoreAudit, console: Console) -> None:
    """Print how high the scores are, the lowest ones, and their calibration."""
    scores = [each.score for one in found.instructions for each in one.functions]
    if not scores:
        return
    high, low = sum(each >= 0.8 for each in scores), sum(each < 0.4 for each in scores)
    print_line(f"\nscores without gold: {high:,} of {len(scores):,} functions 0.8 or more, {low:,} below 0.4", console)
    kept = [each for each in found.instructions if any(function.kept for function in each.functions)]
    for each in sorted(kept, key=lambda each: (each.score, each.instruction_id))[:_LOWEST]:
        print_line(f"  {each.instruction_id}  {each.score:.2f}: {show_beginning(each.instruction)}", console)
    if found.calibration:
        _print_calibration(found.calibration, console)


def _print_calibration(found: Calibration, console: Console) -> None:
    columns = ("score", "functions", "mean score", "right")
    table = make_table(*columns, numbers=columns)
    for each in found.bins:
        table.add_row(
            f"{each.low:.1f}-{each.high:.1f}", f"{each.functions:,}", f"{each.score:.2f}", f"{each.right:.2f}"
        )
    console.print(table)
    print_line(f"  Brier score {found.brier:.3f}, of the base rate {found.brier_of_base_rate:.3f}", console)


def _print_second(found: SecondAuthor, console: Console) -> None:
    """Print the instructions on which the two authors differ most, each with a text."""
    differ = sum(each.disputed > 0 for each in found.instructions)
    print_line(
        f"\nsecond author {found.second_writer or found.run} beside {found.writer or 'the run'}: "
        f"{len(found.instructions):,} instructions of both, {differ:,} with texts on which the majorities differ",
        console,
    )
    if found.same_writer:
        print_line(
            "  both name the same writer: repeats of one model share their errors, so it is no second author", console
        )
    for each in found.instructions[:_LOWEST]:
        if each.disputed:
            share = f"{100 * each.disputed:.1f} % of texts"
            print_line(f"  {each.instruction_id}  {share}: {show_beginning(each.instruction)}", console)
            for dispute in each.disputes[:1]:
                who = "accepted" if dispute.accepted > 0.5 else "accepted by the second alone"
                print_line(f"    {who}: {show_in_line(cut_text(dispute.text, _SHOWN_CHARS))}", console)
