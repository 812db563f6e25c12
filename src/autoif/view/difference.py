"""Two runs side by side: what changed in settings, funnel, instructions and verdicts.

    settings        by run.json's `identity`: all that shapes a run's results
    funnel          what each stage kept and dropped in both
    instructions    those that only one has; those that both have, but only one kept
    verdicts        what the same function says otherwise of the same text: a sandbox, a version, or a function that is
                    not sure of itself
    responses       the same answer to the same prompt that only one run kept

`compare_runs` compares what was read (`read_side`); it reads no files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoif.errors import StoreError
from autoif.records import Record, content_id
from autoif.report.funnel import read_funnel
from autoif.runs.store import (
    AUGMENTATION,
    BACK_TRANSLATION,
    CROSS_VALIDATION,
    REJECTION_SAMPLING,
    SCORING,
    SELF_INSTRUCT,
    VERIFICATION,
    read_run,
    read_stage,
)

MOST = 200
"""Verdicts and responses that are shown of each kind."""


@dataclass(frozen=True, slots=True)
class SeenInstruction:
    """An instruction in one run: its text, and what became of it."""

    text: str
    outcome: str
    """"kept", or the stage that dropped it with the reason, as in "03_cross_validation: no case agreed"."""


@dataclass(frozen=True, slots=True)
class SeenVerdict:
    """What a function says of a text."""

    instruction: str
    text: str
    verdict: str


@dataclass(frozen=True, slots=True)
class RunSide:
    """One of two runs, as far as they are compared."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    funnel: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Kept and dropped, by stage."""
    instructions: Mapping[str, SeenInstruction] = field(default_factory=dict)
    """By id."""
    verdicts: Mapping[tuple[str, str], SeenVerdict] = field(default_factory=dict)
    """By the ids of function and text."""
    responses: Mapping[str, SeenInstruction] = field(default_factory=dict)
    """Text and outcome, by an id of prompt and text."""


class SettingChange(Record):
    """A setting that differs; None stands for one that a run lacks."""

    key: str
    first: str | None
    second: str | None


class StageChange(Record):
    """What a stage kept and dropped in both runs; None where a run has no such stage."""

    stage: str
    first: tuple[int, int] | None
    second: tuple[int, int] | None


class OutcomeChange(Record):
    """An instruction or response that became something else in the other run; None where a run hasn't seen it."""

    id: str
    text: str
    first: str | None
    second: str | None


class VerdictChange(Record):
    """What one function says otherwise of one text."""

    function_id: str
    instruction: str
    text: str
    first: str
    second: str


class RunDifference(Record):
    """All that differs; long lists are cut, their counts are not."""

    first: str
    second: str
    settings: tuple[SettingChange, ...]
    stages: tuple[StageChange, ...]
    only_first: tuple[OutcomeChange, ...]
    """Instructions that only the first run has."""
    only_second: tuple[OutcomeChange, ...]
    outcomes: tuple[OutcomeChange, ...]
    """Instructions that both have, with another outcome."""
    verdicts: tuple[VerdictChange, ...]
    verdicts_changed: int
    verdicts_compared: int
    responses: tuple[OutcomeChange, ...]
    responses_changed: int
    responses_compared: int


def compare_runs(first: RunSide, second: RunSide, most: int = MOST) -> RunDifference:
    """Return what differs between two runs; of verdicts and responses at most so many."""
    ours, theirs = first.instructions, second.instructions
    verdicts = list(_compare_verdicts(first, second))
    responses = list(_compare_outcomes(first.responses, second.responses))
    return RunDifference(
        first=first.name,
        second=second.name,
        settings=tuple(_compare_settings(first.settings, second.settings)),
        stages=tuple(
            StageChange(stage=stage, first=first.funnel.get(stage), second=second.funnel.get(stage))
            for stage in dict.fromkeys((*first.funnel, *second.funnel))
        ),
        only_first=tuple(_seen_in_one(key, each, None) for key, each in ours.items() if key not in theirs),
        only_second=tuple(_seen_in_one(key, None, each) for key, each in theirs.items() if key not in ours),
        outcomes=tuple(_compare_outcomes(ours, theirs)),
        verdicts=tuple(verdicts[:most]),
        verdicts_changed=len(verdicts),
        verdicts_compared=len(first.verdicts.keys() & second.verdicts.keys()),
        responses=tuple(responses[:most]),
        responses_changed=len(responses),
        responses_compared=len(first.responses.keys() & second.responses.keys()),
    )


def _compare_settings(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[SettingChange]:
    for key in sorted({*first, *second}):
        if first.get(key) != second.get(key) or (key in first) != (key in second):
            ours, theirs = (str(side[key]) if key in side else None for side in (first, second))
            yield SettingChange(key=key, first=ours, second=theirs)


def _seen_in_one(key: str, first: SeenInstruction | None, second: SeenInstruction | None) -> OutcomeChange:
    seen = first or second
    assert seen
    return OutcomeChange(
        id=key,
        text=seen.text,
        first=first.outcome if first else None,
        second=second.outcome if second else None,
    )


def _compare_outcomes(
    first: Mapping[str, SeenInstruction], second: Mapping[str, SeenInstruction]
) -> Iterator[OutcomeChange]:
    for key, seen in first.items():
        other = second.get(key)
        if other and other.outcome != seen.outcome:
            yield OutcomeChange(id=key, text=seen.text, first=seen.outcome, second=other.outcome)


def _compare_verdicts(first: RunSide, second: RunSide) -> Iterator[VerdictChange]:
    for key, seen in first.verdicts.items():
        other = second.verdicts.get(key)
        if other and other.verdict != seen.verdict:
            yield VerdictChange(
                function_id=key[0],
                instruction=seen.instruction,
                text=seen.text,
                first=seen.verdict,
                second=other.verdict,
            )


def read_side(run: Path) -> RunSide:
    """Return a run as it is compared, complete or not.

    Raises:
        StoreError: it is no run folder, of another version, or damaged.
    """
    manifest: Mapping[str, Any] = read_run(run)
    verdicts = dict[tuple[str, str], SeenVerdict]()
    try:
        instructions, functions = _read_instructions(run, verdicts)
        responses = _read_responses(run, functions, verdicts)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise StoreError(f"{run} holds a record of another form ({error!r}): run the same command again") from None
    return RunSide(
        name=run.resolve().name,
        settings=dict(manifest["identity"]),
        funnel={row.folder: (row.kept, row.dropped) for row in read_funnel(run)},
        instructions=instructions,
        verdicts=verdicts,
        responses=responses,
    )


def _read_instructions(
    run: Path, verdicts: dict[tuple[str, str], SeenVerdict]
) -> tuple[dict[str, SeenInstruction], dict[str, tuple[str, list[str]]]]:
    """Return instructions by id, and of each verified one, by its id, its text and its kept functions' ids."""
    found, functions = dict[str, SeenInstruction](), dict[str, tuple[str, list[str]]]()
    for stage in (SELF_INSTRUCT, VERIFICATION, CROSS_VALIDATION, BACK_TRANSLATION):
        for row in read_stage(run, stage, "kept"):
            instruction = row.get("instruction", row)
            found[instruction["id"]] = SeenInstruction(instruction["text"], "kept")
            _read_matrix(row, verdicts)
            if stage == BACK_TRANSLATION:
                kept = [row["matrix"]["functions"][place]["id"] for place in row["kept_functions"]]
                functions[row["id"]] = instruction["text"], kept
        for dropped in read_stage(run, stage, "dropped"):
            row = dropped["record"] or {}
            instruction = row.get("instruction", row)
            if instruction and (stage != SELF_INSTRUCT or instruction["id"] not in found):
                why = f"{stage}: {dropped['reason'].replace('_', ' ')}"
                found[instruction["id"]] = SeenInstruction(instruction["text"], why)
                _read_matrix(row, verdicts)
    return found, functions


def _read_matrix(row: Mapping[str, Any], verdicts: dict[tuple[str, str], SeenVerdict]) -> None:
    """Note what functions say of cases, where they have run."""
    matrix = row.get("matrix") or {"functions": [], "verdicts": []}
    for function, said in zip(matrix["functions"], matrix["verdicts"], strict=False):
        for case, verdict in zip(matrix["cases"], said, strict=False):
            text = case["input"]
            key = function["id"], content_id("text", text)
            verdicts[key] = SeenVerdict(row["instruction"]["text"], text, verdict)


def _read_responses(
    run: Path, functions: Mapping[str, tuple[str, list[str]]], verdicts: dict[tuple[str, str], SeenVerdict]
) -> dict[str, SeenInstruction]:
    """Return responses with verdicts, by prompt and text; note what each function says of them."""
    prompts = {row["id"]: row for row in read_stage(run, AUGMENTATION, "kept")}
    found = dict[str, SeenInstruction]()
    for stage in (REJECTION_SAMPLING, SCORING):
        dropped = (
            (each["record"], f"{stage}: {each['reason'].replace('_', ' ')}")
            for each in read_stage(run, stage, "dropped")
            if each["record"]
        )
        for row, outcome in (*((each, "kept") for each in read_stage(run, stage, "kept")), *dropped):
            prompt = prompts[row["prompt"]]
            found[content_id("answer", prompt["text"], row["text"])] = SeenInstruction(row["text"], outcome)
            asked = [functions.get(name, ("", [])) for name in prompt["constraints"]]
            named = [(text, function) for text, several in asked for function in several]
            for (instruction, function), verdict in zip(named, row["verdicts"], strict=False):
                key = function, content_id("text", row["text"])
                verdicts[key] = SeenVerdict(instruction, row["text"], verdict)
    return found
