"""One list of checks, against every backend of the sandbox (`sandbox_checks.py`)."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from autoif.errors import SandboxError
from autoif.records import Verdict
from autoif.sandbox import Limits, Sandbox
from autoif.sandbox.sandbox import BACKENDS
from support.sandbox_checks import CHECKS, Check

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=BACKENDS)
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[tuple[str, Sandbox]]:
    async with Sandbox(Limits(timeout_s=0.8, memory_mb=64), backend=request.param, workers=2) as entered:
        yield request.param, entered


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
async def test_every_backend_gives_what_is_wanted(check: Check, backend: tuple[str, Sandbox]) -> None:
    name, sandbox = backend
    wanted = check.wanted_of(name)
    outcomes = await sandbox.run(check.source, check.inputs)
    assert tuple(outcome.verdict for outcome in outcomes) == wanted.verdicts, outcomes
    assert all(outcome.loaded is wanted.loaded for outcome in outcomes)
    assert all(0 <= outcome.seconds < 10 for outcome in outcomes)
    details = [outcome.detail for outcome in outcomes if outcome.detail]
    assert all(re.match(wanted.detail, detail) for detail in details) or not wanted.detail, details
    assert bool(details) or not wanted.detail


async def test_checks_may_run_at_the_same_time(backend: tuple[str, Sandbox]) -> None:
    name, sandbox = backend
    chosen = [check for check in CHECKS if "hang" not in check.name][::5]
    outcomes = await asyncio.gather(*(sandbox.run(check.source, check.inputs) for check in chosen))
    for check, of_check in zip(chosen, outcomes, strict=True):
        assert tuple(outcome.verdict for outcome in of_check) == check.wanted_of(name).verdicts, check.name


TAMPERS = """
import random, re
random.seed(7)
try:
    re.match = None
except AttributeError:
    pass
global kept
kept = 1
def evaluate(response): return kept == 1
"""
LOOKS = """
import random, re
def evaluate(response): raise ValueError(f"{random.random()} {re.match('x', 'x') is not None}")
"""


async def test_what_a_function_does_is_gone_with_it(backend: tuple[str, Sandbox]) -> None:
    _, sandbox = backend
    before = await sandbox.run(LOOKS, ["x"])
    (tampered,) = await sandbox.run(TAMPERS, ["x"])
    assert tampered.verdict is Verdict.PASS
    after = await sandbox.run(LOOKS, ["x"])
    # `random` begins where it began, the same in both backends.
    assert before[0].detail == after[0].detail == "ValueError: 0.8444218515250481 True"
    (borrowed,) = await sandbox.run("def evaluate(response): return kept == 1", ["x"])
    assert borrowed.detail == "NameError: name 'kept' is not defined"


SLEEP = "import time\ndef evaluate(response):\n    time.sleep(0.3)\n    return True"


@pytest.mark.parametrize("name", BACKENDS)
async def test_a_call_has_a_limit_for_all_its_texts(name: str) -> None:
    async with Sandbox(Limits(timeout_s=0.5, total_s=1.0), backend=name, workers=1) as sandbox:
        began = asyncio.get_running_loop().time()
        outcomes = await sandbox.run(SLEEP, ["x"] * 200)
        assert asyncio.get_running_loop().time() - began < 3.0
        verdicts = [outcome.verdict for outcome in outcomes]
        assert verdicts == sorted(verdicts, key=Verdict.TIMEOUT.__eq__)
        assert {Verdict.PASS, Verdict.TIMEOUT} == set(verdicts)
        assert outcomes[-1].detail == "no time was left for it in this call"
        assert [each.verdict for each in await sandbox.run(SLEEP, ["x"])] == [Verdict.PASS]


@pytest.mark.parametrize("total_s", [0.0, -1.0, float("nan"), float("inf")])
async def test_a_limit_for_a_call_is_above_zero_and_finite(total_s: float) -> None:
    with pytest.raises(SandboxError, match="total_s must be above zero"):
        Sandbox(Limits(total_s=total_s))


async def test_the_details_of_every_text_of_a_large_call_are_kept(backend: tuple[str, Sandbox]) -> None:
    _, sandbox = backend
    source = "def evaluate(response): raise ValueError(response + '!' * 5000)"
    outcomes = await sandbox.run(source, [str(number) for number in range(2048)])
    for number, outcome in enumerate(outcomes):
        assert outcome.detail.startswith(f"ValueError: {number}!!!")
        assert len(outcome.detail) == 300


async def test_every_deviation_has_its_reason() -> None:
    for check in CHECKS:
        assert all(each.reason and each != check.wanted for each in check.deviations.values()), check.name
    assert len({check.name for check in CHECKS}) == len(CHECKS)
