"""The small world that was recorded first, as runs: functions of an instruction differ, and responses pass some."""

from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

import autoif
from autoif.datasets.split import write_split
from autoif.runs.store import INSTRUCTIONS

ROOT = Path(__file__).parents[2]
WORLD = ROOT / "benchmarks" / "data" / "small_world_by_cases"
HELD_OUT = 0.25
"""As in examples/small_world.sh: these have no recorded responses."""
RECORDED: dict[str, Any] = {"recordings": [WORLD / "answers.jsonl.xz"], "progress": False}


def make_small_world(folder: Path) -> None:
    """Make the instructions, FOLDER/split, and a run over those to train on, FOLDER/run."""
    with chdir(ROOT):  # data.toml names its files from there
        autoif.run(WORLD / "data.toml", output=folder / "first", until="instructions", **RECORDED)
    write_split(folder / "first" / INSTRUCTIONS, HELD_OUT, 0, folder / "split")
    run_small_world(folder, folder / "run", {})


def run_small_world(folder: Path, output: Path, settings: Mapping[str, object]) -> autoif.Run:
    """Return a run over the same instructions with these settings."""
    with chdir(ROOT):
        asked = folder / "split" / "train.jsonl"
        return autoif.run(WORLD / "data.toml", output=output, instructions=asked, set=settings, **RECORDED)
