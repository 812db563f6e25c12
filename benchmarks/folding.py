"""Which instructions are one rule in other words, by what their functions do: 96 that others recorded, to read.

    AUTOIF_DATA=FOLDER python benchmarks/folding.py [ALIKE …]      # thresholds such as ">= 0.9"; by default three

The instructions, with 363 functions and their cases, are by DeepSeek-R1 (wheresmyhair/AutoIF); there are no responses.
Printed is each instruction that would be folded, and what into: a reader says which pairs are one rule.
"""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

from autoif.datasets.folding import fold_alike
from autoif.reading.json_text import parse_json
from autoif.reading.jsonl import read_json_lines
from autoif.records import Case, Function, Instruction, Matrix, VerifiedInstruction, content_id
from autoif.sandbox import Limits, Sandbox
from recordings import find_recordings

THRESHOLDS = (">= 1", ">= 0.97", ">= 0.9")


def read_instructions(path: Path) -> Iterator[VerifiedInstruction]:
    """Yield the instructions with their functions and cases; nothing has run yet."""
    for _, line in read_json_lines(path):
        row = parse_json(line)
        sources = dict.fromkeys(source for source, _ in row["eval_func"])
        cases = tuple(Case(input=text, expected=expected) for text, expected in row["cases"])
        functions = tuple(map(Function.of, sources))
        yield VerifiedInstruction(
            id=content_id("verified", row["instruction"]),
            instruction=Instruction.of(row["instruction"], "seed"),
            matrix=Matrix(functions=functions, cases=cases),
            kept_functions=tuple(range(len(functions))),
            kept_cases=tuple(range(len(cases))),
        )


async def run_cases(verified: VerifiedInstruction, sandbox: Sandbox) -> VerifiedInstruction:
    """Return the instruction with the verdicts of its functions on its cases."""
    inputs = [case.input for case in verified.matrix.cases]
    outcomes = await sandbox.run_many([(function.source, inputs) for function in verified.functions])
    verdicts = tuple(tuple(outcome.verdict for outcome in row) for row in outcomes)
    return verified.model_copy(update={"matrix": verified.matrix.model_copy(update={"verdicts": verdicts})})


async def main(thresholds: list[str]) -> None:
    path = find_recordings("verifiers") / "autoif_wheresmyhair" / "output" / "cross_validation.jsonl"
    async with Sandbox(Limits(timeout_s=1.0)) as sandbox:
        instructions = [await run_cases(each, sandbox) for each in read_instructions(path)]
        for alike in thresholds:
            folded = await fold_alike(instructions, [], sandbox, alike)
            print(f"\n{alike}: {len(folded)} of {len(instructions)} folded")
            for each in folded:
                assert isinstance(each.record, VerifiedInstruction)
                print(f"  {each.record.instruction.text}\n    {each.detail}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or list(THRESHOLDS)))
