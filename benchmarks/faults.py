"""How many right and how many wrong functions get a fault from the audit, without answers and without gold.

    python benchmarks/faults.py             # the table
    python benchmarks/faults.py --list      # and each right function with a fault, each wrong one without
    python benchmarks/faults.py natural_wordings   # one set alone

data/hand_written.jsonl has instructions of many kinds, and for each right functions in several styles and wrong ones as
a small model writes them, with texts that follow and texts that don't. data/natural_wordings.jsonl has others, as
people would word them: indirect, negated, several in one. Who wrote it knew the rules that read instructions, and tried
none of it on them before. data/tempting_wordings.jsonl has some that are easily read for something else, as "List
exactly 5 words." data/plain_wordings.jsonl has the plainest and commonest, and data/wordings.txt alone the words of
many more, of which it is counted how many are read. data/ordinary_wordings.jsonl has three lists of what people ask
for, each written before any of it was tried, and used since to find what was missed. The texts decide what is right: a
function that errs on one of them is wrong, and the script stops where the file says otherwise. Part of the
instructions, by the hash of their words, was kept aside while the reading of instructions was changed; that of the
third set was written when most of it had been.

The cases are the first two texts of each side; none; or the same with their verdicts turned round, as a small model
gets four of ten wrong. It takes a minute, and asks no model.
"""

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoif.faults.edges import make_edges
from autoif.faults.probing import find_faults, make_probing_texts
from autoif.faults.reasons import FindingReason
from autoif.records import Case, Verdict
from autoif.reliability import score_functions
from autoif.sandbox import Sandbox
from autoif.vocabulary import carry

DATA = Path(__file__).parent / "data"
SETS = ("hand_written", "natural_wordings", "tempting_wordings", "plain_wordings", "ordinary_wordings")
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
    score: float


def read_set(name: str) -> list[dict[str, Any]]:
    """Return the rows of a set."""
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def read_wordings() -> list[str]:
    """Return the wordings of instructions, whose functions nobody has written."""
    lines = (DATA / "wordings.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def try_rows(rows: Iterable[dict[str, Any]], kinds: Sequence[str]) -> dict[str, list[Tried]]:
    """Return what is found of each function, with the cases of each kind."""
    with Sandbox() as sandbox:
        tried = [try_instruction(row, kinds, sandbox) for row in rows]
    return {cases: [each for found in tried for each in found[cases]] for cases in kinds}


def try_instruction(row: dict[str, Any], kinds: Sequence[str], sandbox: Sandbox) -> dict[str, list[Tried]]:
    """Return what is found of each function of an instruction with the cases of each kind; each runs once on all."""
    sides = {True: row["follow"], False: row["break"]}
    known = [(text, side) for side, texts_of_side in sides.items() for text in texts_of_side]
    probing = {cases: make_probing_texts(row["instruction"], make_cases(sides, cases)) for cases in kinds}
    asked = tuple(dict.fromkeys([*(text for texts in probing.values() for text in texts.all), *(t for t, _ in known)]))
    sources = [(source, said) for said in (True, False) for source in row["right" if said else "wrong"]]
    judged = sandbox.run_many_sync([(carry(source), asked) for source, _ in sources], until_timeout=True)
    rows = [dict(zip(asked, (outcome.verdict for outcome in outcomes), strict=True)) for outcomes in judged]
    for (source, said), verdicts in zip(sources, rows, strict=True):
        errs = [text for text, side in known if (verdicts[text] is Verdict.PASS) is not side]
        if said is bool(errs):
            raise SystemExit(f"{row['instruction']}\n{source}\nis said to be right: {said}; it errs on {errs}")
    readable = bool(make_edges(row["instruction"]))
    found: dict[str, list[Tried]] = defaultdict(list)
    for cases, texts in probing.items():
        scores = score_functions(texts, [[verdicts[text] for text in texts.all] for verdicts in rows])
        for (source, said), verdicts, score in zip(sources, rows, scores, strict=True):
            faults = frozenset(each.reason for each in find_faults(texts, verdicts) if each.reason.is_fault)
            found[cases].append(Tried(row["part"], row["instruction"], source, said, readable, faults, score))
    return found


def make_cases(sides: Mapping[bool, Sequence[str]], cases: str) -> list[Case]:
    """Return the cases of a kind."""
    return [
        Case(input=text, expected=side is (cases == "right"))
        for side, texts in sides.items()
        for text in texts[:OF_A_SIDE]
        if cases != "none"
    ]


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


def print_scores(tried: list[Tried], name: str) -> None:
    """Print a row: of pairs of a right and a wrong function, how many the score ranks rightly; its Brier score."""
    of_instruction: dict[str, list[Tried]] = defaultdict(list)
    for each in tried:
        of_instruction[each.instruction].append(each)
    pairs = [
        (right.score > wrong.score) + (right.score == wrong.score) / 2
        for functions in of_instruction.values()
        for right in functions
        for wrong in functions
        if right.right and not wrong.right
    ]
    brier = sum((each.score - each.right) ** 2 for each in tried) / len(tried)
    print(f"| {name} | {len(pairs)} | {sum(pairs) / len(pairs):.2f} | {brier:.3f} |")


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


def try_set(rows: list[dict[str, Any]], name: str) -> dict[str, list[Tried]]:
    """Print the tables of a set, and return what was found with the cases of each kind."""
    tried = try_rows(rows, CASES)
    parts = {
        f"{cases}, {part}": chosen
        for cases, found in tried.items()
        for part in PARTS
        if (chosen := [each for each in found if each.part == part])
    }
    print(f"\n## {name}")
    print("\n| cases, part | instructions | right with a fault | wrong with one | wrong, of those that are read |")
    print("|---|---|---|---|---|")
    for part, found in parts.items():
        print_counts(found, part)
    print("\n| cases, part | pairs of right and wrong | ranked rightly by the score | Brier score |\n|---|---|---|---|")
    for part, found in parts.items():
        print_scores(found, part)
    print_reasons(tried["right"])
    return tried


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", nargs="?", choices=SETS, help="one set alone")
    parser.add_argument("--list", action="store_true", help="print what is wrongly found and what is missed")
    options = parser.parse_args()
    for name in [options.set] if options.set else SETS:
        tried = try_set(read_set(name), name)
        if options.list:
            print_list(tried["right"])
    wordings = read_wordings()
    unread = [each for each in wordings if not make_probing_texts(each, []).is_tried]
    print(f"\n{len(wordings) - len(unread)} of {len(wordings)} wordings are read")
    if options.list:
        print("\n".join(unread))


if __name__ == "__main__":
    main()
