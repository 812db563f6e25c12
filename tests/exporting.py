"""Exporting the recorded run, and what its functions say of some answers: for the tests of each trainer's form."""

import json
from functools import cache
from pathlib import Path

from click.testing import CliRunner

from autoif import Sandbox, compute_reward
from autoif.cli.main import cli
from examples import ACCEPT, BROKEN, RAISE, REFUSE, accepts

GOLDEN = Path(__file__).parent / "golden"
ANSWERS = ["", "tea", " Tea, please.\nHello World\n", "SPICES THAT GO WELL:\nSALT", "* one\n* two\n\nthe end"]
MADE_UP = [
    [ACCEPT, REFUSE],
    [ACCEPT, ACCEPT, REFUSE],
    [BROKEN, RAISE, ACCEPT],
    [accepts("tea"), accepts("one"), accepts("e")],
    ["def evaluate(response):\n    return response != response.strip()"],
    ["import os\ndef evaluate(response):\n    os._exit(0)", "def evaluate(response):\n    return 1"],
]


def export(trainer: str, folder: Path, *data: Path) -> Path:
    """Export the recorded run, or these files, and return the folder."""
    done = CliRunner().invoke(cli, ["export", *map(str, data or [GOLDEN]), "--to", trainer, "-o", str(folder)])
    assert done.exit_code == 0, done.output + str(done.exception)
    return folder


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def reward_rows() -> list[dict]:
    """Return rows of a rewards.jsonl: recorded ones, and ones whose functions fail in every way."""
    recorded = rows_of(GOLDEN / "rewards.jsonl")
    return [*recorded[::4], *({**recorded[0], "functions": functions} for functions in MADE_UP)]


def write_reward_rows(folder: Path) -> Path:
    path = folder / "rewards.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in reward_rows()), encoding="utf-8")
    return path


@cache
def verified(mode: str) -> list[list[float]]:
    """Return what verifying comes to: a row for each of `reward_rows`, a column for each of ANSWERS."""
    with Sandbox() as sandbox:
        verdicts = [
            [[outcome.verdict for outcome in sandbox.run_sync(source, ANSWERS)] for source in row["functions"]]
            for row in reward_rows()
        ]
    rewards = [[compute_reward(column, mode) for column in zip(*row, strict=True)] for row in verdicts]
    assert len({reward for row in rewards for reward in row}) >= (2 if mode == "binary" else 4)
    return rewards
