"""The hostile suite by class: what each attack comes to in a plain interpreter, and what in the sandbox.

Every attack of `tests/attacks/` runs outside and inside; after each, an honest function runs on a text that it passes
and on one that it fails. Contained means: no verdict `pass`, and the files of the target as they were. The exit status
is 1 if an attack got through or an honest verdict is wrong.

    python benchmarks/hostile.py [--backend cpython|monty] [--class NAME]
"""

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from attacks import CLASSES
from attacks.record import Attack, Outside, describe_outside, is_intact, prepare_target, run_outside
from autoif.records import Verdict
from autoif.sandbox import Limits, Sandbox

HONEST: Final = "import re\ndef evaluate(response):\n    return sorted(re.findall('[a-z]+', response)) == ['a', 'b']"
LIMITS: Final = Limits(timeout_s=0.5, memory_mb=64)


@dataclass(frozen=True)
class Trial:
    """What came of one attack."""

    attack: Attack
    outside: Outside
    verdict: Verdict
    intact: bool
    honest: bool
    """The honest function's two verdicts, asked right after, are right."""

    @property
    def contained(self) -> bool:
        return self.intact and self.verdict is not Verdict.PASS


async def try_attack(attack: Attack, sandbox: Sandbox) -> Trial:
    """Run an attack inside, then outside, on a target of its own."""
    with tempfile.TemporaryDirectory() as name, prepare_target(Path(name)) as response:
        (outcome,) = await sandbox.run(attack.source, [response])
        honest = [each.verdict for each in await sandbox.run(HONEST, ["b a", "b c"])]
        intact = is_intact(Path(name))
        outside = await asyncio.to_thread(run_outside, attack, response)
    return Trial(attack, outside, outcome.verdict, intact, honest == [Verdict.PASS, Verdict.FAIL])


def count(names: Sequence[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in Counter(names).most_common())


def print_row(name: str, trials: Sequence[Trial]) -> None:
    outside = count([describe_outside(trial.outside) for trial in trials])
    inside = count([trial.verdict.value for trial in trials])
    contained = sum(trial.contained for trial in trials)
    honest = sum(2 * trial.honest for trial in trials)
    print(
        f"| {name} | {len(trials)} | {outside} | {contained} | {inside} | {honest} of {2 * len(trials)} |", flush=True
    )


async def run_suite(backend: str, classes: Sequence[str]) -> list[Trial]:
    """Print the table, class by class, and the sum."""
    every = []
    async with Sandbox(LIMITS, backend=backend, workers=1) as sandbox:
        print(f"{sandbox.describe()}\n")
        print(
            "| class | attacks | in a plain interpreter | contained | verdicts in the sandbox | honest verdicts right |"
        )
        print("|---|---|---|---|---|---|")
        for name in classes:
            trials = [await try_attack(attack, sandbox) for attack in CLASSES[name]]
            print_row(name, trials)
            every += trials
    print_row("**all**", every)
    return every


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="cpython")
    parser.add_argument("--class", dest="classes", action="append", choices=CLASSES, metavar="NAME")
    options = parser.parse_args()
    trials = asyncio.run(run_suite(options.backend, options.classes or list(CLASSES)))
    lost = [trial for trial in trials if not (trial.contained and trial.honest)]
    for trial in lost:
        print(f"not contained: {trial.attack.name}: {trial}", file=sys.stderr)
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
