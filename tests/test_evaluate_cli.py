"""`autoif eval`, `autoif compare` and `autoif plot` as they are typed, on a real and tiny model."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from aiohttp import web

from autoif.errors import ConfigError, needing_extra
from support.command import autoif_here, fails_here
from support.pass_rate_data import reward_row, write_prompts
from support.records import ACCEPT
from support.stub_server import Body, StubServer, answer
from support.tiny_model import write_tiny_model
from support.training_data import sft_rows, write_rows

EVAL = ["--samples", 2, "--max-tokens", 6, "--batch-size", 4, "--dtype", "float32"]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    write_tiny_model(folder / "base", context=128)
    sources = [
        {"constraints": [{"instruction_id": f"i{n}", "functions": [f"f{n}"]}], "query_id": f"q{n}"} for n in range(6)
    ]
    write_rows(folder / "sft.jsonl", *({**row, **source} for row, source in zip(sft_rows(), sources, strict=True)))
    write_prompts(folder)
    return folder


@pytest.mark.parametrize(("is_fast", "dtype"), [(True, "bfloat16"), (False, "float32")])
def test_a_model_is_sampled_in_the_precision_that_is_fast_here(is_fast, dtype, place, tmp_path, monkeypatch):
    monkeypatch.setattr("autoif.sampling.precision.computes_in_bf16", lambda: is_fast)
    eval_ = [*EVAL[: EVAL.index("--dtype")], "--quiet"]
    autoif_here("eval", "pass-rate", place / "base", "--data", place / "rewards.jsonl", *eval_, "-o", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["settings"]["dtype"] == dtype


def test_a_model_is_trained_and_measured_and_compared_with_the_one_it_began_with(place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(place)  # what a trained folder names is found from where it was trained
    trained = tmp_path / "trained"
    settings = ["--set", "global_batch_size=3", "--set", "max_steps=2", "--set", "bf16=false", "--quiet"]
    autoif_here("train", "sft", "--data", "sft.jsonl", "--model", "base", "-o", trained, *settings)
    for model in ("base", trained):
        out = tmp_path / f"eval-{Path(model).name}"
        autoif_here("eval", "pass-rate", model, "--data", "rewards.jsonl", "-o", out, *EVAL)
    said = capsys.readouterr()
    assert "12 of 12 responses sampled" in said.err
    assert "6 prompts: verifying 12 responses" in said.err
    assert "held out of sft.jsonl: no instruction, query or function in common" in said.out
    scores = json.loads((tmp_path / "eval-trained" / "scores.json").read_text("utf-8"))
    assert scores["policy"].startswith("SHA-256 ")
    assert scores["policy"].endswith(", transformers")
    assert scores["settings"]["responses"] == 2

    folders = [tmp_path / "eval-base", tmp_path / "eval-trained"]
    table, figure = tmp_path / "table.md", tmp_path / "scores.svg"
    autoif_here("compare", *folders, "--output", table, "--plot", figure)
    assert capsys.readouterr().out == table.read_text("utf-8")
    assert "| accepted | eval-trained | 0.0 [0.0, " in table.read_text("utf-8")
    autoif_here("compare", *folders, "-o", tmp_path / "table.html")
    assert capsys.readouterr().out == table.read_text("utf-8")
    assert (tmp_path / "table.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    autoif_here("compare", *folders, "-o", tmp_path / "table.txt", "--format", "tex")
    written = (tmp_path / "table.txt").read_text("utf-8")
    capsys.readouterr()
    autoif_here("compare", *folders, "--format", "tex")
    assert capsys.readouterr().out == written
    assert "begin{tabular}" in written
    assert figure.read_text("utf-8").startswith("<?xml")
    for name in ("table.md", "table.html", "table.txt"):  # each is renewed, but not what somebody wrote around it
        autoif_here("compare", *folders, "-o", tmp_path / name, "--format", "md", "--plot", figure)
        (tmp_path / name).write_text((tmp_path / name).read_text("utf-8") + "As expected.\n", encoding="utf-8")
        assert "is there and is no file of `autoif compare`" in fails_here("compare", *folders, "-o", tmp_path / name)
    capsys.readouterr()
    autoif_here("plot", trained, "-o", tmp_path / "curves.png")
    assert capsys.readouterr().out == f"SFT loss, token accuracy, learning rate: {tmp_path / 'curves.png'}\n"


def test_a_model_that_was_replaced_is_not_gone_on_with(place, tmp_path):
    model, out = write_tiny_model(tmp_path / "model", context=128), tmp_path / "out"
    options = ["eval", "pass-rate", model, "--data", place / "rewards.jsonl", "-o", out, *EVAL, "--quiet"]
    autoif_here(*options)
    autoif_here(*options)
    (model / "chat_template.jinja").write_text("{{ messages[0]['content'] }}", encoding="utf-8")
    os.utime(model / "chat_template.jinja")
    assert "holds another evaluation: policy (SHA-256" in fails_here(*options)


def test_recorded_responses_need_no_model(place, tmp_path, capsys):
    rows = [reward_row(word, query) for word in ("tea", "milk", "water") for query in range(2)]
    responses = [{"prompt": row["prompt"][0]["content"], "response": "tea or water"} for row in rows]
    data = ["--data", place / "rewards.jsonl", "--responses", write_rows(tmp_path / "responses.jsonl", *responses[:5])]
    autoif_here("eval", "pass-rate", *data, "-o", tmp_path / "out", "--unseen-by", place / "sft.jsonl")
    said = capsys.readouterr().out
    assert "60.0 [" in said
    assert "PARTIAL  5 of 6 prompts are scored; 1 prompts have no response\n" in said
    assert f"held out of {place / 'sft.jsonl'}" in said
    line = fails_here("eval", "pass-rate", *data, "-o", tmp_path / "x", "--unseen-by", place)
    assert f"{place} was trained on and shares 3 instructions" in line
    assert not (tmp_path / "x").exists()


def test_what_cant_be_measured_ends_in_one_line(place, tmp_path):
    data = ["--data", place / "rewards.jsonl", "-o", tmp_path / "out"]
    assert "name a MODEL" in fails_here("eval", "pass-rate", *data)
    assert "it has no config.json" in fails_here("eval", "pass-rate", tmp_path, *data)
    assert "no http(s) address" in fails_here("eval", "pass-rate", "m", *data, "--base-url", "file:///x")
    empty = write_rows(tmp_path / "empty.jsonl")
    line = fails_here("eval", "pass-rate", place / "base", "--data", empty, "-o", tmp_path / "out")
    assert "has no prompts" in line
    assert "name two or more" in fails_here("compare", tmp_path / "out")
    line = fails_here("compare", "a", "b", "-o", tmp_path / "out" / "table.doc")
    assert "name a table with .md, .tex, .html, or say which with --format" in line
    given = fails_here("compare", "a", "b", "-o", tmp_path / "out" / "scores.json", "--format", "md")
    assert "scores.json: name a table with .md" in given
    assert "name a figure" in fails_here("plot", place, "-o", tmp_path / "x.gif")
    assert not (tmp_path / "out").exists()


def test_without_the_extra_the_commands_say_what_to_install(place, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "autoif.evaluation.pass_rate", None)
    monkeypatch.setitem(sys.modules, "autoif.figures.plots", None)
    options = ["--data", place / "rewards.jsonl", "-o", tmp_path / "out"]
    assert "pip install 'autoif[eval]'" in fails_here("eval", "pass-rate", "m", *options)
    assert "pip install 'autoif[eval]'" in fails_here("plot", place, "-o", tmp_path / "x.svg")
    assert "pip install 'autoif[eval]'" in fails_here("compare", place, tmp_path, "--plot", "x.svg")


def test_a_package_that_cannot_be_loaded_is_no_missing_one():
    said = r"it can't load a package of the extra eval \(libfoo.so is gone\): pip install -U 'autoif\[eval\]'"
    with pytest.raises(ConfigError, match=said), needing_extra("eval", "it"):
        raise ImportError("libfoo.so is gone")


def test_an_answer_that_everything_accepts_is_scored_with_its_fault(tmp_path, capsys):
    rows = [reward_row(word, 1, [ACCEPT]) for word in ("tea", "milk")]
    data = write_rows(tmp_path / "rewards.jsonl", *rows)
    responses = [{"prompt": row["prompt"][0]["content"], "response": row["prompt"][0]["content"]} for row in rows]
    file = write_rows(tmp_path / "responses.jsonl", *responses)
    autoif_here("eval", "pass-rate", "--data", data, "--responses", file, "-o", tmp_path / "out")
    said = capsys.readouterr().out
    assert "pass_rate  100.0 [1.2, 100.0; rough: 2 clusters]" in said
    assert "faultless_pass_rate  0.0 [0.0, 98.8; rough: 2 clusters]" in said
    assert "copied 2" in said


async def test_a_model_behind_an_endpoint_is_measured_by_its_name(place, tmp_path, capsys):
    async def say_what_was_asked(request: web.Request, body: Body) -> web.StreamResponse:
        asked = [{"content": f"I was asked: {body['messages'][-1]['content']}"}]
        return web.json_response(answer({**body, "messages": asked}))

    async with StubServer(default=say_what_was_asked) as server:
        options = ["--data", place / "rewards.jsonl", "-o", tmp_path / "out", "--base-url", server.url, "--quiet"]
        await asyncio.to_thread(autoif_here, "eval", "pass-rate", "policy", *options, "--samples", 2)
        asked = len(server.bodies)
        await asyncio.to_thread(autoif_here, "eval", "pass-rate", "policy", *options, "--samples", 2)
    assert asked == len(server.bodies) == 12
    assert len({body["seed"] for body in server.bodies}) == 12
    assert {(body["model"], body["temperature"], body["max_tokens"]) for body in server.bodies} == {
        ("policy", 0.8, 1024)
    }
    scores = json.loads((tmp_path / "out" / "scores.json").read_text("utf-8"))
    assert scores["policy"] == "policy, endpoint"
    assert scores["scores"]["pass_rate"]["value"] == 100
    assert "no training data known" in capsys.readouterr().out


def test_texts_of_others_are_shown_in_one_line_that_steers_no_terminal(tmp_path, capsys):
    row = reward_row("tea", 1)
    row["prompt"][0]["content"] = "Hi \x1b[2J\x1b]0;title\x07\nof tea"
    responses = write_rows(tmp_path / "responses.jsonl", {"prompt": row["prompt"][0]["content"], "response": ""})
    data = write_rows(tmp_path / "rewards.jsonl", row)
    autoif_here("eval", "pass-rate", "--data", data, "--responses", responses, "-o", tmp_path / "out")
    said = capsys.readouterr().out
    assert "empty  1: Hi [2J ]0;title of tea\n" in said
    assert said.replace("\n", "").isprintable()
    assert fails_here("eval", "pass-rate", "--data", tmp_path / "no\x1b[2J", "-o", "out", "m").isprintable()


def test_a_report_says_how_many_responses_do_not_tell_whether_they_were_cut(tmp_path, capsys):
    row = reward_row("tea", 1)
    data = write_rows(tmp_path / "rewards.jsonl", row)
    told = ["length", "stop", None, None]
    rows = [{"prompt": row["prompt"][0]["content"], "response": "tea", "finish_reason": each} for each in told]
    responses = write_rows(tmp_path / "responses.jsonl", *rows)
    autoif_here("eval", "pass-rate", "--data", data, "--responses", responses, "-o", tmp_path / "out")
    assert "responses  1 x 4, cut: 1, and 2 don't tell\n" in capsys.readouterr().out
