"""Applies reviewers' decisions (`autoif.decisions`) when data is made and when its rows are read.

    a rejected instruction    is in no row, pair or prompt
    a rejected function       judges nothing: what no longer passes without it is left out, and an instruction whose
                              functions are all rejected is treated as a rejected one
    a rejected response       makes no row, and is on neither side of a pair
    a rejected pair           is left out; its answers may be in other pairs
    an accepted response      makes a row even if its quality was scored low; its functions must still accept it
    an accepted instruction   stays even if `deduplication.behaviour` would fold it into a better one
    an accepted function or pair changes no data: it records what reviewers found right

An acceptance overrules a model's opinion, but never running code: every row has passed its functions. When a run makes
its data sets anew from stored verdicts, it honours the decisions made since. Until then,
`autoif.datasets.reviewed_rows` applies them to the rows that are read.

Dropped: what was rejected (`rejected_by_reviewer`), and responses that their other functions refuse
(`failed_functions`), in `reviewed.jsonl`.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from autoif.datasets.rows import PreferenceRow
from autoif.decisions import Key, Review, Target, find_pair_id, read_review
from autoif.errors import StoreError
from autoif.judging import compute_least_rate, split_verdicts
from autoif.reading.json_text import parse_json
from autoif.reading.jsonl import iterate_jsonl, read_json_lines
from autoif.records import Dropped, Prompt, Reason, Response, VerifiedInstruction, content_id
from autoif.runs.contents import naming_damage, read_records, read_reviewed
from autoif.runs.store import (
    AUGMENTATION,
    FOLDERS,
    INSTRUCTIONS,
    MANIFEST,
    PREFERENCES,
    REJECTION_SAMPLING,
    SCORING,
    find_rows,
)
from autoif.settings import Preferences, RejectionSampling
from autoif.thresholds import Threshold

STAGE = "review"


def review_verified(verified: VerifiedInstruction, review: Review) -> VerifiedInstruction | None:
    """Return an instruction without its rejected functions; None if it is rejected, or has no function left.

    It keeps its id, by which prompts refer to it.
    """
    if review.rejects("instruction", verified.instruction.id):
        return None
    functions = verified.matrix.functions
    kept = tuple(place for place in verified.kept_functions if not review.rejects("function", functions[place].id))
    if kept == verified.kept_functions:
        return verified
    return verified.model_copy(update={"kept_functions": kept}) if kept else None


def iterate_instructions(path: Path) -> Iterator[VerifiedInstruction]:
    """Yield the verified instructions of a run folder or a file, for another run to begin with, as reviewers left them.

    An instruction that lost some functions gets a new id, as its content differs.

    Raises:
        StoreError: there is no such file, a row or a decision is damaged, or an instruction occurs twice (as in
            concatenated files).
    """
    file = find_rows(path, INSTRUCTIONS)
    review = read_review(file.parent)
    seen = set[str]()

    def refuse_again(verified: VerifiedInstruction) -> None:
        found = verified.instruction
        if found.id in seen:
            raise ValueError(f"instruction {found.id} ({found.text[:60]!r}) is there twice: give each once")
        seen.add(found.id)

    for verified in iterate_jsonl(file, VerifiedInstruction, check=refuse_again):
        found = review_verified(verified, review)
        if found is not None and found is not verified:
            names: list[Any] = [function.id for function in found.functions]
            found = found.model_copy(update={"id": content_id("verified", found.instruction.id, names)})
        if found:
            yield found


def review_prompts(prompts: Iterable[Prompt], review: Review) -> list[Prompt]:
    """Return prompts without the rejected functions of their constraints; a prompt with a rejected one is left out."""
    kept = []
    for prompt in prompts:
        left = [review_verified(each, review) for each in prompt.constraints]
        constraints = tuple(each for each in left if each)
        if constraints == prompt.constraints:
            kept.append(prompt)
        elif len(constraints) == len(left):
            kept.append(prompt.model_copy(update={"constraints": constraints}))
    return kept


def review_answers(responses: Iterable[Response], prompts: Mapping[str, Prompt], review: Review) -> list[Response]:
    """Return the responses to these prompts, with the verdicts of the remaining functions and without rejected ones."""
    kept = []
    for response in responses:
        prompt = prompts.get(response.prompt.id)
        if prompt is None or review.rejects("response", response.id):
            continue
        if prompt.functions != response.prompt.functions:
            verdicts = tuple(
                verdict
                for function, verdict in zip(response.prompt.functions, response.verdicts, strict=False)
                if not review.rejects("function", function.id)
            )
            rate = round(float(compute_least_rate(split_verdicts(verdicts, prompt.constraints))), 4)
            kept.append(response.model_copy(update={"prompt": prompt, "verdicts": verdicts, "pass_rate": rate}))
        else:
            kept.append(response)
    return kept


def list_rejected(verified: Iterable[VerifiedInstruction], review: Review) -> Iterator[Dropped]:
    """Yield the rejected instructions and functions of a run."""
    for each in verified:
        if review.rejects("instruction", each.instruction.id):
            why = _say_who(review, ("instruction", each.instruction.id))
            yield Dropped.of(STAGE, Reason.REJECTED_BY_REVIEWER, each, why)
            continue
        rejected = [function for function in each.functions if review.rejects("function", function.id)]
        for function in rejected:
            yield drop_item(("function", function.id), review)
        if rejected and len(rejected) == len(each.functions):
            yield Dropped.of(STAGE, Reason.REJECTED_BY_REVIEWER, each, "all its functions are rejected")


def list_refused(
    before: Iterable[Response], after: Iterable[Response], prompts: Mapping[str, Prompt], review: Review
) -> Iterator[Dropped]:
    """Yield the responses of a shard that are rejected, and those that the remaining functions refuse.

    `after` has the responses that remain of `before`, and `prompts` the prompts that remain. Responses to other prompts
    are not listed, as they are left out together with these.
    """
    left = {each.id for each in after}
    for each in before:
        if review.rejects("response", each.id):
            yield Dropped.of(STAGE, Reason.REJECTED_BY_REVIEWER, each, _say_who(review, ("response", each.id)))
        elif each.id not in left and each.prompt.id in prompts:
            yield Dropped.of(STAGE, Reason.FAILED_FUNCTIONS, each, "by the functions that reviewers left")


def drop_item(key: Key, review: Review) -> Dropped:
    """Return a rejected function or pair as a `Dropped` without a record: the run's files have it under its id."""
    return Dropped(
        stage=STAGE, reason=Reason.REJECTED_BY_REVIEWER, record_id=key[1], detail=f"{key[0]}: {_say_who(review, key)}"
    )


def name_pair(row: PreferenceRow) -> str:
    return find_pair_id(row.prompt[-1].content, row.chosen[-1].content, row.rejected[-1].content)


def list_items(run: Path) -> dict[Target, set[str]]:
    """Return the ids of everything in a run so far that reviewers can decide on, whether or not a stage dropped it.
    Raises StoreError: a file of the run is damaged."""
    found: dict[Target, set[str]] = {"instruction": set(), "function": set(), "response": set(), "pair": set()}
    with naming_damage(run):
        for stage, record in _read_records(run):
            if stage in (REJECTION_SAMPLING, SCORING):
                found["response"].add(record["id"])
                continue
            found["instruction"].add(record.get("instruction", record)["id"])
            found["function"].update(each["id"] for each in record.get("matrix", {"functions": ()})["functions"])
        # Pairs that were left out are in no other file.
        found["pair"].update(each.id for each in read_reviewed(run) if each.detail.startswith("pair: "))
    if (run / PREFERENCES).exists():
        found["pair"].update(map(name_pair, iterate_jsonl(run / PREFERENCES, PreferenceRow)))
    return found


def _read_records(run: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (stage, record) for every record that a stage kept or dropped, except prompts."""
    if (run / INSTRUCTIONS).exists():
        yield from ((INSTRUCTIONS, parse_json(line)) for _, line in read_json_lines(run / INSTRUCTIONS))
    for stage in (stage for stage in FOLDERS if stage != AUGMENTATION):
        yield from ((stage, each.record) for each in read_records(run, stage) if each.record)


def read_acceptance(manifest: Mapping[str, Any], run: Path) -> tuple[Threshold, Preferences]:
    """Return the pass rate from which on a run accepts responses, and its settings for pairs. Settings that an older
    run.json lacks have today's defaults. Raises StoreError: run.json has invalid settings."""
    try:
        sections = dict(manifest.get("config", {}))
        share = dict(sections.get("rejection_sampling", {})).get("pass_rate", RejectionSampling().pass_rate)
        pairs = dict(sections.get("preferences", {}))
        known = {key: value for key, value in pairs.items() if key in Preferences.model_fields}
        return RejectionSampling(pass_rate=share).pass_rate, Preferences.model_validate(known)
    except (TypeError, ValueError):
        raise StoreError(
            f"{run / MANIFEST} is damaged: restore it, or delete it and use --resume-with-changes"
        ) from None


def _say_who(review: Review, key: Key) -> str:
    return review.standings[key].describe()
