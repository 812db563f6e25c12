"""Each export through its trainer's own package: what it reads is what the run has, what it rewards is what verifies.

`make trainers` puts the packages under .venv/trainers, a folder for each, since no two of them agree on the versions of
what they need. tests/trainers has their versions, and the program that asks each one.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.exported_run import ANSWERS, GOLDEN, export, reward_rows, rows_of, verified, write_reward_rows

pytestmark = [pytest.mark.trainers, pytest.mark.timeout(900)]

PROGRAMS = Path(__file__).parent / "trainers"
PACKAGES = Path(sys.prefix) / "trainers"


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Return what exports to a trainer and asks its package about the export, once for each trainer."""
    asked: dict[str, dict] = {}

    def ask(trainer: str) -> dict:
        if trainer not in asked:
            folder = tmp_path_factory.mktemp(trainer)
            data = [GOLDEN / "sft.jsonl", GOLDEN / "preferences.jsonl", write_reward_rows(folder)]
            asked[trainer] = run(trainer, export(trainer, folder / "exported", *data), folder)
        return asked[trainer]

    return ask


def run(trainer: str, exported: Path, folder: Path) -> dict:
    packages = PACKAGES / trainer
    assert packages.is_dir(), "make trainers"
    done = subprocess.run(
        [
            sys.executable,
            str(PROGRAMS / f"use_{trainer.replace('-', '_')}.py"),
            str(exported),
            str(folder / "found.json"),
            json.dumps(ANSWERS),
        ],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(packages),
            "CUDA_VISIBLE_DEVICES": "",
            "HF_HUB_OFFLINE": "1",
            "DO_NOT_TRACK": "1",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return json.loads((folder / "found.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("mode", ["binary", "fraction"])
@pytest.mark.parametrize("trainer", ["verl", "verifiers", "nemo-gym", "axolotl"])
def test_the_package_s_own_reward_is_what_verifying_comes_to(ask, trainer, mode):
    assert ask(trainer)[mode] == verified(mode)


def test_each_package_asks_what_the_run_asks(ask):
    messages = [row["prompt"] for row in reward_rows()]
    assert ask("verl")["prompts"] == messages
    assert ask("axolotl")["prompts"] == messages
    assert ask("nemo-gym")["prompts"] == messages
    assert ask("verifiers")["prompts"] == [message["content"] for [message] in messages]


@pytest.mark.parametrize(
    ("trainer", "user", "end"),
    [
        ("verl", "<user>\n{}</s><assistant>\n", "</s>"),
        ("axolotl", "<user>\n{}</s><assistant>\n", "</s>"),
        ("llamafactory", "Human: {}</s>\nAssistant:", "</s>\n"),
    ],
)
def test_a_package_trains_on_the_answer_and_on_nothing_else(ask, trainer, user, end):
    found = ask(trainer)
    assert found["sft"] == [
        [user.format(row["messages"][0]["content"]), row["messages"][1]["content"] + end]
        for row in rows_of(GOLDEN / "sft.jsonl")
    ]
    assert found.get("sft_sharegpt", found["sft"]) == found["sft"]


def test_llamafactory_and_axolotl_prefer_what_the_run_prefers(ask):
    rows = rows_of(GOLDEN / "preferences.jsonl")
    pairs = [[row[side][0]["content"] for side in ("prompt", "chosen", "rejected")] for row in rows]
    found = ask("llamafactory")
    assert found["preferences"] == [
        [[f"Human: {prompt}</s>\nAssistant:", f"{answer}</s>\n"] for answer in answers] for prompt, *answers in pairs
    ]
    assert found["preferences_sharegpt"] == found["preferences"]
    assert ask("axolotl")["preferences"] == [
        {"prompt": f"<user>\n{prompt}</s><assistant>\n", "chosen": f"{chosen}</s>", "rejected": f"{rejected}</s>"}
        for prompt, chosen, rejected in pairs
    ]


def test_nemo_gym_takes_a_response_without_a_message_for_an_empty_answer(ask):
    assert ask("nemo-gym")["no message"] == [rewards[ANSWERS.index("")] for rewards in verified("fraction")]
