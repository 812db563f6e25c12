"""The load test of the service in short form: it passes, and it can fail."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "service.py"


def _load(requests: int, *server_options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(SCRIPT), "--requests", str(requests), "--", *server_options]
    return subprocess.run(command, capture_output=True, text=True, timeout=200)


def test_under_load_with_hostile_functions_no_verdict_is_wrong_and_no_request_lost():
    ran = _load(120, "--queue", "40")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "none wrong: True   none lost: True" in ran.stdout
    assert "tried again: 0" not in ran.stdout  # the queue was full now and then, and the clients came back


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--deadline", "0.1"), "none lost: False"), (("--backend", "monty"), "none wrong: False")],
    ids=["lost", "wrong"],
)
def test_the_load_test_can_fail(options, said):
    ran = _load(20, *options)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert said in ran.stdout
