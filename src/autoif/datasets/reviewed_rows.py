"""Reads the rows of a run's data sets for trainers, without what reviewers rejected after the run wrote them.

The rules are those of `autoif.datasets.reviewing`, except that a row that is left out is not replaced by another.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from autoif.datasets.reviewing import name_pair, read_acceptance
from autoif.datasets.rows import (
    AnyRow,
    Columns,
    Constraint,
    DataRow,
    PreferenceRow,
    RewardRow,
    RowSets,
    SftRow,
    Turn,
    check_turns,
    find_data_sets,
    find_kind,
)
from autoif.decisions import Review, read_review
from autoif.errors import ConfigError
from autoif.judging import compute_least_rate
from autoif.models.reasoning import split_reasoning
from autoif.models.text import holds_token
from autoif.reading.jsonl import read_jsonl
from autoif.reading.text_lines import refuse_repeats
from autoif.records import Verdict, content_id
from autoif.runs.contents import read_records
from autoif.runs.store import AUGMENTATION, DECISIONS, REJECTION_SAMPLING, read_manifest, read_stage
from autoif.settings import Preferences, RejectionSampling
from autoif.thresholds import Threshold, meets

C = TypeVar("C", bound=Constraint)
D = TypeVar("D", SftRow, PreferenceRow, RewardRow, AnyRow)
_VERDICTS = ("verdicts", "chosen_verdicts", "rejected_verdicts")


def read_rows(paths: Sequence[Path]) -> RowSets:
    """Read run folders, or files of runs, for trainers that take one question and one answer.

    Raises:
        ConfigError: a folder is no run or has no data set, or there is no row at all, or reviewers rejected all.
        StoreError: a file is named twice or can't be read, or a row doesn't fit; file and line are named.
    """
    files = [file for path in paths for file in find_data_sets(path)]
    refuse_repeats(files)
    rows, left_out = list[AnyRow](), 0
    for file in files:
        found, review = read_jsonl(file, find_kind(file), check=check_turns), read_row_review(file)
        accepted = [row for each in found if (row := review_row(each, review))] if review else found
        rows += accepted
        left_out += len(found) - len(accepted)
    if not rows:
        why = f"; reviewers rejected all {left_out:,}" if left_out else ""
        raise ConfigError(f"nothing to export: no rows in {', '.join(map(str, paths))}{why}")
    repeated = len(rows) - len({hash(row.model_dump_json()) for row in rows}) if len(paths) > 1 else 0
    return RowSets(
        tuple(row for row in rows if isinstance(row, SftRow)),
        tuple(row for row in rows if isinstance(row, PreferenceRow)),
        tuple(row for row in rows if isinstance(row, RewardRow)),
        left_out,
        repeated,
        sum(map(_is_marked, rows)),
    )


def _is_marked(row: AnyRow) -> bool:
    """Tell whether an answer of a row has a thought, or a token of a chat template."""
    answers: tuple[Turn, ...] = ()
    match row:
        case SftRow():
            answers = row.messages[-1:]
        case PreferenceRow():
            answers = (*row.chosen[-1:], *row.rejected[-1:])
    return any(holds_token(each.content) or split_reasoning(each.content).reasoning for each in answers)


@dataclass(frozen=True, slots=True)
class RowReview:
    """The decisions and settings that apply to the rows of a run's data sets."""

    review: Review
    pass_rate: Threshold = RejectionSampling().pass_rate
    preferences: Preferences = field(default_factory=Preferences)
    answers: frozenset[tuple[str, str]] = frozenset()
    """Prompt and text of each rejected response, as pairs don't have the ids of theirs."""


def read_row_review(file: Path) -> RowReview | None:
    """Return the review that applies to a data set, from the decisions beside it; None if there are none.
    Raises StoreError: a decision, run.json or a stage's file is damaged."""
    run = file.parent
    if not (run / DECISIONS).exists():
        return None
    review = read_review(run)
    if not review:
        return None
    pass_rate, preferences = read_acceptance(read_manifest(run), run)
    return RowReview(review, pass_rate, preferences, frozenset(_find_answers(run, review.list_rejected("response"))))


def review_row(row: D, found: RowReview) -> D | None:
    """Return a row without its rejected functions; None if it is rejected, or no longer passes."""
    review = found.review
    if any(review.rejects("instruction", each.instruction_id) for each in row.constraints):
        return None
    if isinstance(row, SftRow) and review.rejects("response", row.response_id):
        return None
    if isinstance(row, PreferenceRow) and _is_rejected_pair(row, found):
        return None
    constraints = [_review_constraint(each, review) for each in row.constraints]
    left = [each for each in constraints if each is not None]
    if len(left) < len(constraints):
        return None
    if all(one is other for one, other in zip(left, row.constraints, strict=True)):
        return row
    return _rate_again(row.model_copy(update={"constraints": tuple(left)}), found)


def review_columns(found: Columns, kind: type[DataRow], review: RowReview) -> Columns | None:
    """Do what `review_row` does, for a row as JSON. A row that isn't of this kind is returned unchanged, so that its
    reader reports it."""
    try:
        row = kind.model_validate(found)
    except ValidationError:
        return found
    assert isinstance(row, SftRow | PreferenceRow | RewardRow)
    left = review_row(row, review)
    if left is row:
        return found
    return left.columns() if left else None


def _is_rejected_pair(row: PreferenceRow, found: RowReview) -> bool:
    prompt, sides = row.prompt[-1].content, (row.chosen[-1].content, row.rejected[-1].content)
    return found.review.rejects("pair", name_pair(row)) or any((prompt, side) in found.answers for side in sides)


def _review_constraint(constraint: C, review: Review) -> C | None:
    left = [
        place
        for place, source in enumerate(constraint.functions)
        if not review.rejects("function", content_id("function", source))
    ]
    if len(left) == len(constraint.functions):
        return constraint
    changed: dict[str, Any] = {"functions": tuple(constraint.functions[place] for place in left)}
    for name in _VERDICTS:
        verdicts: Sequence[Verdict] = getattr(constraint, name, ())
        if verdicts:
            changed[name] = tuple(verdicts[place] for place in left)
    return constraint.model_copy(update=changed) if left else None


def _rate_again(row: D, found: RowReview) -> D | None:
    """Return a row with the pass rates of the remaining functions; None if it no longer meets the thresholds."""
    if isinstance(row, SftRow):
        passed = compute_least_rate(one.verdicts for one in row.constraints)
        if not meets(passed, found.pass_rate):
            return None
        return row.model_copy(update={"pass_rate": round(float(passed), 4)})
    if isinstance(row, PreferenceRow):
        chosen = compute_least_rate(one.chosen_verdicts for one in row.constraints)
        refused = compute_least_rate(one.rejected_verdicts for one in row.constraints)
        if not (meets(chosen, found.preferences.positive) and meets(refused, found.preferences.negative)):
            return None
        rates = {"chosen_pass_rate": round(float(chosen), 4), "rejected_pass_rate": round(float(refused), 4)}
        return row.model_copy(update=rates)
    return row


def _find_answers(run: Path, responses: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the prompt and text of these responses, as far as the run's files have them."""
    wanted = set(responses)
    if not wanted:
        return
    rows = [each.record for each in read_records(run, REJECTION_SAMPLING) if each.record]
    named = {each["prompt"]: each["text"] for each in rows if each["id"] in wanted}
    texts = [(each["prompt"], each["text"]) for each in rows if each["id"] in wanted]
    prompts = {each["id"]: each["text"] for each in read_stage(run, AUGMENTATION, "kept") if each["id"] in named}
    yield from ((prompts[prompt], text) for prompt, text in texts if prompt in prompts)
