"""Random programs and random bytes at the real sandbox: one legal outcome a text, and the worker lives on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from autoif.records import Verdict
from autoif.sandbox import Limits, Outcome, Sandbox
from support.process_tree import list_children
from support.source_strategies import debris, mutants, programs, read_recorded, texts

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMEOUT_S = 0.6
HONEST = "import json\ndef evaluate(response):\n    return sorted(json.loads(response)) == ['a', 'b']"
INPUTS = st.lists(texts(), min_size=1, max_size=3)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(others: set[int]) -> AsyncIterator[Sandbox]:
    async with Sandbox(Limits(timeout_s=TIMEOUT_S, memory_mb=64), workers=1) as entered:
        yield entered


@pytest.fixture(scope="module")
def workers(sandbox: Sandbox, others: set[int]) -> set[Path]:
    """The processes that must be there after each example as they were before it."""
    return {Path(f"/proc/{pid}") for pid in list_children() - others}


async def check(sandbox: Sandbox, workers: set[Path], source: str, inputs: list[str]) -> list[Outcome]:
    """Run a source: one legal outcome for each input, the same worker, and an honest function judged right."""
    outcomes = await sandbox.run(source, inputs)
    assert len(outcomes) == len(inputs)
    for outcome in outcomes:
        assert isinstance(outcome.verdict, Verdict)
        assert outcome.detail.isprintable()
        assert len(outcome.detail) <= 300
        assert 0 <= outcome.seconds < 60
        assert outcome.loaded or outcome.verdict not in (Verdict.PASS, Verdict.FAIL)
    honest = await sandbox.run(HONEST, ['["b", "a"]', "[]"])
    assert [each.verdict for each in honest] == [Verdict.PASS, Verdict.FAIL]
    assert all(worker.exists() for worker in workers), "the worker did not outlive the example"
    return outcomes


@settings(max_examples=150)
@given(source=programs(), inputs=INPUTS)
async def test_any_program_gives_one_verdict_a_text(
    sandbox: Sandbox, workers: set[Path], source: str, inputs: list[str]
) -> None:
    await check(sandbox, workers, source, inputs)


@settings(max_examples=150)
@given(source=mutants(read_recorded()), inputs=INPUTS)
async def test_any_broken_function_gives_one_verdict_a_text(
    sandbox: Sandbox, workers: set[Path], source: str, inputs: list[str]
) -> None:
    await check(sandbox, workers, source, inputs)


@settings(max_examples=100)
@given(source=debris(), inputs=INPUTS)
async def test_what_is_no_code_does_not_load(
    sandbox: Sandbox, workers: set[Path], source: str, inputs: list[str]
) -> None:
    outcomes = await check(sandbox, workers, source, inputs)
    assert not any(outcome.loaded for outcome in outcomes)


@settings(max_examples=100)
@given(inputs=INPUTS)
async def test_any_text_arrives_as_it_was(sandbox: Sandbox, workers: set[Path], inputs: list[str]) -> None:
    source = f"WANTED = iter({inputs!a})\ndef evaluate(response): return response == next(WANTED)"
    outcomes = await check(sandbox, workers, source, inputs)
    assert [outcome.verdict for outcome in outcomes] == [Verdict.PASS] * len(inputs)
