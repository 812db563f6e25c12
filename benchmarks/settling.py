"""How many functions have a fault that repair sees, and after how many answers the behaviour of an instruction's
functions is settled: on answers that were recorded, with no model (docs/method.md#settling).

    autoif run quickstart --recorded -o runs/quickstart
    autoif run examples/small_world/data.toml --until instructions -o runs/small_world \\
        --recording examples/small_world/answers.jsonl.xz
    python benchmarks/settling.py runs/quickstart runs/small_world --checkers examples/small_world/gold.py

Each run folder is read, its answers are run in the sandbox, and nothing in it is changed. With checkers, a third table
says how often the way that most answers behave is the right one: TPR + TNR - 1 of at least 0.9 on all texts that the
functions were run on, near misses among them. An instruction that the checkers don't know has no part in it.
"""

import argparse
import asyncio
import runpy
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoif.config import Config, Verification
from autoif.instructions.observation import Behaviour, Observer
from autoif.instructions.repair import find_contested, find_faults
from autoif.instructions.settling import assemble_draft
from autoif.instructions.verification import make_request
from autoif.models.requests import Completion
from autoif.records import Draft, Fault, Instruction, Verdict
from autoif.store import COMPLETIONS, SELF_INSTRUCT, read_run, read_stage
from autoif.tools import Tools, ToolSettings

Checker = Callable[[str], Callable[[str], bool]]
"""Returns the gold check of an instruction; raises LookupError for one that it doesn't know."""
RIGHT = 0.9


@dataclass(slots=True)
class Counts:
    """What was found in one run."""

    name: str
    most: int
    """Answers of an instruction."""
    instructions: int = 0
    functions: int = 0
    faults: Counter[Fault] = field(default_factory=Counter)
    cases: int = 0
    contested: int = 0
    settled: Counter[int] = field(default_factory=Counter)
    """Instructions by the number of answers after which they were settled first; 0: never."""
    right: Counter[str] = field(default_factory=Counter)
    """Of the instructions with a checker: those of each kind, and of these those whose leading behaviour is right."""

    def settled_by(self, answers: int) -> int:
        return sum(count for after, count in self.settled.items() if 0 < after <= answers)

    @property
    def asked(self) -> int:
        """Answers that asking two, then one at a time, takes."""
        return sum((after or self.most) * count for after, count in self.settled.items())


async def measure(run: Path, checkers: Checker | None) -> Counts:
    """Read the answers of a run and count."""
    manifest: dict[str, Any] = read_run(run)
    config = Config.model_validate(manifest["config"])
    counts = Counts(run.name, config.verification.functions_per_instruction)
    instructions = [Instruction.model_validate(row) for row in read_stage(run, SELF_INSTRUCT, "kept")]
    async with ToolSettings(config, run / COMPLETIONS, replay_only=True).open() as tools:
        for instruction in instructions:
            completions = await tools.chat.sample(make_request(instruction, config, counts.most))
            await _count(instruction, completions, counts, tools, checkers)
    return counts


async def _count(
    instruction: Instruction,
    completions: Sequence[Completion],
    counts: Counts,
    tools: Tools,
    checkers: Checker | None,
) -> None:
    counts.instructions += 1
    settled, observer = 0, Observer(tools)
    seen: dict[int, Behaviour] = {}
    for answers in range(2, counts.most + 1):
        draft = assemble_draft(instruction, completions[:answers])
        if not isinstance(draft, Draft):
            continue
        seen[answers] = behaviour = await observer.observe(draft)
        if not settled and behaviour.is_settled(Verification()):
            settled = answers
        if answers == counts.most:
            counts.functions += len(draft.matrix.functions)
            counts.cases += len(draft.matrix.cases)
            counts.faults.update(each.fault for each in find_faults(draft, behaviour))
            counts.contested += len(find_contested(draft.matrix, behaviour))
    counts.settled[settled] += 1
    try:
        check = checkers(instruction.text) if checkers else None
    except LookupError:
        check = None
    if check and seen:
        kind = "settled" if settled else "not settled"
        last = max(seen)
        counts.right.update({kind: 1, "all": 1})
        counts.right[f"{kind}, right"] += is_right(seen[settled or last], check)
        counts.right["all, right"] += is_right(seen[last], check)


def is_right(behaviour: Behaviour, check: Callable[[str], bool]) -> bool:
    """Tell whether the leading cluster says what the gold check says."""
    if not behaviour.clusters:
        return False
    said = [verdict is Verdict.PASS for verdict in behaviour.clusters[0].verdicts]
    truth = [check(each.text) for each in behaviour.texts]
    positive, negative = truth.count(True), truth.count(False)
    accepted = sum(one and other for one, other in zip(said, truth, strict=True))
    wrong = sum(one and not other for one, other in zip(said, truth, strict=True))
    return positive > 0 and negative > 0 and accepted / positive - wrong / negative >= RIGHT


def lines(found: Sequence[Counts]) -> Iterator[str]:
    """Yield the tables."""
    yield "| run | functions | don't load | raise | stand alone | cases | contradicted by most functions |"
    yield "|---|---|---|---|---|---|---|"
    for each in found:
        faults = " | ".join(f"{each.faults[fault]:,}" for fault in Fault)
        yield f"| {each.name} | {each.functions:,} | {faults} | {each.cases:,} | {each.contested:,} |"
    yield ""
    most = max(each.most for each in found)
    columns = range(2, most + 1)
    headings = " | ".join(f"settled after {n}" for n in columns)
    yield f"| run | instructions | {headings} | answers asked for, of a fixed K |"
    yield "|---|---|" + "---|" * len(columns) + "---|"
    for each in found:
        after = " | ".join(f"{each.settled_by(n):,}" if n <= each.most else "–" for n in columns)
        whole = each.most * each.instructions
        asked = f"{each.asked:,} of {whole:,} ({each.asked / whole:.0%})"
        yield f"| {each.name} | {each.instructions:,} | {after} | {asked} |"
    known = [each for each in found if each.right]
    if known:
        yield ""
        yield "| leading behaviour right, of | settled | not settled | all, K adapting | all, K fixed |"
        yield "|---|---|---|---|---|"
    for each in known:
        parts = [f"{each.right[f'{kind}, right']} of {each.right[kind]}" for kind in ("settled", "not settled")]
        adapting = sum(each.right[f"{kind}, right"] for kind in ("settled", "not settled"))
        parts += [f"{count} of {each.right['all']}" for count in (adapting, each.right["all, right"])]
        yield f"| {each.name} | {' | '.join(parts)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders that hold all their answers")
    parser.add_argument("--checkers", type=Path, help="Python file with make_check(instruction)")
    given = parser.parse_args()
    checkers: Checker | None = runpy.run_path(str(given.checkers))["make_check"] if given.checkers else None
    print("\n".join(lines([asyncio.run(measure(run, checkers)) for run in given.runs])))


if __name__ == "__main__":
    main()
