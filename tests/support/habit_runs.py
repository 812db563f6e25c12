"""Small runs of `autoif run` in this process, against a server with a habit (habit_server.py)."""

import contextlib
import io
import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from autoif.cli.main import main
from support.habit_server import QUERIES, Habit, HabitServer

SMALL = (
    "self_instruct.seed_limit=1",
    "self_instruct.max_instructions=2",
    "verification.functions_per_instruction=2",
    "verification.max_functions=0",
    "cross_validation.choose_by=cases",  # the servers' functions differ, and have nothing to do with what is asked
    "cross_validation.findings=[]",
    "cross_validation.min_score=0",
    "augmentation.queries_per_instruction=2",
    "rejection_sampling.stop_after_prompts=0",  # a prompt's four responses are asked for in one request
    "models.all.retry_wait_s=0.01",
    "models.all.retries=3",
    "sandbox.workers=1",
)
ROWS = 16
HALF = (1, 3)
"""Choices, of the four that there are to a prompt."""
DATA = ("sft.jsonl", "preferences.jsonl", "rewards.jsonl", "instructions.jsonl")


@dataclass(frozen=True)
class Ended:
    """A run that is over."""

    code: int
    output: str
    folder: Path

    def rows(self, name: str | Path = "sft.jsonl") -> list[dict[str, Any]]:
        path = self.folder / name
        return [json.loads(line) for line in path.read_text().split("\n") if line] if path.exists() else []

    @property
    def error(self) -> str:
        """The line that the run ended with."""
        return next(line for line in self.output.splitlines() if line.startswith("autoif: "))

    @property
    def responses(self) -> list[str]:
        return [row["messages"][-1]["content"] for row in self.rows()]

    def dropped(self, stage: str) -> Counter[str]:
        rows = [row for path in self.folder.glob(f"*_{stage}/dropped-*.jsonl") for row in self.rows(path)]
        return Counter(row["reason"] for row in rows)

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.folder / "run.json").read_text())


@dataclass(frozen=True)
class Runner:
    """Runs a preset in one folder, which an earlier run may have left."""

    server: HabitServer
    folder: Path
    preset: str = "quickstart"

    def __call__(self, habit: Habit, *options: str) -> Ended:
        """Run against a server with this habit, with more options if they are given, and check how it ends."""
        self.server.take_up(habit)
        queries = self.folder / "queries.txt"
        queries.write_text("\n".join(QUERIES))
        arguments = ["autoif", "run", self.preset, "--quiet", "-o", str(self.folder / "run"), "--model", "m"]
        arguments += ["--base-url", self.server.url, "--queries", str(queries)]
        arguments += [part for setting in SMALL for part in ("--set", setting)]
        code, printed, errors = _call([*arguments, *options])
        assert "Traceback" not in printed + errors
        assert code == 0 or sum(line.startswith("autoif: ") for line in errors.splitlines()) == 1
        return Ended(code, printed + errors, self.folder / "run")


def _call(arguments: list[str]) -> tuple[int, str, str]:
    """Return the exit code, and what went to both outputs."""
    printed, errors = io.StringIO(), io.StringIO()
    code = 0
    with (
        mock.patch.object(sys, "argv", arguments),
        mock.patch.dict("os.environ", COLUMNS="200"),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(errors),
    ):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return code, printed.getvalue(), errors.getvalue()
