"""Scores of functions without gold: signs of what they do, and weights that come with the package."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from autoif.faults.probing import ProbingTexts, make_probing_texts
from autoif.judging import judge
from autoif.records import Case, Verdict
from autoif.reliability import Signs, load_fit, read_signs, run_patiently, score, score_functions
from autoif.sandbox import Limits, Sandbox
from small_world_texts import ANSWERS, find_edit
from support.records import ACCEPT, RAISE, REFUSE, accepts

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "examples" / "small_world"))

from checkers import make_check  # noqa: E402

SEEDS = [
    line
    for line in (ROOT / "examples" / "small_world" / "seeds.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
GOOD = Signs(cases=1, contrast=0.9, cluster=0.75, agreement=0.95, is_narrow=0, errors=0, has_fault=0, passed=1)
WORD = accepts("xylophone")


def gather(
    *cases: tuple[str, bool], own: Sequence[str] = (), others: Sequence[str] = (), instruction: str = "Be musical."
) -> ProbingTexts:
    return make_probing_texts(
        instruction, [Case(input=text, expected=expected) for text, expected in cases], own, others
    )


def run(sandbox: Sandbox, sources: Sequence[str], texts: ProbingTexts) -> list[tuple[Verdict, ...]]:
    return list(zip(*judge([(sources, text) for text in texts.all], sandbox, until_timeout=True), strict=True))


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
    texts = gather(("a xylophone", True), ("a drum", False), own=["my xylophone", "a drum"], others=["tea"])
    rows = run(sandbox, [WORD, WORD + "\n", ACCEPT], texts)
    right, same, vacuous = read_signs(texts, rows)
    assert right == same
    assert right == Signs(
        cases=1,
        contrast=1,
        cluster=2 / 3,
        agreement=right.agreement,
        is_narrow=0,
        errors=0,
        has_fault=0,
        passed=0,
        lift=0.5,
    )
    whole = len(texts.all)
    assert right.agreement == pytest.approx((whole + rows[0].count(Verdict.PASS)) / (2 * whole))
    assert (vacuous.cases, vacuous.contrast, vacuous.cluster, vacuous.lift) == (0, 0, 1 / 3, 0)
    assert vacuous.has_fault


@pytest.mark.parametrize(("count", "has_fault"), [(5, 0), (6, 1), (4, 1)])
def test_a_fault_that_the_words_of_the_instruction_show_is_a_sign(sandbox, count: int, has_fault: int) -> None:
    source = f"def evaluate(response):\n    return len(response.split()) >= {count}"
    texts = gather(instruction="Write at least 5 words.")
    [signs] = read_signs(texts, run(sandbox, [source], texts))
    assert (signs.has_fault, signs.passed) == (has_fault, 1 - has_fault)
    assert score(replace(signs, has_fault=0)) > score(replace(signs, has_fault=1))


def test_a_function_alone_and_without_cases_has_signs_too(sandbox) -> None:
    texts = gather()
    [signs] = read_signs(texts, run(sandbox, [REFUSE], texts))
    assert signs == Signs(cases=0, contrast=0, cluster=1, agreement=0.5, is_narrow=1, errors=0, has_fault=0, passed=0)


def test_right_functions_have_higher_scores_than_vacuous_dead_and_broken_ones(sandbox) -> None:
    texts = gather(("a xylophone", True), ("my xylophone", True), ("one xylophone", True), ("Xylophones", False))
    good, same, *bad = score_functions(texts, run(sandbox, [WORD, WORD + "\n", ACCEPT, REFUSE, RAISE], texts))
    assert good == same > 0.5
    assert max(bad) < 0.4


@pytest.mark.parametrize("sign", ["cases", "contrast", "cluster", "agreement"])
def test_every_sign_that_speaks_for_a_function_raises_its_score(sign: str) -> None:
    for lift in (None, 0.5):
        lower = replace(GOOD, **{sign: 0.1}, lift=lift)
        weights = load_fit().written if lift is None else load_fit().answered
        assert (0 < score(lower) < score(replace(GOOD, lift=lift)) < 1) is (sign in weights.signs)
    assert score(replace(GOOD, lift=0.1)) < score(replace(GOOD, lift=0.9))
    assert score(replace(GOOD, errors=1)) < score(GOOD)
    assert score(replace(GOOD, has_fault=1, passed=0)) < score(replace(GOOD, passed=0)) < score(GOOD)


async def test_a_function_that_hangs_gets_one_text_and_the_others_all() -> None:
    hangs = "def evaluate(response):\n    while 'drum' in response: pass\n    return True"
    texts = gather(("a drum", True), ("a xylophone", True)).all
    async with Sandbox(Limits(timeout_s=0.2), workers=1) as opened:
        slow, quick = await run_patiently([hangs, WORD], texts, opened)
    assert set(slow) == {Verdict.TIMEOUT}
    assert len(slow) == len(quick) == len(texts)
    assert quick[:2] == [Verdict.FAIL, Verdict.PASS]


def test_how_far_a_slow_function_gets_changes_no_score_of_the_others(sandbox) -> None:
    texts = gather(("a drum", True), ("a xylophone", True))
    word, accept = run(sandbox, [WORD, ACCEPT], texts)
    late, early = ([*accept[:reached], *[Verdict.TIMEOUT] * (len(accept) - reached)] for reached in (100, 3))
    assert score_functions(texts, [word, late])[0] == score_functions(texts, [word, early])[0]


def test_scores_do_not_depend_on_the_order_of_functions(sandbox) -> None:
    sources = [WORD, ACCEPT, accepts("drum")]
    texts = gather(("a xylophone", True), ("a drum", False))
    found = [score_functions(texts, run(sandbox, order, texts)) for order in (sources, sources[::-1])]
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
