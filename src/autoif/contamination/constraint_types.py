"""Finds the types of a benchmark's constraints that training functions check, whatever the wording.

In:      instructions of training rows with their functions; the types of constraints of benchmarks.
Out:     for each type, the instructions whose functions agree with its checker on texts that follow or break it.

A text is accepted if more than half of an instruction's functions return True (§3.3). Training on a type of constraint
is no fault; it shows how new a benchmark's constraints are to the model.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from autoif.benchmark_wordings import Suite
from autoif.contamination.constraint_trials import (
    PARAMETERISED,
    ConstraintTrial,
    list_pool,
    make_pool_trials,
    make_trials,
    read_parameters,
)
from autoif.contamination.measure import ContaminationComparison
from autoif.contamination.results import TypeCoverage, TypeInstruction
from autoif.errors import ConfigError, SandboxError
from autoif.judging import Row, judge
from autoif.messages import Say
from autoif.records import Verdict
from autoif.sandbox import Sandbox, SandboxSettings

ALIKE = 0.9
"""Least Matthews correlation of verdicts that counts as agreement. With three texts that follow, a single different
verdict gives less."""
_INSTRUCTIONS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class TrainedInstruction:
    """An instruction of the training data."""

    row: str
    """The first row that has it."""
    text: str
    functions: tuple[str, ...]


def find_types(
    instructions: Sequence[TrainedInstruction],
    asked: Mapping[Suite, Mapping[str, int]],
    sandbox: Sandbox,
    say: Say,
) -> dict[str, dict[str, TypeCoverage]]:
    """Return for each type of each benchmark the training instructions whose functions check it.

    Raises:
        SandboxError: functions can't be run.
    """
    pool = [trial for name, types in asked.items() for trial in make_pool_trials(name, types)]
    tried = {(trial.benchmark, trial.type) for trial in pool}
    found: dict[tuple[str, str], list[TypeInstruction]] = {}
    for start in range(0, len(instructions), _INSTRUCTIONS_AT_ONCE):
        part = instructions[start : start + _INSTRUCTIONS_AT_ONCE]
        for instruction, trials, accepted in _judge(part, pool, asked, sandbox):
            for trial in trials:
                if (alike := _correlate_trial(trial, accepted)) >= ALIKE:
                    matched = TypeInstruction(row=instruction.row, text=instruction.text, agreement=round(alike, 3))
                    found.setdefault((trial.benchmark, trial.type), []).append(matched)
        done = start + len(part)
        if done == len(instructions) or done // 512 > start // 512:
            say(f"{done:,} of {len(instructions):,} instructions with functions tried")
    return {
        name: {
            kind: TypeCoverage(
                prompts=prompts,
                tried=kind in PARAMETERISED or (name, kind) in tried,
                instructions=_keep_best(found.get((name, kind), ())),
            )
            for kind, prompts in sorted(types.items())
        }
        for name, types in asked.items()
    }


def find_trained_types(
    comparison: ContaminationComparison, say: Say, warn: Say
) -> dict[str, dict[str, TypeCoverage]] | None:
    """Return what `find_types` finds in compared training data.

    None if there are no types or no functions; also if functions can't be run here, and then `warn` gets the reason.
    """
    asked: dict[Suite, dict[str, int]] = {}
    for prompt in comparison.prompts:
        for kind in set(prompt.instructions):  # empty for benchmarks that don't name types
            found = asked.setdefault("ifeval" if prompt.benchmark == "ifeval" else "ifbench", {})
            found[kind] = found.get(kind, 0) + 1
    instructions = [
        TrainedInstruction(comparison.data.name_row(row), text, functions)
        for functions, (row, text) in comparison.data.functions.items()
    ]
    if not asked or not instructions:
        return None
    try:
        with SandboxSettings(timeout_s=1.0).make_sandbox() as sandbox:
            return find_types(instructions, asked, sandbox, say)
    except (ConfigError, SandboxError) as error:
        warn(f"constraint types are not looked for: {error}")
        return None


def _judge(
    instructions: Sequence[TrainedInstruction],
    pool: Sequence[ConstraintTrial],
    asked: Mapping[Suite, Mapping[str, int]],
    sandbox: Sandbox,
) -> Iterator[tuple[TrainedInstruction, list[ConstraintTrial], set[str]]]:
    """Yield each instruction with the trials for it, and the texts that more than half of its functions accept."""
    tried, rows = list[list[ConstraintTrial]](), list[list[Row]]()
    for instruction in instructions:
        made = make_trials(*read_parameters(instruction.text, instruction.functions))
        trials = [*pool, *(trial for trial in made if trial.type in asked.get(trial.benchmark, ()))]
        texts = dict.fromkeys([*list_pool(), *(text for trial in trials for text in trial.texts)])
        tried.append(trials)
        rows.append([(instruction.functions, text) for text in texts])
    verdicts = iter(judge([row for some in rows for row in some], sandbox, until_timeout=True))
    for instruction, trials, some in zip(instructions, tried, rows, strict=True):
        passed = {text: next(verdicts).count(Verdict.PASS) for _, text in some}
        yield instruction, trials, {text for text, count in passed.items() if 2 * count > len(instruction.functions)}


def _correlate_trial(trial: ConstraintTrial, accepted: set[str]) -> float:
    """Return the correlation of verdicts, or 0 if one differs on a text that was written for this constraint."""
    if any((text in accepted) != (text in trial.follows) for text in trial.own):
        return 0.0
    return correlate([text in accepted for text in trial.follows], [text in accepted for text in trial.breaks])


def correlate(of_follows: Sequence[bool], of_breaks: Sequence[bool]) -> float:
    """Return the Matthews correlation of verdicts with a checker's: 1 if all agree, 0 for a function that accepts all.

    Args:
        of_follows: verdicts on the texts that the checker accepts.
        of_breaks: verdicts on the texts that it refuses.
    """
    right, wrong = sum(of_follows), sum(of_breaks)
    missed, refused = len(of_follows) - right, len(of_breaks) - wrong
    sides = (right + wrong) * (right + missed) * (refused + wrong) * (refused + missed)
    return (right * refused - wrong * missed) / math.sqrt(sides) if sides else 0.0


def _keep_best(found: Sequence[TypeInstruction]) -> tuple[TypeInstruction, ...]:
    """Return each instruction once, with its best trial: several trials of a type may match it."""
    best: dict[str, TypeInstruction] = {}
    for each in sorted(found, key=lambda each: (-each.agreement, each.row)):
        best.setdefault(each.text, each)
    return tuple(best.values())
