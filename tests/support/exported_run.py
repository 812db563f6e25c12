"""Exporting the recorded run, and what its functions say of some answers: for the tests of each trainer's form."""

import json
import tempfile
from functools import cache
from pathlib import Path

from click.testing import CliRunner

from autoif import compute_reward
from autoif.cli.main import cli
from autoif.reward import RewardMode
from support.records import ACCEPT, BROKEN, RAISE, REFUSE, accepts

GOLDEN = Path(__file__).parent.parent / "golden"
ANSWERS = ["", "tea", " Tea, please.\nHello World\n", "SPICES THAT GO WELL:\nSALT", "* one\n* two\n\nthe end"]
MADE_UP = [
    [[ACCEPT, REFUSE]],
    [[ACCEPT, ACCEPT, REFUSE]],
    [[BROKEN, RAISE, ACCEPT]],
    [[accepts("tea"), accepts("one"), accepts("e")]],
    [["def evaluate(response):\n    return response != response.strip()"]],
    [["import os\ndef evaluate(response):\n    os._exit(0)", "def evaluate(response):\n    return 1"]],
    [[ACCEPT, "import time\ndef evaluate(response):\n    return response != 'tea' or time.sleep(60)"]],
    [[ACCEPT, ACCEPT, ACCEPT], [accepts("one")], [accepts("e")]],
]
"""Functions by constraint; the last ones' majority would outvote what one constraint asks."""


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
    made_up = [[{"functions": functions} for functions in constraints] for constraints in MADE_UP]
    return [*recorded[::4], *({**recorded[0], "constraints": constraints} for constraints in made_up)]


def functions_of(row: dict) -> list[list[str]]:
    """Return the sources of each constraint."""
    return [constraint["functions"] for constraint in row["constraints"]]


def write_reward_rows(folder: Path) -> Path:
    path = folder / "rewards.jsonl"
    write_lines(path, reward_rows())
    return path


@cache
def verified(mode: str) -> list[list[float]]:
    """Return what `autoif verify` comes to: a row for each of `reward_rows`, a column for each of ANSWERS."""
    rewards = [[compute_reward(verdicts, RewardMode(mode)) for verdicts in row] for row in verdicts_of_rows()]
    assert len({reward for row in rewards for reward in row}) >= (2 if mode == "binary" else 4)
    return rewards


@cache
def verdicts_of_rows() -> list[list[list[list[str]]]]:
    """Return the verdicts of each constraint on each of ANSWERS, for each of `reward_rows`, by the command."""
    sources = [source for row in reward_rows() for constraint in functions_of(row) for source in constraint]
    with tempfile.TemporaryDirectory() as name:
        functions, responses = Path(name) / "functions.jsonl", Path(name) / "responses.jsonl"
        write_lines(functions, [{"id": number, "source": source} for number, source in enumerate(sources)])
        write_lines(responses, [{"id": number, "text": text} for number, text in enumerate(ANSWERS)])
        done = CliRunner().invoke(cli, ["verify", str(functions), str(responses)])
    assert done.exit_code == 0, done.output
    found = {(row["function"], row["response"]): row["verdict"] for row in map(json.loads, done.stdout.splitlines())}
    assert set(found.values()) == {"pass", "fail", "error", "crash", "timeout"}
    numbers = iter(range(len(sources)))
    return [
        [[[found[number, answer] for number in each] for each in own] for answer in range(len(ANSWERS))]
        for own in ([[next(numbers) for _ in each] for each in functions_of(row)] for row in reward_rows())
    ]


def write_lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
