"""How long an audit takes: 10,000 functions on some 550 probes in five minutes on two cores (docs/audit.md).

    AUTOIF_DATA=FOLDER python benchmarks/audit.py             500 functions by Llama-3.1-8B
    AUTOIF_DATA=FOLDER python benchmarks/audit.py --all       all 1,782 of them
    python benchmarks/audit.py runs/first                     those of a run folder

The recorded functions come with their cases and with answers to their instructions. Exit code 1 if 10,000 of them
would take longer than five minutes.
"""

import argparse
import gzip
import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from autoif.audit.agreement import measure_agreement
from autoif.audit.calibration import score_instructions
from autoif.audit.findings import sum_up_findings
from autoif.audit.functions import audit_functions
from autoif.audit.material import WrittenInstruction, read_material
from autoif.audit.observed import observe
from autoif.audit.run import LONGEST_CALL_S
from autoif.probes import load_probes
from autoif.records import Case, Function, Instruction, Matrix, Prompt, Query, Response
from autoif.sandbox import SandboxSettings
from recordings import find_recordings

WANTED: Final = 10_000
WANTED_S: Final = 300.0
FEW: Final = 500


def read_recorded() -> Iterator[WrittenInstruction]:
    """Yield the instructions of Llama-3.1-8B with its functions, cases and answers."""
    path = find_recordings("verifiers") / "autoif_llama3_jwrobins94" / "completions.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            row = json.loads(line)
            functions = tuple(map(Function.of, row["verifiers"]))
            cases = tuple(Case(input=text, expected=expected) for text, expected in row["test_cases"])
            prompt = Prompt(id=str(number), constraints=(), query=Query.of(row["query"]), text=row["query"])
            answers = [
                Response(id=f"{number}-{index}", prompt=prompt, index=index, text=text)
                for index, text in enumerate(row["completions"])
            ]
            places = tuple(range(len(functions)))
            yield WrittenInstruction(
                Instruction.of(row["instruction"], "seed"),
                Matrix(functions=functions, cases=cases),
                places,
                places,
                responses=answers,
            )


def take(instructions: Iterator[WrittenInstruction], functions: int) -> list[WrittenInstruction]:
    """Return the first instructions that have so many functions together."""
    taken: list[WrittenInstruction] = []
    while functions > 0 and (written := next(instructions, None)):
        taken.append(written)
        functions -= len(written.functions)
    return taken


def main() -> int:
    """Measure, print, and tell whether it is quick enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if options.run:
        instructions = list(read_material(options.run).instructions)
    else:
        instructions = take(read_recorded(), sys.maxsize if options.all else FEW)
    with SandboxSettings(workers=options.workers).make_sandbox(total_s=LONGEST_CALL_S) as sandbox:
        began = time.perf_counter()
        observed = observe(instructions, sandbox)
        measure_agreement(observed), score_instructions(observed)
        audits = audit_functions(observed, sandbox)
        seconds = time.perf_counter() - began
        verdicts = sandbox.verdicts
    cpu_s = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    found = sum_up_findings(audits, len(load_probes()))
    functions = sum(len(each.functions) for each in instructions)
    print(f"{len(instructions):,} instructions, {functions:,} functions, {options.workers} workers: {seconds:.1f} s")
    print(f"{verdicts:,} verdicts; {cpu_s:.1f} s of processor time, {1000 * cpu_s / functions:.1f} ms a function")
    print(
        f"{WANTED:,} functions: {seconds * WANTED / functions:.0f} s (wanted: {WANTED_S:.0f}); "
        f"{cpu_s * WANTED / functions / options.workers:.0f} s if nothing else ran here"
    )
    for reason, tally in found.tallies.items():
        if tally.kept:
            print(f"  {reason.value:<20}{tally.kept:>8,}")
    print(f"  {'without a fault':<20}{found.sound.kept:>8,}")
    return int(seconds * WANTED / functions > WANTED_S)


if __name__ == "__main__":
    sys.exit(main())
