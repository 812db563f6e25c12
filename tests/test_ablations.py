"""Whole runs without stages, as in the ablations of the paper."""

import json

from support.command import run_here
from support.processes import model_server

SMALL = (
    "--set", "self_instruct.max_instructions=3", "--set", "augmentation.queries_per_instruction=2",
    "--model", "test", "--quiet",
)  # fmt: skip
NOWHERE = ("--base-url", "http://127.0.0.1:9/v1")


def test_a_run_without_two_stages_asks_less_and_says_so(tmp_path):
    off = ("--set", "scoring.enabled=false", "--set", "back_translation.enabled=false")
    with model_server(tmp_path) as server:
        done = run_here("run", "quickstart", *SMALL, *off, "--base-url", server.url, "-o", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    funnel = [line.split() for line in done.stdout.splitlines() if line.startswith("0")]
    assert [line[0] for line in funnel if line[-1] == "off"] == ["04_back_translation", "07_scoring"]
    usage = json.loads((tmp_path / "run/run.json").read_text())["usage"]
    assert set(usage) == {"self_instruct", "verification", "rejection_sampling"}
    rows = [json.loads(line) for line in (tmp_path / "run/sft.jsonl").read_text().splitlines()]
    assert rows
    assert {row["quality"] for row in rows} == {None}
    assert (tmp_path / "run/preferences.jsonl").stat().st_size
    done = run_here("run", "quickstart", *SMALL, *NOWHERE, "-o", "run", cwd=tmp_path)
    assert done.returncode == 2
    assert "scoring.enabled" in done.stderr
