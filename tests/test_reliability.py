"""Scores of functions without gold: signs of what they do, and weights that come with the package."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from autoif.probes import load_probes
from autoif.records import Case, Function, Matrix, Verdict
from autoif.reliability import (
    Signs,
    load_fit,
    plan_trial,
    read_signs,
    run_patiently,
    run_trial,
    run_trial_sync,
    score,
    score_functions,
)
from autoif.sandbox import Limits, Sandbox
from small_world_texts import ANSWERS, find_edit
from support.records import ACCEPT, RAISE, REFUSE, accepts

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "examples" / "small_world"))

from gold import make_check  # noqa: E402

SEEDS = [
    line
    for line in (ROOT / "examples" / "small_world" / "seeds.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
GOOD = Signs(cases=1, contrast=0.9, cluster=0.75, agreement=0.95, is_narrow=0, errors=0)
WORD = accepts("xylophone")


def matrix(sources: Sequence[str], *cases: tuple[str, bool]) -> Matrix:
    return Matrix(
        functions=tuple(map(Function.of, sources)),
        cases=tuple(Case(input=text, expected=expected) for text, expected in cases),
    )


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(Limits(timeout_s=0.2), workers=1) as opened:
        yield opened


@pytest.mark.parametrize("instruction", SEEDS)
def test_edited_answers_obey_by_the_gold_of_the_small_world(instruction: str) -> None:
    check, edit = make_check(instruction), find_edit(instruction)
    assert [edit(answer) for answer in ANSWERS if not check(edit(answer))] == []
    assert not all(map(check, ANSWERS))


def test_signs_are_shares_of_what_a_function_accepts(sandbox) -> None:
    trial = plan_trial(
        matrix([WORD, WORD + "\n", ACCEPT], ("a xylophone", True), ("a drum", False)),
        ["my xylophone", "a drum"],
        ["tea"],
    )
    right, same, vacuous = read_signs(trial, run_trial_sync(trial, sandbox))
    assert right == same
    assert right == Signs(
        cases=1, contrast=1, cluster=2 / 3, agreement=right.agreement, is_narrow=1, errors=0, lift=0.5
    )
    texts = len(trial.texts)
    assert right.agreement == pytest.approx((texts + 2) / (2 * texts))
    assert (vacuous.cases, vacuous.contrast, vacuous.cluster, vacuous.lift) == (0, 0, 1 / 3, 0)


def test_a_function_alone_and_without_cases_has_signs_too(sandbox) -> None:
    trial = plan_trial(matrix([REFUSE]))
    [signs] = read_signs(trial, run_trial_sync(trial, sandbox))
    assert signs == Signs(cases=0, contrast=0, cluster=1, agreement=0.5, is_narrow=1, errors=0, lift=None)


def test_right_functions_have_higher_scores_than_vacuous_dead_and_broken_ones(sandbox) -> None:
    trial = plan_trial(
        matrix(
            [WORD, WORD + "\n", ACCEPT, REFUSE, RAISE], ("a xylophone", True), ("a drum", False), ("Xylophones", False)
        )
    )
    good, same, *bad = score_functions(trial, run_trial_sync(trial, sandbox))
    assert good == same > 0.5
    assert max(bad) < 0.4


@pytest.mark.parametrize("sign", ["cases", "contrast", "cluster", "agreement"])
def test_every_sign_that_speaks_for_a_function_raises_its_score(sign: str) -> None:
    for lift in (None, 0.5):
        lower = replace(GOOD, **{sign: 0.1}, lift=lift)
        assert 0 < score(lower) < score(replace(GOOD, lift=lift)) < 1
    assert score(replace(GOOD, lift=0.1)) < score(replace(GOOD, lift=0.9))
    assert score(replace(GOOD, errors=1)) < score(GOOD)


async def test_a_function_that_hangs_gets_one_text_and_the_others_all() -> None:
    hangs = "def evaluate(response):\n    while 'drum' in response: pass\n    return True"
    trial = plan_trial(matrix([hangs, WORD], ("a drum", True), ("a xylophone", True)))
    async with Sandbox(Limits(timeout_s=0.2), workers=1) as opened:
        slow, quick = await run_trial(trial, opened)
    assert set(slow) == {Verdict.TIMEOUT}
    assert len(slow) == len(quick) == len(load_probes()) + 2
    assert quick[:2] == [Verdict.FAIL, Verdict.PASS]


def test_scores_do_not_depend_on_the_order_of_functions(sandbox) -> None:
    sources = [WORD, ACCEPT, accepts("drum")]
    cases = (("a xylophone", True), ("a drum", False))
    found = []
    for order in (sources, sources[::-1]):
        trial = plan_trial(matrix(order, *cases))
        found.append(score_functions(trial, run_trial_sync(trial, sandbox)))
    assert found[0] == pytest.approx(found[1][::-1])


def test_the_weights_say_how_they_were_made() -> None:
    fit = load_fit()
    assert fit.made_by == "benchmarks/reliability.py --fit"
    assert (ROOT / fit.made_by.split()[0]).is_file()
    assert "lift" in fit.answered.signs
    assert "lift" not in fit.written.signs


async def test_without_a_text_or_a_function_nothing_is_run() -> None:
    async with Sandbox(workers=1) as opened:
        assert await run_patiently([WORD], [], opened) == [[]]
        assert await run_patiently([], ["tea"], opened) == []
