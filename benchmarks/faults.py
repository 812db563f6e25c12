"""How many right and how many wrong functions get a fault from the audit, without answers and without gold.

    python benchmarks/faults.py             # the table
    python benchmarks/faults.py --list      # and each right function with a fault, each wrong one without

data/hand_written.jsonl has instructions of many kinds, and for each right functions in several styles and wrong ones
as a small model writes them, with texts that follow and texts that don't. The texts decide what is right: a function
that errs on one of them is wrong, and the script stops where the file says otherwise. A third of the instructions, by
the hash of their words, was kept aside while the reading of instructions was changed.

The cases are the first two texts of each side; none; or the same with their verdicts turned round, as a small model
gets four of ten wrong. It takes a minute, and asks no model.
"""

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoif.faults.edges import make_edges
from autoif.faults.probing import find_faults, gather_texts
from autoif.faults.reasons import FindingReason
from autoif.records import Case, Verdict
from autoif.sandbox import Sandbox
from autoif.vocabulary import carry

SET = Path(__file__).parent / "data" / "hand_written.jsonl"
PARTS = ("tuned", "aside")
CASES = ("right", "none", "turned round")
OF_A_SIDE = 2


@dataclass(frozen=True, slots=True)
class Tried:
    """A function, and what is found of it."""

    part: str
    instruction: str
    source: str
    right: bool
    readable: bool
    """Whether the instruction's words give edges."""
    faults: frozenset[FindingReason]


def try_instruction(row: dict[str, Any], cases: str, sandbox: Sandbox) -> list[Tried]:
    """Return what is found of each function of an instruction."""
    sides = {True: row["follow"], False: row["break"]}
    given = [
        Case(input=text, expected=side is (cases == "right"))
        for side, texts in sides.items()
        for text in texts[:OF_A_SIDE]
        if cases != "none"
    ]
    texts = gather_texts(row["instruction"], given)
    known = [(text, side) for side, texts_of_side in sides.items() for text in texts_of_side]
    asked = [*texts.all, *(text for text, _ in known)]
    sources = [(source, said) for said in (True, False) for source in row["right" if said else "wrong"]]
    judged = sandbox.run_many_sync([(carry(source), asked) for source, _ in sources], until_timeout=True)
    found = []
    for (source, said), outcomes in zip(sources, judged, strict=True):
        verdicts = [outcome.verdict for outcome in outcomes]
        errs = [
            text
            for (text, side), verdict in zip(known, verdicts[len(texts.all) :], strict=True)
            if (verdict is Verdict.PASS) is not side
        ]
        if said is bool(errs):
            raise SystemExit(f"{row['instruction']}\n{source}\nis said to be right: {said}; it errs on {errs}")
        listed = find_faults(texts, dict(zip(texts.all, verdicts, strict=False)))
        faults = frozenset(each.reason for each in listed if each.reason.is_fault)
        readable = bool(make_edges(row["instruction"]))
        found.append(Tried(row["part"], row["instruction"], source, said, readable, faults))
    return found


def print_counts(tried: list[Tried], name: str) -> None:
    """Print a row of the table: how many functions there are of each kind, and how many of them have a fault."""
    right, wrong = ([each for each in tried if each.right is side] for side in (True, False))
    read = [each for each in wrong if each.readable]
    cells = [
        len({each.instruction for each in tried}),
        f"{sum(bool(each.faults) for each in right)} of {len(right)}",
        f"{sum(bool(each.faults) for each in wrong)} of {len(wrong)}",
        f"{sum(bool(each.faults) for each in read)} of {len(read)}",
    ]
    print(f"| {name} | " + " | ".join(map(str, cells)) + " |")


def print_reasons(tried: list[Tried]) -> None:
    """Print of each reason how many right and wrong functions have it."""
    print("\n| fault | right functions | wrong functions |")
    print("|---|---|---|")
    counts = Counter((reason, each.right) for each in tried for reason in each.faults)
    for reason in FindingReason:
        if counts[reason, True] + counts[reason, False]:
            print(f"| `{reason.value}` | {counts[reason, True]} | {counts[reason, False]} |")


def print_list(tried: list[Tried]) -> None:
    """Print the right functions with a fault, and the wrong ones of which nothing is found."""
    for each in tried:
        if each.right is bool(each.faults):
            found = ", ".join(sorted(each.faults)) or "nothing"
            body = each.source.partition("def evaluate(response):\n")[2].strip()
            print(f"\n{'right' if each.right else 'wrong'}, {found} ({each.part}): {each.instruction}\n    {body}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print what is wrongly found and what is missed")
    options = parser.parse_args()
    rows = [json.loads(line) for line in SET.read_text(encoding="utf-8").splitlines()]
    print("| cases, part | instructions | right with a fault | wrong with one | wrong, of those that are read |")
    print("|---|---|---|---|---|")
    tried: dict[str, list[Tried]] = {}
    with Sandbox() as sandbox:
        for cases in CASES:
            tried[cases] = [each for row in rows for each in try_instruction(row, cases, sandbox)]
            for part in PARTS:
                print_counts([each for each in tried[cases] if each.part == part], f"{cases}, {part}")
    print_reasons(tried["right"])
    if options.list:
        print_list(tried["right"])


if __name__ == "__main__":
    main()
