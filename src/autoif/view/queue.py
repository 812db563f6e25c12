"""The queue of functions for reviewers: the most uncertain ones first.

    with an audit      the closer its score is to 1/2, the more uncertain a function is
    without one        certainty is the product of what the run knows of the function, each a share:
      likely             the score by which it was chosen (`choose_by`)
      votes              of the writer's answers, those that gave functions with its behaviour (`choose_by`)
      lift               of the answers to its instruction that it accepts, minus that of other answers (contrast)
      cases              of its instruction's cases, those on which it gives the expected verdict
      unanimity          of the responses, those on which it agrees with most functions of its instruction

Functions are divided into three bands of the same size. Each band is in the order of a hash, so that the queue shows a
random sample of it, from which precision is estimated (`autoif.view.precision`). The queue begins with as many
functions of each band as the precision still needs, the most uncertain band first.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, Final

from autoif.decisions import Review, read_review
from autoif.instructions.observation import count_votes
from autoif.records import Draft, Record, VerifiedInstruction, content_id
from autoif.runs.contents import (
    list_scores,
    naming_damage,
    naming_damaged_audit,
    read_audit,
    read_kept,
    read_records,
    read_verified,
)
from autoif.runs.store import (
    AUGMENTATION,
    CROSS_VALIDATION,
    REJECTION_SAMPLING,
    VERIFICATION,
    read_manifest,
)
from autoif.view.precision import HALF_WIDTH, Band, ReviewedPrecision, estimate_precision

BANDS: Final = ("least sure", "in between", "most sure")
_SIGNS: Final = {
    "likely": "how likely it is right, by the score that chose it",
    "votes": "how many of the writer's answers gave functions that behave like it",
    "lift": "how well it tells answers to its instruction from others",
    "cases": "how many of the cases it gets as expected",
    "unanimity": "how often it says of responses what most of its instruction's functions say",
}


class QueuedFunction(Record):
    """A kept function to review, with the figures for its certainty, each 0 to 1."""

    function_id: str
    source: str
    instruction_id: str
    instruction: str
    score: float | None = None
    """The audit's score; None if there is no audit. The others are likewise None if the run doesn't have them."""
    likely: float | None = None
    votes: float | None = None
    lift: float | None = None
    cases: float | None = None
    unanimity: float | None = None
    band: int = 0
    """Index in BANDS."""

    @property
    def surety(self) -> float:
        """The certainty by which the queue is sorted: higher is more certain."""
        if self.score is not None:
            return abs(self.score - 0.5)
        return float(prod(share for name in _SIGNS if (share := getattr(self, name)) is not None))


class Queue(Record):
    """The functions to review next, and the present estimate of precision."""

    by: str
    """Description of the figures that certainty comes from."""
    precision: ReviewedPrecision | None
    """None if no function was kept."""
    functions: tuple[QueuedFunction, ...]
    """Functions without a decision, in the order in which to review them."""


def make_queue(
    functions: Sequence[QueuedFunction], review: Review, *, half_width: float = HALF_WIDTH, most: int = 100
) -> Queue:
    """Return the beginning of the queue of a run's kept functions.

    `half_width`, 0 to 1, is the half-width of an interval of precision that is narrow enough.
    """
    if not functions:
        return Queue(by="nothing: no function was kept", precision=None, functions=())
    precision = measure_precision(functions, review, half_width)
    undecided = [each for each in functions if review.find("function", each.function_id) is None]
    first, rest = list[QueuedFunction](), list[QueuedFunction]()
    for place, count in enumerate(precision.needed):
        of_band = sorted((each for each in undecided if each.band == place), key=_order)
        first += of_band[:count]
        rest += of_band[count:]
    return Queue(by=_name_signs(functions), precision=precision, functions=tuple([*first, *rest][:most]))


def measure_precision(
    functions: Sequence[QueuedFunction], review: Review, half_width: float = HALF_WIDTH
) -> ReviewedPrecision:
    """Return how many of a run's kept functions are right, estimated from reviewers' decisions."""
    counts = Counter[tuple[int, str]]()
    for each in functions:
        verdict = review.find("function", each.function_id)
        sampled = verdict and review.standings["function", each.function_id].queued
        counts[each.band if sampled or not verdict else -1, verdict or "open"] += 1
    bands = [
        Band(sum(counts[place, said] for said in ("accept", "reject", "open")), counts[place, "accept"],
             counts[place, "reject"])
        for place in range(len(BANDS))
    ]  # fmt: skip
    return estimate_precision(bands, (counts[-1, "accept"], counts[-1, "reject"]), half_width)


def read_reviewed_precision(run: Path, scores: Mapping[tuple[str, str], float]) -> ReviewedPrecision | None:
    """Return how many of a run's kept functions are right by its decisions; None if there are none on functions.

    `scores` are those of an audit, by instruction and function.

    Raises:
        StoreError: a file of the run is damaged.
    """
    functions = read_functions(run, scores)
    found = measure_precision(functions, read_review(run)) if functions else None
    return found if found and found.decided else None


def _name_signs(functions: Sequence[QueuedFunction]) -> str:
    """Describe the figures that the certainty of functions comes from."""
    if functions[0].score is not None:
        return "the audit's score"
    known = [said for name, said in _SIGNS.items() if any(getattr(each, name) is not None for each in functions)]
    return f"{', and '.join(known) or 'nothing that the run knows'} (there is no audit.json: `autoif audit` tells more)"


def _order(function: QueuedFunction) -> str:
    return content_id("queue", function.function_id)


def read_functions(run: Path, scores: Mapping[tuple[str, str], float] | None = None) -> list[QueuedFunction]:
    """Return the kept functions of a run, each once, in their bands; `scores` are by default those of audit.json.

    Raises:
        StoreError: a stage's file or audit.json is damaged.
    """
    verified = list(read_verified(run))
    if scores is None:
        audit = read_audit(run)
        with naming_damaged_audit(run):
            scores = {} if audit is None else list_scores(audit)
    with naming_damage(run):
        votes, unanimity = _count_votes(run), _compare_verdicts(run, verified)
    lifts, cases = _find_lifts(verified), _count_cases(verified)
    found = dict[str, QueuedFunction]()
    for each in verified:
        for function in each.functions:
            key = each.instruction.id, function.id
            found.setdefault(
                function.id,
                QueuedFunction(
                    function_id=function.id,
                    source=function.source,
                    instruction_id=each.instruction.id,
                    instruction=each.instruction.text,
                    # A function that is newer than the audit gets the most uncertain score.
                    score=scores.get(key, 0.5) if scores else None,
                    likely=each.score,
                    votes=votes.get(key),
                    lift=lifts.get(key),
                    cases=cases.get(key),
                    unanimity=unanimity.get(key),
                ),
            )
    return divide(found.values())


def divide(functions: Iterable[QueuedFunction]) -> list[QueuedFunction]:
    """Return functions in bands of the same size, the most uncertain first."""
    ordered = sorted(functions, key=lambda each: (each.surety, _order(each)))
    return [each.model_copy(update={"band": place * len(BANDS) // len(ordered)}) for place, each in enumerate(ordered)]


Shares = Mapping[tuple[str, str], float]
"""By instruction and function."""


def _count_votes(run: Path) -> Shares:
    """Return for each function the share of the writer's answers with functions that gave one with its behaviour.

    Empty unless the run chose functions by votes; then those that cross-validation kept of an instruction behave alike.
    """
    config: Any = read_manifest(run)["config"]
    if config["cross_validation"].get("choose_by", "cases") == "cases":
        return {}
    votes: dict[str, dict[str, int]] = {}
    for draft in read_kept(run, VERIFICATION, Draft):
        names = [each.id for each in draft.matrix.functions]
        votes[draft.instruction.id] = dict(zip(names, count_votes(draft), strict=True))
    found: dict[tuple[str, str], float] = {}
    for each in read_kept(run, CROSS_VALIDATION, VerifiedInstruction):
        given = votes[each.instruction.id]
        share = sum(given[function.id] for function in each.functions) / sum(given.values())
        found |= {(each.instruction.id, function.id): share for function in each.functions}
    return found


def _find_lifts(verified: Iterable[VerifiedInstruction]) -> Shares:
    return {
        (each.instruction.id, function.id): max(0.0, lift)
        for each in verified
        if each.contrast
        for function, lift in zip(each.matrix.functions, each.contrast.lifts, strict=False)
    }


def _count_cases(verified: Iterable[VerifiedInstruction]) -> Shares:
    return {
        (each.instruction.id, function.id): sum(agreed) / len(agreed)
        for each in verified
        for function, agreed in zip(each.matrix.functions, each.matrix.agreement, strict=False)
        if agreed
    }


def _compare_verdicts(run: Path, verified: Iterable[VerifiedInstruction]) -> Shares:
    """Return how often each function agrees with most functions of its instruction, if it isn't the only one."""
    kept = {each.id: [(each.instruction.id, function.id) for function in each.functions] for each in verified}
    prompts = {each.id: each.record["constraints"] for each in read_records(run, AUGMENTATION) if each.record}
    same, seen = defaultdict[tuple[str, str], float](float), Counter[tuple[str, str]]()
    for response in (each.record for each in read_records(run, REJECTION_SAMPLING) if each.record):
        verdicts = iter(response["verdicts"])
        # In a run in progress, responses to prompts that are newer than those that were read are left out.
        for constraint in prompts.get(response["prompt"], ()):
            given = dict(zip(kept.get(constraint, ()), verdicts, strict=False))
            for key, verdict in given.items() if len(given) > 1 else ():
                passing = list(given.values()).count("pass")
                agrees = 0.5 if 2 * passing == len(given) else float((verdict == "pass") == (2 * passing > len(given)))
                same[key] += agrees
                seen[key] += 1
    return {key: same[key] / count for key, count in seen.items()}
