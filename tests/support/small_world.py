"""The recorded small world as runs: functions of one instruction differ there, so some responses pass most of them."""

from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path

import autoif
from autoif.datasets.split import write_split
from autoif.store import INSTRUCTIONS

ROOT = Path(__file__).parents[2]
WORLD = ROOT / "examples" / "small_world"
HELD_OUT = 0.25
"""As in examples/small_world.sh: these have no recorded responses."""


def make_small_world(folder: Path, **settings: Mapping[str, object]) -> dict[str, autoif.Run]:
    """Return a run over the instructions to train on for each of these settings, by its name."""
    recorded = {"recordings": [WORLD / "answers.jsonl.xz"], "progress": False}
    with chdir(ROOT):  # data.toml names its files from there
        autoif.run(WORLD / "data.toml", output=folder / "first", until="instructions", **recorded)
        write_split(folder / "first" / INSTRUCTIONS, HELD_OUT, 0, folder / "split")
        asked = folder / "split" / "train.jsonl"
        return {
            name: autoif.run(WORLD / "data.toml", output=folder / name, instructions=asked, set=each, **recorded)
            for name, each in settings.items()
        }
