"""Types as a type checker sees them in a program of others."""

import re
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import autoif

run = autoif.run("quickstart", output=None, recorded=True, queries=None, until=None, progress=None)
row: dict[str, object] = run.sft[0]
rows: list[dict[str, object]] = run.sft[:2]
autoif.compute_reward([autoif.Verdict.PASS])
autoif.compute_reward(["pass"], "fraction")
with autoif.VerificationReward("binary", limits=autoif.Limits(timeout_s=1)) as reward:
    rewards: list[float | None] = reward([[{"role": "assistant", "content": "Tea."}]], functions=[["…"]])
name: str = autoif.__version__
autoif.Sandbocks  # wrong: "Sandbocks"
autoif.run(until="instruction")  # wrong: "until"
autoif.run(recordd=True)  # wrong: "recordd"
autoif.VerificationReward(workers="2")  # wrong: "workers"
"""


def test_a_program_with_right_calls_is_right_and_every_slip_is_found(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    options = ("--strict", "--no-error-summary", "--hide-error-context", "--cache-dir", str(tmp_path / "cache"))
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "program.py"], capture_output=True, text=True, cwd=tmp_path
    )
    found = {int(line) for line in re.findall(r"^program\.py:(\d+): error:", checked.stdout, re.MULTILINE)}
    wrong = {number for number, line in enumerate(PROGRAM.splitlines(), 1) if "# wrong" in line}
    assert found == wrong, checked.stdout + checked.stderr
