"""The sandbox's contract: which verdict for what."""

import pytest

from autoif.records import Verdict
from autoif.sandbox import Limits, Sandbox


async def test_true_is_a_pass_and_false_a_fail() -> None:
    async with Sandbox(Limits(), workers=1) as sandbox:
        outcomes = await sandbox.run("def evaluate(response):\n    return len(response) > 3", ["no", "long enough"])
        assert [outcome.verdict for outcome in outcomes] == [Verdict.FAIL, Verdict.PASS]
        assert sandbox.verdicts == 2


@pytest.mark.parametrize("value", ["7", "'True'", "None", "1", "[True]"])
async def test_anything_but_a_bool_is_an_error(value: str) -> None:
    async with Sandbox(Limits(), workers=1) as sandbox:
        (outcome,) = await sandbox.run(f"def evaluate(response):\n    return {value}", ["text"])
        assert outcome.verdict is Verdict.ERROR
        assert outcome.detail.startswith("returned ")
