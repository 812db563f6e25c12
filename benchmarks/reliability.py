"""Fits the weights of autoif.reliability on the gold of the small world, and says how well its scores are calibrated.

    python benchmarks/reliability.py              # a table, with the weights that come with the package
    python benchmarks/reliability.py --fit        # fits them anew and writes src/autoif/reliability.json

Functions: all that the recorded run over 129 instructions wrote. Truth: examples/small_world/checkers.py, on answers
that were edited to obey, on the same answers as they were, and on the recorded ones where there are some. A function is
right if it accepts at least 0.9 of the texts that follow and refuses at least 0.9 of the others. Weights are fitted on
two thirds of the instructions; the tables are of the third that is kept aside, and of 90 functions that were written by
hand for 30 instructions of other kinds (data/other_kinds.jsonl). It takes a minute, and asks no model.
"""

import argparse
import itertools
import json
import math
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score

from autoif.audit.material import WrittenInstruction, read_material
from autoif.faults.probing import make_probing_texts
from autoif.judging import judge
from autoif.models.requests import sampling_seed
from autoif.records import Case, Verdict
from autoif.reliability import Signs, Weights, read_signs, score
from autoif.sandbox import Sandbox
from small_world import ROOT, WORLD, make_data
from small_world_texts import make_texts

sys.path.insert(0, str(WORLD))

from checkers import make_check

OTHER_KINDS = Path(__file__).parent / "data" / "other_kinds.jsonl"
WEIGHTS = ROOT / "src" / "autoif" / "reliability.json"
RIGHT = 0.9
MOST_ANSWERS = 64
LEAST_SCORES = (0.3, 0.5, 0.6, 0.7)
AGAINST = {"is_narrow", "errors", "has_fault"}
"""Signs that speak against a function."""
BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True, slots=True)
class Judged:
    """A function with its signs, and whether it is right."""

    instruction: str
    signs: Signs
    right: bool
    kept: bool
    """By cross-validation, as the recorded run had it."""


def judge_functions(folder: Path) -> list[Judged]:
    """Return every function, without answers and, where there are some, once more with them."""
    make_data(folder)
    answers = {
        each.instruction.id: [response.text for response in each.responses]
        for each in read_material(folder / "data").instructions
    }
    found = []
    with Sandbox() as sandbox:
        for written in read_material(folder / "instructions").instructions:
            right = check_functions(written, answers.get(written.instruction.id, []), sandbox)
            for own, others in draw_answers(written.instruction.id, answers):
                texts = make_probing_texts(written.instruction.text, written.matrix.cases, own, others)
                rows = judge([(written.sources, text) for text in texts.all], sandbox, until_timeout=True)
                found += [
                    Judged(written.instruction.id, signs, right[place], place in written.cross_validated)
                    for place, signs in enumerate(read_signs(texts, list(zip(*rows, strict=True))))
                ]
    return found


def check_functions(written: WrittenInstruction, answers: Sequence[str], sandbox: Sandbox) -> list[bool]:
    """Return for each function whether it is right, by the checkers."""
    check = make_check(written.instruction.text)
    texts = list(dict.fromkeys([*make_texts(written.instruction.text), *answers]))
    follows = [check(text) for text in texts]
    judged = sandbox.run_many_sync([(source, texts) for source in written.sources])
    return [is_right([each.verdict for each in row], follows) for row in judged]


def is_right(verdicts: Sequence[Verdict], follows: Sequence[bool]) -> bool:
    """Tell whether verdicts are right about enough of the texts that follow, and of the others."""
    right = [(verdict is Verdict.PASS) is said for verdict, said in zip(verdicts, follows, strict=True)]
    sides = ([each for each, said in zip(right, follows, strict=True) if said is side] for side in (True, False))
    return all(np.mean(side) >= RIGHT for side in sides)


def judge_other_kinds() -> list[Judged]:
    """Return functions written by hand for 30 instructions of other kinds: of each three, the first one right."""
    found = []
    with Sandbox() as sandbox:
        for row in map(json.loads, OTHER_KINDS.read_text(encoding="utf-8").splitlines()):
            cases = [Case(input=text, expected=expected) for text, expected in row["cases"]]
            texts = make_probing_texts(row["instruction"], cases)
            known = {text: side == "follow" for side in ("follow", "break") for text in row[side]}
            rows = judge([(row["functions"], text) for text in [*texts.all, *known]], sandbox, until_timeout=True)
            verdicts = list(zip(*rows, strict=True))
            signs = read_signs(texts, [each[: len(texts.all)] for each in verdicts])
            right = [is_right(each[len(texts.all) :], list(known.values())) for each in verdicts]
            found += [Judged(row["instruction"], *each, kept=True) for each in zip(signs, right, strict=True)]
    return found


def draw_answers(instruction: str, answers: Mapping[str, Sequence[str]]) -> list[tuple[list[str], list[str]]]:
    """Return no answers, and then, if there are some, those to the instruction with as many to others."""
    own = list(answers.get(instruction, []))[:MOST_ANSWERS]
    others = [text for name, texts in answers.items() if name != instruction for text in texts]
    drawn = random.Random(instruction).sample(others, MOST_ANSWERS)
    return [([], []), (own, drawn)] if own else [([], [])]


def choose_aside(judged: Sequence[Judged]) -> set[str]:
    """Return the third of the instructions that nothing is fitted on."""
    instructions = {each.instruction for each in judged}
    order = sorted(instructions, key=lambda each: sampling_seed(0, "reliability", each))
    return set(order[: len(order) // 3])


def fit(judged: Sequence[Judged]) -> Weights:
    """Return the weights that tell right from wrong functions best; all of `judged` have the same signs.

    A sign that would count for a function though it speaks against it, or the reverse, is noise, and left out.
    """
    names = [name for name, value in asdict(judged[0].signs).items() if value is not None]
    while True:
        table = np.array([[getattr(each.signs, name) for name in names] for each in judged])
        model = LogisticRegression(max_iter=1000).fit(table, [each.right for each in judged])
        signs = {name: round(float(weight), 3) for name, weight in zip(names, model.coef_[0], strict=True)}
        if all((weight < 0) is (name in AGAINST) for name, weight in signs.items()):
            return Weights(intercept=round(float(model.intercept_[0]), 3), signs=signs)
        names = [name for name, weight in signs.items() if (weight < 0) is (name in AGAINST)]


def write_fit(used: Sequence[Judged]) -> None:
    """Fit both sets of weights and write them."""
    found = {
        "made_by": "benchmarks/reliability.py --fit",
        "gold": "examples/small_world: two thirds of 129 instructions, functions by Qwen2.5-Coder-1.5B-Instruct",
        "written": fit([each for each in used if each.signs.lift is None]).model_dump(),
        "answered": fit([each for each in used if each.signs.lift is not None]).model_dump(),
    }
    WEIGHTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def print_calibration(title: str, judged: Sequence[Judged]) -> None:
    """Print how often functions are right that have a score in each bin, and how good the scores are."""
    scores, right = [score(each.signs) for each in judged], [each.right for each in judged]
    base = sum(right) / len(right)
    print(f"\n{title}: {len(judged)} functions of {len({each.instruction for each in judged})} instructions")
    print(f"  right {base:.2f}, mean score {np.mean(scores):.2f}, Brier score {brier_score_loss(right, scores):.3f} "
          f"(of the base rate {base * (1 - base):.3f}), AUC {roc_auc_score(right, scores):.2f}")  # fmt: skip
    for low, high in itertools.pairwise(BINS):
        chosen = [(s, r) for s, r in zip(scores, right, strict=True) if low <= s < high or s == high == 1]
        if chosen:
            mean, share = np.mean([s for s, _ in chosen]), np.mean([r for _, r in chosen])
            error = math.sqrt(share * (1 - share) / len(chosen))
            counted = f"{len(chosen):3d} functions, mean {mean:.2f}, right {share:.2f} ± {error:.2f}"
            print(f"  score {low:.1f}-{high:.1f}: {counted}")


def print_filters(judged: Sequence[Judged]) -> None:
    """Print what is left by a least score, beside what cross-validation leaves."""
    print("\nleft of the functions as written, instructions kept aside")
    left = {"cross-validation": [each for each in judged if each.kept]}
    left |= {f"score >= {least}": [each for each in judged if score(each.signs) >= least] for least in LEAST_SCORES}
    for name, functions in left.items():
        instructions = {each.instruction for each in functions}
        print(f"  {name:16} {len(functions):3d} functions of {len(instructions):2d} instructions, "
              f"right {np.mean([each.right for each in functions]):.2f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="fit the weights anew and write them")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        judged = judge_functions(Path(folder))
    names = choose_aside(judged)
    if options.fit:
        write_fit([each for each in judged if each.instruction not in names])
    aside = [each for each in judged if each.instruction in names]
    print_calibration("without answers, kept aside", [each for each in aside if each.signs.lift is None])
    print_calibration("with answers, kept aside", [each for each in aside if each.signs.lift is not None])
    print_calibration("of other kinds, written by hand", judge_other_kinds())
    print_filters([each for each in aside if each.signs.lift is None])


if __name__ == "__main__":
    main()
