"""Makes the small world again that was recorded first, with functions chosen by cases; benchmarks begin with it."""

import os
from collections.abc import Mapping
from pathlib import Path

import autoif
from autoif.datasets.split import write_split
from autoif.runs.store import INSTRUCTIONS

ROOT = Path(__file__).resolve().parent.parent
WORLD = ROOT / "examples" / "small_world"
"""The example, with its seeds and checkers."""
BY_CASES = ROOT / "benchmarks" / "data" / "small_world_by_cases"
HELD_OUT = 0.25
"""The share of the instructions that has no recorded responses, as in examples/small_world.sh."""


def make_data(folder: Path, settings: Mapping[str, object] | None = None) -> autoif.Run:
    """Return the run over the 60 instructions to train on, made in FOLDER/data with these settings beside its own.

    FOLDER/instructions is the run over all 129 instructions that comes before, made without them.
    """
    os.chdir(ROOT)  # data.toml names its files from there
    answers = [BY_CASES / "answers.jsonl.xz"]
    made = folder / "instructions"
    autoif.run(BY_CASES / "data.toml", output=made, until="instructions", recordings=answers, progress=False)
    write_split(made / INSTRUCTIONS, HELD_OUT, 0, folder / "split")
    return autoif.run(
        BY_CASES / "data.toml",
        output=folder / "data",
        instructions=folder / "split" / "train.jsonl",
        recordings=answers,
        set=settings or {},
        progress=False,
    )
