"""`autoif decisions`: show what reviewers decided about a run, merge files of several reviewers, apply them."""

import asyncio
from collections import Counter
from pathlib import Path

import click

from autoif.cli.options import LocalPath
from autoif.decisions import (
    DecisionFile,
    Key,
    Review,
    Standing,
    Target,
    merge_decisions,
    read_decisions,
    settle_decisions,
)
from autoif.messages import list_some, show_in_line
from autoif.runs.store import read_run

_SHOWN = 10
_KINDS: tuple[Target, ...] = ("instruction", "function", "response", "pair")


@click.command()
@click.argument("run", type=LocalPath())
@click.option(
    "--merge",
    "others",
    type=LocalPath(),
    multiple=True,
    metavar="FILE",
    help="Add the decisions.jsonl of another reviewer or of a copy of the run; may be repeated.",
)
@click.option("--apply", "apply_now", is_flag=True, help="Make the data sets of a complete run anew; ask no model.")
def decisions(run: Path, others: tuple[Path, ...], apply_now: bool) -> None:
    """Show what reviewers decided about RUN, a run folder, as `autoif view` stores it.

    The latest decision of each author counts. If authors differ, a rejection outweighs acceptances. Exports and
    trainings leave out rejected rows at once; the data sets follow with the next `autoif run` of the folder, or with
    --apply.
    """
    read_run(run)
    if others:
        click.echo(f"{merge_decisions(run, others):,} decisions added to {run}")
    found = read_decisions(run)
    for line in describe_review(_settle(run, found)):
        click.echo(line)
    found.refuse_damage()
    if apply_now:
        from autoif.runs.orchestration import remake_data  # loads all stages

        for note in asyncio.run(remake_data(run)):
            click.echo(note)
        click.echo(f"the data sets of {run} honour them now")


def _settle(run: Path, found: DecisionFile) -> Review:
    """Return the decisions that count; warn about those on items that the run doesn't have."""
    review = settle_decisions(found.decisions)
    if review:
        from autoif.datasets.reviewing import list_items  # loads all records

        review, unknown = review.split(list_items(run))
        if unknown:
            shown = list_some([f"{kind} {item}" for kind, item in unknown], _SHOWN)
            click.echo(f"{run} has no {shown}: what was decided about that changes nothing here", err=True)
    return review


def describe_review(review: Review) -> list[str]:
    """Return lines with the counts of accepted, rejected and commented items by kind, and one for each dispute."""
    if not review:
        return ["no decisions"]
    counts = Counter((kind, each.verdict) for (kind, _), each in review.standings.items())
    commented = Counter(kind for (kind, _), each in review.standings.items() if each.comments)
    lines = [
        f"{f'{kind}s':<12} {counts[kind, 'accept']:>6,} accepted {counts[kind, 'reject']:>6,} rejected "
        f"{commented[kind]:>6,} commented on"
        for kind in _KINDS
        if counts[kind, "accept"] + counts[kind, "reject"] + commented[kind]
    ]
    disputed = [(key, each) for key, each in review.standings.items() if each.is_disputed]
    return lines + [_describe_dispute(key, each) for key, each in disputed]


def _describe_dispute(key: Key, standing: Standing) -> str:
    kind, item = key
    sides = [", ".join(each.author for each in side) for side in (standing.accepted, standing.rejected)]
    return show_in_line(f"{kind} {item}: accepted by {sides[0]}, rejected by {sides[1]}, and so rejected")
