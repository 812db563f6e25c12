"""How many functions have a fault that repair sees, and after how many answers the behaviour of an instruction's
functions is settled: on answers that were recorded, with no model (docs/method.md#settling).

    autoif run quickstart --recorded -o runs/quickstart
    autoif run examples/small_world/data.toml --until instructions -o runs/small_world \\
        --recording examples/small_world/answers.jsonl.xz
    python benchmarks/settling.py runs/quickstart runs/small_world

Each run folder is read, its answers are run in the sandbox, and nothing in it is changed.
"""

import argparse
import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoif.config import Config, Verification
from autoif.instructions.observation import Observer
from autoif.instructions.repair import find_contested, find_faults
from autoif.instructions.settling import assemble_draft
from autoif.instructions.verification import make_request
from autoif.models.requests import Completion
from autoif.records import Draft, Fault, Instruction
from autoif.store import COMPLETIONS, SELF_INSTRUCT, read_run, read_stage
from autoif.tools import Tools, ToolSettings


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

    def settled_by(self, answers: int) -> int:
        return sum(count for after, count in self.settled.items() if 0 < after <= answers)

    @property
    def asked(self) -> int:
        """Answers that asking two, then one at a time, takes."""
        return sum((after or self.most) * count for after, count in self.settled.items())


async def measure(run: Path) -> Counts:
    """Read the answers of a run and count."""
    manifest: dict[str, Any] = read_run(run)
    config = Config.model_validate(manifest["config"])
    counts = Counts(run.name, config.verification.functions_per_instruction)
    instructions = [Instruction.model_validate(row) for row in read_stage(run, SELF_INSTRUCT, "kept")]
    async with ToolSettings(config, run / COMPLETIONS, replay_only=True).open() as tools:
        for instruction in instructions:
            completions = await tools.chat.sample(make_request(instruction, config, counts.most))
            await _count(instruction, completions, counts, tools)
    return counts


async def _count(instruction: Instruction, completions: Sequence[Completion], counts: Counts, tools: Tools) -> None:
    counts.instructions += 1
    settled, observer = 0, Observer(tools)
    for answers in range(2, counts.most + 1):
        draft = assemble_draft(instruction, completions[:answers])
        if not isinstance(draft, Draft):
            continue
        behaviour = await observer.observe(draft)
        if not settled and behaviour.is_settled(Verification()):
            settled = answers
        if answers == counts.most:
            counts.functions += len(draft.matrix.functions)
            counts.cases += len(draft.matrix.cases)
            counts.faults.update(each.fault for each in find_faults(draft, behaviour))
            counts.contested += len(find_contested(draft.matrix, behaviour))
    counts.settled[settled] += 1


def lines(found: Sequence[Counts]) -> Iterator[str]:
    """Yield two tables."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders that hold all their answers")
    print("\n".join(lines([asyncio.run(measure(run)) for run in parser.parse_args().runs])))


if __name__ == "__main__":
    main()
