"""What functions agree on, their scores, and what a second author says otherwise, as lines for a terminal."""

from collections import Counter

from rich.console import Console

from autoif.audit.agreement import AgreementAudit
from autoif.audit.calibration import Calibration, ScoreAudit
from autoif.audit.second_author import SecondAuthor
from autoif.reading.text_lines import cut_text, show_beginning, show_in_line
from autoif.report.terminal import make_table, print_line

_LOWEST = 5
"""Instructions that are named: those with the lowest scores, or the most disputed."""
_SHOWN_CHARS = 60


def print_agreement(found: AgreementAudit, console: Console) -> None:
    """Print in how many ways the functions of an instruction behave, and what that is worth."""
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


def print_scores(found: ScoreAudit, console: Console) -> None:
    """Print how high the scores are, the lowest ones, and how well they hold."""
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


def print_second(found: SecondAuthor, console: Console) -> None:
    """Print what the two authors differ on most, with texts."""
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
