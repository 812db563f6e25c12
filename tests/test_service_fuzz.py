"""The service, fuzzed from its own OpenAPI document: whatever comes in, what goes out is as the document says."""

import asyncio
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoif.service.bodies import read_request
from autoif.service.schemas import Refusal, RewardRequest, VerifyRequest
from support.service_process import TRUE, serving

TOKEN = "0123456789abcdef0123"
EXAMPLES = 10
"""For each operation and phase."""

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
)


@pytest.mark.parametrize("token", ["", TOKEN], ids=["open", "with a token"])
async def test_the_service_keeps_to_its_document_whatever_it_is_sent(token, tmp_path):
    environment = {"AUTOIF_SERVICE_TOKEN": token} if token else {}
    async with serving(tmp_path, "--timeout", 0.5, **environment) as server:
        ran = await asyncio.to_thread(_run_schemathesis, server.url, token, tmp_path)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "No issues found" in ran.stdout
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        assert (await server.verify([TRUE], ["a"], headers=headers)).words == [["pass"]]
    assert "a request failed" not in server.log.read_text()


def _run_schemathesis(url: str, token: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json", "--checks", "all"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--generation-deterministic"),
        *("--no-color", "--continue-on-failure"),
        *(("--header", f"Authorization: Bearer {token}") if token else ()),
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


@given(st.binary() | _JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_read_or_refused(body):
    for model in (VerifyRequest, RewardRequest):
        with suppress(Refusal):
            read_request(body, model)


@given(
    st.fixed_dictionaries(
        {"functions": st.lists(st.text(st.characters()), min_size=1), "responses": st.lists(st.text(), min_size=1)}
    )
)
def test_any_texts_are_read_as_they_are(value):
    assert read_request(json.dumps(value).encode(), VerifyRequest).model_dump() == {
        "functions": value["functions"],
        "responses": value["responses"],
    }
