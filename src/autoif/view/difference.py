"""Compares two runs: settings, funnel, instructions, verdicts and responses.

    settings        from run.json's `identity`: everything that affects a run's results
    funnel          what each stage kept and dropped in each run
    instructions    those that only one run has, and those that both have but only one kept
    verdicts        different verdicts of the same function on the same text, because of another sandbox or version, or
                    because the function is not deterministic
    responses       the same answers to the same prompts that only one run kept

`compare_runs` compares what was read (`read_side`); it reads no files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from autoif.records import content_id
from autoif.report.funnel import read_funnel
from autoif.runs import store
from autoif.runs.contents import StageRow, naming_damage, read_records

K = TypeVar("K")


class RunItem(NamedTuple):
    """An item of one run: the text that is shown, and its outcome there."""

    shown: tuple[str, ...]
    outcome: str


@dataclass(frozen=True, slots=True)
class RunSide:
    """What is compared of one of the two runs."""

    name: str
    settings: Mapping[str, RunItem] = field(default_factory=dict)
    """Settings by key; the outcome is the value."""
    funnel: Mapping[str, RunItem] = field(default_factory=dict)
    """Stages by name; the outcome is how many records it kept and dropped."""
    instructions: Mapping[str, RunItem] = field(default_factory=dict)
    """Instructions by id; the outcome is "kept", or the stage that dropped it with the reason. So with responses."""
    verdicts: Mapping[tuple[str, str], RunItem] = field(default_factory=dict)
    """Verdicts by the ids of the function and the text; the outcome is the verdict."""
    responses: Mapping[str, RunItem] = field(default_factory=dict)
    """Responses by an id of prompt and text."""


class Change(NamedTuple):
    """The outcomes of the same item in both runs; None if a run doesn't have it."""

    shown: tuple[str, ...]
    first: str | None
    second: str | None


class Changes(NamedTuple):
    """The items of both runs whose outcomes differ."""

    compared: int
    changed: list[Change]


@dataclass(frozen=True, slots=True)
class RunDifference:
    """All differences between two runs."""

    first: str
    second: str
    settings: list[Change]
    stages: list[Change]
    """All stages, including those that don't differ."""
    only_first: list[Change]
    """Instructions that only the first run has."""
    only_second: list[Change]
    outcomes: list[Change]
    """Instructions of both runs whose outcomes differ."""
    verdicts: Changes
    responses: Changes


def compare_runs(first: RunSide, second: RunSide) -> RunDifference:
    instructions = [each for each in _pair_up(first.instructions, second.instructions) if each.first != each.second]
    return RunDifference(
        first=first.name,
        second=second.name,
        settings=sorted(each for each in _pair_up(first.settings, second.settings) if each.first != each.second),
        stages=list(_pair_up(first.funnel, second.funnel)),
        only_first=[each for each in instructions if each.second is None],
        only_second=[each for each in instructions if each.first is None],
        outcomes=[each for each in instructions if each.first and each.second],
        verdicts=_find_changes(first.verdicts, second.verdicts),
        responses=_find_changes(first.responses, second.responses),
    )


def _pair_up(first: Mapping[K, RunItem], second: Mapping[K, RunItem]) -> Iterator[Change]:
    """Yield every item of either run, in their order."""
    for key in dict.fromkeys((*first, *second)):
        ours, theirs = first.get(key), second.get(key)
        shown = (ours or theirs or RunItem((), "")).shown
        yield Change(shown, ours.outcome if ours else None, theirs.outcome if theirs else None)


def _find_changes(first: Mapping[K, RunItem], second: Mapping[K, RunItem]) -> Changes:
    both = [(ours, second[key]) for key, ours in first.items() if key in second]
    changed = [Change(one.shown, one.outcome, two.outcome) for one, two in both if one.outcome != two.outcome]
    return Changes(len(both), changed)


def read_side(run: Path) -> RunSide:
    """Read what is compared of a run, complete or not.

    Raises:
        StoreError: it is no run folder, of another version, or damaged.
    """
    manifest: Mapping[str, Any] = store.read_run(run)
    verdicts = dict[tuple[str, str], RunItem]()
    with naming_damage(run):
        instructions, functions = _read_instructions(run, verdicts)
        return RunSide(
            name=run.resolve().name,
            settings={key: RunItem((key,), str(value)) for key, value in manifest["identity"].items()},
            funnel={
                row.folder: RunItem((row.folder,), f"{row.kept:,} kept, {row.dropped:,} dropped")
                for row in read_funnel(run)
            },
            instructions=instructions,
            verdicts=verdicts,
            responses=_read_responses(run, functions, verdicts),
        )


def _name_outcome(stage: str, row: StageRow) -> str:
    return f"{stage}: {row.reason.replace('_', ' ')}" if row.reason else "kept"


def _read_instructions(
    run: Path, verdicts: dict[tuple[str, str], RunItem]
) -> tuple[dict[str, RunItem], dict[str, tuple[str, list[str]]]]:
    """Return the instructions by id; and the text and kept functions' ids of verified ones, by their id."""
    found, functions = dict[str, RunItem](), dict[str, tuple[str, list[str]]]()
    for stage in (store.SELF_INSTRUCT, store.VERIFICATION, store.CROSS_VALIDATION, store.BACK_TRANSLATION):
        for row in read_records(run, stage):
            record = row.record or {}
            instruction = record.get("instruction", record)
            if not instruction or (stage == store.SELF_INSTRUCT and instruction["id"] in found):
                continue  # an exact duplicate has the id of the one that was kept
            found[instruction["id"]] = RunItem((instruction["text"],), _name_outcome(stage, row))
            _read_matrix(record, verdicts)
            if stage == store.BACK_TRANSLATION and not row.reason:
                kept = [record["matrix"]["functions"][place]["id"] for place in record["kept_functions"]]
                functions[record["id"]] = instruction["text"], kept
    return found, functions


def _read_matrix(record: Mapping[str, Any], verdicts: dict[tuple[str, str], RunItem]) -> None:
    """Add the verdicts of functions on cases, if they have run."""
    matrix = record.get("matrix") or {"functions": [], "verdicts": []}
    for function, said in zip(matrix["functions"], matrix["verdicts"], strict=False):
        for case, verdict in zip(matrix["cases"], said, strict=False):
            shown = record["instruction"]["text"], function["id"], case["input"]
            verdicts[function["id"], content_id("text", case["input"])] = RunItem(shown, verdict)


def _read_responses(
    run: Path, functions: Mapping[str, tuple[str, list[str]]], verdicts: dict[tuple[str, str], RunItem]
) -> dict[str, RunItem]:
    """Return the responses with verdicts, by prompt and text; add each function's verdict."""
    prompts = {row.id: row.record or {} for row in read_records(run, store.AUGMENTATION)}
    found = dict[str, RunItem]()
    for stage in (store.REJECTION_SAMPLING, store.SCORING):
        for row in read_records(run, stage):
            if not row.record or row.record["prompt"] not in prompts:
                continue  # in a run in progress, it may be newer than the prompts that were read
            prompt, text = prompts[row.record["prompt"]], row.record["text"]
            found[content_id("answer", prompt["text"], text)] = RunItem((text,), _name_outcome(stage, row))
            asked = [functions.get(name, ("", [])) for name in prompt["constraints"]]
            named = [(instruction, function) for instruction, several in asked for function in several]
            for (instruction, function), verdict in zip(named, row.record["verdicts"], strict=False):
                verdicts[function, content_id("text", text)] = RunItem((instruction, function, text), verdict)
    return found
