"""`autoif eval followbench` as it is typed: a model and a judge behind an endpoint, recorded files, refusals."""

import asyncio
import json
from pathlib import Path

import pytest

from support.command import autoif_here, fails_here
from support.followbench_data import ask, instruct, judge, respond, write_data, write_judgements
from support.stub_server import StubServer, says
from support.training_data import write_rows

GROUPS = {"style": 2, "example": 1}


@pytest.fixture
def data(tmp_path) -> Path:
    return write_data(tmp_path / "data", GROUPS)


def read(folder: Path) -> dict:
    return json.loads((folder / "scores.json").read_text("utf-8"))


def test_an_embedded_model_answers_and_judges_itself(one_core, tmp_path):
    data, out = write_data(tmp_path / "data", {"style": 1}), tmp_path / "out"
    options = ["smollm2-135m", "--data", data, "-o", out, "--max-tokens", 8, "--batch-size", 2]
    autoif_here("eval", "followbench", *options, "--judge-model", "smollm2-135m", "--judge-max-tokens", 8, "--quiet")
    scores = read(out)
    assert (scores["policy"], scores["settings"]["judge"]) == ("b179c9523d0e, llama", "smollm2-135m@b179c9523d0e")
    assert scores["counts"]["unread"]["count"] == 5  # in 8 tokens there is no list
    assert scores["parts"]["style"]["hsr_average"]["value"] == 0  # not the -100 of -1 each


async def test_a_model_is_asked_and_judged_and_nothing_is_asked_twice(data, tmp_path, capsys):
    verdicts = {
        f"{instruct('style', 2, 1)}\n\n=== Response": "It is not.\nNO",
        f"{instruct('style', 2, 2)}\n\n=== Response": "I can't say.",
        f"{instruct('style', 2, 3)}\n\n=== Response": "['YES', 'NO', 'YES']",
    }
    async with StubServer(default=judge(verdicts)) as server:
        options = ["m", "--data", data, "-o", tmp_path / "out", "--base-url", server.url, "--judge-model", "j"]
        options += ["--judge-base-url", server.url]
        await asyncio.to_thread(autoif_here, "eval", "followbench", *options)
        asked = len(server.bodies)
        first = (tmp_path / "out" / "scores.json").read_bytes()
        (tmp_path / "out" / "scores.json").unlink()  # as if it had been stopped before the end
        await asyncio.to_thread(autoif_here, "eval", "followbench", *options)
        assert asked == len(server.bodies) == 15 + 10
    assert (tmp_path / "out" / "scores.json").read_bytes() == first
    assert {(body["model"], body["temperature"], body["max_tokens"]) for body in server.bodies} == {
        ("m", 0, 2048),
        ("j", 0, 1024),
    }
    scores = read(tmp_path / "out")
    assert (scores["policy"], scores["settings"]["judge"]) == ("m, endpoint", "j")
    assert scores["counts"]["unread"]["named"] == ["style/2/2: no list in its last line"]
    style = scores["parts"]["style"]
    assert [style[f"hsr_{level}"]["value"] for level in range(1, 6)] == [50, 0, 50, 100, 100]
    assert style["ssr_3"]["value"] == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert style["csl"]["value"] == 2.5
    assert scores["details"]["scores_of_read"]["style"]["hsr_2"]["value"] == 100
    assert scores["scores"]["hsr_average"]["value"] == 80
    said = capsys.readouterr()
    assert "10 of 10 responses judged" in said.err
    assert "hsr_average  80.0 [" in said.out
    assert "unreadable  1: style/2/2: no list in its last line. They count -1" in said.out
    assert "PARTIAL  15 of 820 prompts are scored; the data lacks prompts (content: 0 of 25 initial instr" in said.out
    rows = [json.loads(line) for line in (tmp_path / "out" / "per_prompt.jsonl").read_text("utf-8").splitlines()]
    assert [row["details"]["by"] for row in rows] == ["judge"] * 10 + ["rule"] * 5
    assert rows[7]["details"]["samples"][0]["satisfied"] == [True, False, True]
    assert rows[5]["details"]["samples"][0]["judgement"] == "It is not.\nNO"


async def test_several_samples_are_judged_each_and_averaged(data, tmp_path):
    async with StubServer(default=judge({})) as server:
        options = [
            "m",
            "--data",
            data,
            "-o",
            tmp_path / "out",
            "--base-url",
            server.url,
            "--judge-model",
            "j",
            "--quiet",
        ]
        options += ["--judge-base-url", server.url, "--samples", 2]
        line = await asyncio.to_thread(fails_here, "eval", "followbench", *options)
        assert "set it above 0 for several --samples" in line
        await asyncio.to_thread(autoif_here, "eval", "followbench", *options, "--temperature", "0.7")
    rows = [json.loads(line) for line in (tmp_path / "out" / "per_prompt.jsonl").read_text("utf-8").splitlines()]
    assert {len(row["scores"]["hsr_average"]) for row in rows} == {2}
    assert read(tmp_path / "out")["scores"]["csl"]["value"] == 5


async def test_a_spent_budget_stops_the_judge_and_a_larger_one_goes_on(data, tmp_path):
    responses = write_rows(tmp_path / "r.jsonl", *respond(GROUPS))
    async with StubServer(default=judge({})) as server:
        options = ["--responses", responses, "--data", data, "-o", tmp_path / "out", "--quiet"]
        options += ["--judge-model", "j", "--judge-base-url", server.url, "--judge-concurrency", 1]
        line = await asyncio.to_thread(fails_here, "eval", "followbench", *options, "--budget-tokens", 30)
        assert "raise --budget-tokens" in line
        assert len(server.bodies) == 3  # 14 tokens each
        assert not (tmp_path / "out" / "scores.json").exists()
        await asyncio.to_thread(autoif_here, "eval", "followbench", *options)
        assert len(server.bodies) == 10
    assert read(tmp_path / "out")["parts"]["style"]["csl"]["value"] == 5


def test_recorded_files_need_neither_model_nor_judge(data, tmp_path, capsys):
    rows = respond({"style": 2}, "<think>Rule 1?</think>Bot: yes") + respond({"example": 1}, "<think></think>Bot: yes")
    said = [
        (ask("style", example, level, f"Bot: yes {example}/{level}"), str(["YES"] * level))
        for example in (1, 2)
        for level in range(1, 6)
    ]
    options = ["--data", data, "--responses", write_rows(tmp_path / "r.jsonl", *rows), "-o", tmp_path / "out"]
    options += ["--judgements", write_judgements(tmp_path / "judgements", "style", said)]
    autoif_here("eval", "followbench", *options)
    assert "hsr_average  100.0 [" in capsys.readouterr().out
    assert read(tmp_path / "out")["policy"].startswith("recorded, SHA-256 ")
    line = fails_here("eval", "followbench", *options, "--keep-thinking")
    assert "holds another evaluation: keep_thinking (False there, True now)" in line


async def test_no_judge_is_asked_of_a_thought_alone_and_a_judge_that_refuses_says_why(data, tmp_path, capsys):
    thoughts = respond({"style": 1}, "<think>Hm, rule 1 and")
    rest = [row for row in respond(GROUPS, "<think>Hm.</think>Bot: yes") if row["prompt"] != thoughts[0]["prompt"]]
    responses = write_rows(tmp_path / "r.jsonl", thoughts[0], *rest)
    refuses = says({"choices": [{"message": {"content": "", "refusal": "I don't judge."}, "finish_reason": "stop"}]})
    async with StubServer(refuses, default=judge({})) as server:
        options = ["--responses", responses, "--data", data, "-o", tmp_path / "out", "--judge-concurrency", 1]
        options += ["--judge-model", "j", "--judge-base-url", server.url, "--quiet"]
        await asyncio.to_thread(autoif_here, "eval", "followbench", *options)
    assert len(server.bodies) == 9
    assert not any("Hm" in str(body) for body in server.bodies)
    scores = read(tmp_path / "out")
    assert [each.partition(": ")[2] for each in scores["counts"]["unread"]["named"]] == [
        "the judge's server refused: I don't judge."
    ]
    assert scores["counts"]["unfinished_reasoning"] == {"count": 1, "named": ["style/1/1"]}
    first, *_ = (json.loads(line) for line in (tmp_path / "out" / "per_prompt.jsonl").read_text("utf-8").splitlines())
    assert (first["id"], first["details"]["samples"][0]["satisfied"]) == ("style/1/1", [False])
    assert (
        "15 of 15 responses had one, and are judged without it; 0 were only a thought, 1 never"
        in capsys.readouterr().out
    )


def test_what_cant_be_measured_ends_in_one_line(data, tmp_path):
    responses = write_rows(tmp_path / "r.jsonl", *respond(GROUPS))
    out, folder = ["-o", tmp_path / "out"], ["--data", data]
    assert "name a MODEL, or recorded --responses" in fails_here("eval", "followbench", *folder, *out)
    recorded = ["--responses", responses, *folder, *out]
    assert "name a --judge-model, or recorded --judgements" in fails_here("eval", "followbench", *recorded)
    assert "without --judge-model" in fails_here(
        "eval", "followbench", *recorded, "--judgements", data, "--judge-model", "j"
    )
    assert "has no judgements: name a folder" in fails_here("eval", "followbench", *recorded, "--judgements", data)
    assert "needs --judge-model" in fails_here("eval", "followbench", *recorded, "--judge-base-url", "http://x/v1")
    judged = [*recorded, "--judge-model", "j"]
    assert "no http(s) address" in fails_here("eval", "followbench", *judged, "--judge-base-url", "file:///x")
    other = tmp_path / "other"
    other.mkdir()
    line = fails_here("eval", "followbench", "--responses", responses, "--data", other, *out)
    assert f"{other} is no FollowBench data" in line
    assert not (tmp_path / "out" / "scores.json").exists()
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "scores.json").write_text('{"metric": "pass_rate"}', encoding="utf-8")
    line = fails_here("eval", "followbench", *judged, "--judge-base-url", "http://127.0.0.1:9/v1")
    assert "holds another evaluation, or one of another version: choose another --output" in line
