"""How much of a run's data is right, against gold. A row is right if:

    cases    the verdict that the writer gave for the case's text is gold's
    sft      the answer follows
    pairs    the chosen answer follows, and the rejected one doesn't
    rewards  the sampled response follows and is accepted, or doesn't follow and is refused

Only rows whose texts and instructions are all in gold count. Shares are percentages of rows; the bootstrap resamples
instructions. A run writes no rows for instructions of a benchmark, so the rows that it would have made for these are
added (without `strict` and `rows_per_prompt`).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from autoif.audit.gold import Gold
from autoif.audit.material import Material, WrittenInstruction
from autoif.audit.rates import VerdictCounts, count_verdicts
from autoif.benchmark_wordings import is_benchmark_text
from autoif.datasets.preferences import instruction_pairs, query_pairs
from autoif.datasets.reviewed_rows import read_row_review, review_row
from autoif.datasets.rows import PreferenceRow, SftRow
from autoif.datasets.sft import sft_rows
from autoif.evaluation.statistics import Interval, estimate_rate
from autoif.reading.jsonl import read_jsonl
from autoif.records import Record
from autoif.runs.store import PREFERENCES, SFT
from autoif.thresholds import meets

R = TypeVar("R", SftRow, PreferenceRow)
Known = tuple[str, bool]
"""A row that gold can judge: its instruction, and whether the row is right."""


class RightShare(Record):
    """How many rows of a kind are right."""

    rows: int
    known: int
    """Rows that gold can judge."""
    right: Interval | None
    """Percentage of these that are right; None if there are none."""


class Consequences(Record):
    """How much of a run's cases and data sets is right."""

    cases: RightShare
    sft: RightShare
    pairs: RightShare
    chosen: RightShare
    """Of the pairs, those whose chosen answer follows."""
    rejected: RightShare
    """Of the pairs, those whose rejected answer doesn't follow."""
    rewards: RightShare
    responses: VerdictCounts
    """The sampled responses that gold can judge: which follow, and which the run accepted."""
    unwritten: int = 0
    """SFT rows and pairs that the run didn't write, as their instructions belong to a benchmark."""


def measure_consequences(material: Material, gold: Gold) -> Consequences:
    """Return how much of a run's data is right.

    Raises:
        StoreError: a data set of the run can't be read.
    """
    unwritten_sft, unwritten_pairs = _make_unwritten(material)
    sft = [*_read(material, SFT, SftRow), *unwritten_sft]
    pairs = [*_read(material, PREFERENCES, PreferenceRow), *unwritten_pairs]
    sides = [
        (_name_row(row), _find(gold, row, row.chosen[-1].content), _find(gold, row, row.rejected[-1].content))
        for row in pairs
    ]
    sampled = list({each.id: each for written in material.instructions for each in written.responses}.values())
    asked = [([one.instruction.text for one in each.prompt.constraints], each) for each in sampled]
    labelled = [(each, _all_follow(gold, instructions, each.text)) for instructions, each in asked]
    rewards = [(each, follows) for each, follows in labelled if follows is not None]
    accepted = [meets(each.pass_rate, material.pass_rate) for each, _ in rewards]
    cases = [case for written in material.instructions for case in _check_cases(gold, written)]
    return Consequences(
        cases=_share(sum(len(each.matrix.cases) for each in material.instructions), cases),
        sft=_share(
            len(sft),
            [(_name_row(row), follows) for row in sft if (follows := _find(gold, row, row.answer)) is not None],
        ),
        pairs=_share(len(pairs), _judge_pairs(sides)),
        chosen=_share(len(pairs), [(name, chosen) for name, chosen, _ in sides if chosen is not None]),
        rejected=_share(len(pairs), [(name, not rejected) for name, _, rejected in sides if rejected is not None]),
        rewards=_share(
            len(sampled),
            [
                (each.prompt.instruction, follows == accepts)
                for (each, follows), accepts in zip(rewards, accepted, strict=True)
            ],
        ),
        responses=count_verdicts([follows for _, follows in rewards], accepted),
        unwritten=len(unwritten_sft) + len(unwritten_pairs),
    )


def _make_unwritten(material: Material) -> tuple[list[SftRow], list[PreferenceRow]]:
    """Return the rows and pairs that the run would have made for instructions of a benchmark."""
    untrained = {each.id: each for each in material.verified if is_benchmark_text(each.instruction.text)}
    sampled = [
        response
        for written in material.instructions
        for response in written.responses
        if any(each.id in untrained for each in response.prompt.constraints)
    ]
    prompts = list({response.prompt.id: response.prompt for response in sampled}.values())
    names, settings = {prompt.id for prompt in prompts}, material.preferences
    scored = [response for response in material.scored if response.prompt.id in names]
    pairs = list(instruction_pairs(untrained.values(), settings)) if settings.instruction_level else []
    if settings.query_level:
        pairs += query_pairs(prompts, sorted(sampled, key=lambda each: each.index), scored, settings)
    return list(sft_rows(scored)), pairs


def _read(material: Material, name: str, row: type[R]) -> list[R]:
    path = material.run / name
    rows = read_jsonl(path, row, exact=True) if path.exists() else []
    review = read_row_review(path)
    return [left for each in rows if (left := review_row(each, review))] if review else rows


def _find(gold: Gold, row: SftRow | PreferenceRow, text: str) -> bool | None:
    return _all_follow(gold, [each.instruction for each in row.constraints], text)


def _all_follow(gold: Gold, instructions: Sequence[str], text: str) -> bool | None:
    """Return whether a text follows all instructions; None if gold can't tell."""
    labels = [gold.find(each, text) for each in instructions]
    if False in labels:
        return False
    return True if labels and None not in labels else None


def _check_cases(gold: Gold, written: WrittenInstruction) -> Iterator[Known]:
    for case in written.matrix.cases:
        if (follows := gold.find(written.instruction.text, case.input)) is not None:
            yield written.instruction.id, follows == case.expected


def _judge_pairs(sides: Iterable[tuple[str, bool | None, bool | None]]) -> Iterator[Known]:
    """Yield the pairs that gold can judge; one wrong side is enough."""
    for name, chosen, rejected in sides:
        if chosen is False or rejected is True:
            yield name, False
        elif chosen is True and rejected is False:
            yield name, True


def _name_row(row: SftRow | PreferenceRow) -> str:
    return " ".join(each.instruction for each in row.constraints)


def _share(rows: int, known: Iterable[Known]) -> RightShare:
    listed = list(known)
    right = estimate_rate([100.0 * each for _, each in listed], [name for name, _ in listed]) if listed else None
    return RightShare(rows=rows, known=len(listed), right=right)
