"""`autoif train online-dpo` as it is typed."""

import json
from pathlib import Path

import pytest

from support.command import autoif_here, stopped_here
from support.online_dpo import ONLINE, write_place
from support.training_data import QUICK

SET = [part for setting in (*QUICK, *ONLINE, "num_train_epochs=1") for part in ("--set", setting)]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return write_place(tmp_path_factory.mktemp("typed"))


def test_rounds_from_a_run_folder_with_settings_from_a_file(place, tmp_path, capsys):
    config = tmp_path / "online.toml"
    config.write_text("beta = 0.1\n[online]\nrounds = 2\nseed = 5\n", encoding="utf-8")
    out = tmp_path / "out"
    autoif_here(
        "train",
        "online-dpo",
        "--data",
        place,
        "--model",
        place / "model",
        "-o",
        out,
        *SET,
        "--config",
        config,
        "--quiet",
    )
    printed = capsys.readouterr().out.splitlines()
    assert [line[:8] for line in printed[:2]] == ["round 1:", "round 2:"]
    assert "pairs from 8 prompts; rewards/margins" in printed[1]
    record = json.loads((out / "training.json").read_text("utf-8"))
    assert (record["online"]["seed"], record["settings"]["beta"]) == (5, 0.1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--serve", "vllm serve {model}"], "--serve needs --base-url"),
        (["--base-url", "localhost:8000"], "--base-url: base_url 'localhost:8000' is no http(s) address"),
        (["--set", "online.rounds=none"], 'setting "online.rounds"'),
    ],
)
def test_what_cannot_be_is_said_in_one_line(place, tmp_path, capsys, options, said):
    with pytest.raises(SystemExit) as stop:
        autoif_here(
            "train", "online-dpo", "--data", place, "--model", place / "model", "-o", tmp_path / "out", *options
        )
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_rounds_that_a_scheduler_stops_go_on_with_resume(place, tmp_path):
    out = tmp_path / "out"
    options = [
        "train", "online-dpo", "--data", str(place), "--model", str(place / "model"),
        "-o", str(out), *SET, "--set", "online.batch_size=1", "--set", "online.responses_per_prompt=500",
    ]  # fmt: skip
    samples = out / "round-1/samples.jsonl"  # stopped while the model samples, and not as the file is opened
    said = stopped_here(*options, when=lambda: samples.exists() and samples.stat().st_size > 0)
    assert f"the same command with --resume goes on from what is whole in {out}" in said
    assert json.loads((out / "training.json").read_text("utf-8"))["status"] == "interrupted"
