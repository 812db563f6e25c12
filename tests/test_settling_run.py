"""A whole run with repair, an adaptive K and a judge: it resumes without asking twice, and shows what was done."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import autoif_here
from support.habit_runs import Ended, Runner
from support.habit_server import Asked, Body, HabitServer, honest

SETTINGS = ("verification.repairs=2", "verification.max_functions=6", "verification.judge_samples=3")
OPTIONS = ("--until", "instructions", *(part for setting in SETTINGS for part in ("--set", setting)))
BROKEN = "import nltk\ndef evaluate(response): return True"


def settle(asked: Asked) -> Body:
    """Write a broken function now and then, mend what is put back, and rule by length."""
    answer = honest(asked)
    seed = asked.body.get("seed", 0)
    for choice in answer["choices"]:
        message = choice.get("message", {})
        if "corrected function" in asked.about:
            fixed = f"def evaluate(response):\n    return len(response) > {seed % 3 + 3}"
            message["content"] = json.dumps({"explanation": "nltk [is] missing", "func": fixed})
        elif "obey the rule?" in asked.about:
            message["content"] = json.dumps({"explanation": "I counted.", "follows": len(asked.about) % 2 == 0})
        elif asked.stage == "verification" and (seed + choice["index"]) % 3 == 0:
            message["content"] = json.dumps({"func": BROKEN, "cases": []})
    return answer


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HabitServer, Runner, Ended]]:
    with HabitServer() as server:
        run = Runner(server, tmp_path_factory.mktemp("settled"))
        yield server, run, run(settle, *OPTIONS)


def test_the_means_are_stages_of_their_own_in_the_usage(settled: tuple[HabitServer, Runner, Ended]) -> None:
    _, _, ended = settled
    assert ended.code == 0
    assert {"verification", "repair", "discrimination"} <= ended.manifest["usage"].keys()
    assert "functions put back" in ended.output
    assert "does not load" in ended.output
    assert "texts judged" in ended.output


def test_a_run_that_is_made_anew_asks_nothing_twice_and_makes_the_same_bytes(
    settled: tuple[HabitServer, Runner, Ended],
) -> None:
    server, run, ended = settled
    files = [*ended.folder.glob("0*/*.jsonl"), ended.folder / "instructions.jsonl"]
    before = {path: path.read_bytes() for path in files}
    for folder in ended.folder.glob("0[2-9]*"):
        shutil.rmtree(folder)
    again = run(settle, *OPTIONS)
    assert again.code == 0
    assert server.asked == []
    assert {path: path.read_bytes() for path in files} == before


def test_show_tells_answers_rounds_and_rulings(
    settled: tuple[HabitServer, Runner, Ended], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    _, _, ended = settled
    drafts = [row for path in sorted(ended.folder.glob("02*/kept*")) for row in ended.rows(path)]
    draft = next(row for row in drafts if row.get("repairs") and row.get("rulings"))
    autoif_here("show", ended.folder, draft["instruction"]["id"])
    shown = capsys.readouterr().out
    assert "settled after" in shown
    assert "answer 0: " in shown
    assert f"round 1: {draft['repairs'][0]['function']['id']} does not load" in shown
    assert "missing module: nltk" in shown
    assert "> nltk [is] missing" in shown
    assert "the judge of a" in shown


def test_show_of_a_run_without_them_says_nothing_of_settling(
    tmp_path: Path, settled: tuple[HabitServer, Runner, Ended], capsys: pytest.CaptureFixture[str]
) -> None:
    server, _, _ = settled
    ended = Runner(server, tmp_path)(honest, "--until", "instructions", "--set", "verification.max_functions=0")
    autoif_here("show", ended.folder)
    assert "settled" not in capsys.readouterr().out
    assert "repairs" not in json.loads((ended.folder / "02_verification/kept-0000.jsonl").read_text().splitlines()[0])
