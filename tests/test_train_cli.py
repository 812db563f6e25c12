"""`autoif train` as it is typed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.command import autoif_here, stopped_here
from support.tiny_model import write_tiny_model
from support.training_data import QUICK, judged_by, preference_rows, reward_rows, sft_rows, write_rows

SET = [part for setting in QUICK[:-1] for part in ("--set", setting)]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    write_rows(folder / "sft.jsonl", *sft_rows())
    write_rows(folder / "preferences.jsonl", *preference_rows())
    write_tiny_model(folder / "model")
    return folder


def test_sft_and_then_dpo_from_a_run_folder(place, tmp_path, capsys):
    before = signal.getsignal(signal.SIGTERM)
    sft, dpo = tmp_path / "sft", tmp_path / "dpo"
    settings = ["--set", "global_batch_size=3", "--set", "max_steps=2", "--quiet"]
    autoif_here("train", "sft", "--data", place, "--model", place / "model", "-o", sft, *settings)
    assert "loss" in capsys.readouterr().out
    config = tmp_path / "dpo.toml"
    config.write_text("max_steps = 2\nglobal_batch_size = 3\n", encoding="utf-8")
    autoif_here("train", "dpo", "--data", place, "--model", sft, "-o", dpo, "--config", config, "--lora")
    printed = capsys.readouterr()
    assert "rewards/margins" in printed.out
    assert "6 rows to train on" in printed.err
    assert (dpo / "README.md").is_file()
    assert signal.getsignal(signal.SIGTERM) is before


def test_grpo_from_a_run_folder_with_prompts_to_evaluate_on(place, tmp_path, capsys):
    write_rows(place / "rewards.jsonl", *reward_rows())
    held_out = write_rows(tmp_path / "held.jsonl", *reward_rows(("kale", "yam")))
    config = tmp_path / "grpo.toml"
    config.write_text(
        "max_steps = 1\nglobal_batch_size = 8\nnum_generations = 4\nmax_completion_length = 6\n"
        '[reward]\nmode = "fraction"\nworkers = 1\n',
        encoding="utf-8",
    )
    options = ("--data", place, "--model", place / "model", "-o", tmp_path / "out", "--config", config)
    autoif_here("train", "grpo", *options, "--eval-data", held_out, "--quiet")
    printed = capsys.readouterr().out
    assert "frac_reward_zero_std" in printed
    assert "eval_reward" in printed
    assert "mode fraction, gate True" in (tmp_path / "out" / "README.md").read_text("utf-8")


def test_a_training_that_is_stopped_while_functions_run_ends_at_once(place, tmp_path):
    endless = [{**row, **judged_by("import time\ndef evaluate(response): time.sleep(600)")} for row in reward_rows()]
    data = write_rows(tmp_path / "endless.jsonl", *endless)
    settings = (
        "bf16=false", "global_batch_size=4", "num_generations=4", "per_device_train_batch_size=4",
        "max_completion_length=6", "reward.timeout_s=60", "reward.gate=false",
    )  # fmt: skip
    options = ["train", "grpo", "--data", data, "--model", place / "model", "-o", tmp_path / "out", "--quiet"]
    options += [part for setting in settings for part in ("--set", setting)]
    stopped = list[float]()

    def is_judging() -> bool:
        if not (tmp_path / "out" / "training.json").exists():
            return False
        time.sleep(1)
        stopped.append(time.monotonic())
        return True

    stopped_here(*options, when=is_judging)
    assert time.monotonic() - stopped[0] < 45
    assert '"status": "interrupted"' in (tmp_path / "out" / "training.json").read_text("utf-8")


def test_an_error_is_one_line_and_exit_code_2(place, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        data = place / "preferences.jsonl"
        autoif_here("train", "sft", "--data", data, "--model", place / "model", "-o", tmp_path / "x")
    assert stop.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "these are preference pairs: use `autoif train dpo`" in line


def test_without_the_extra_the_command_says_what_to_install(place, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "autoif.training.train", None)
    with pytest.raises(SystemExit) as stop:
        autoif_here("train", "sft", "--data", place, "--model", place / "model", "-o", tmp_path / "x")
    assert stop.value.code == 2
    assert "pip install 'autoif[train]'" in capsys.readouterr().err


def test_a_training_that_a_scheduler_stops_goes_on_with_resume(place, tmp_path):
    out = tmp_path / "out"
    options = [
        "train", "sft", "--data", place, "--model", place / "model", "-o", out, *SET, "--set", "save_steps=1",
        "--set", "max_steps=2000", "--quiet",
    ]  # fmt: skip
    said = stopped_here(*options, when=lambda: any(out.glob("checkpoint-*/trainer_state.json")))
    assert f"the same command with --resume goes on from the last whole checkpoint of {out}" in said
    assert '"status": "interrupted"' in (out / "training.json").read_text("utf-8")


def test_a_training_comes_to_its_end_where_nobody_reads_what_it_prints(place, tmp_path):
    options = ["--data", place, "--model", place / "model", "-o", tmp_path / "out", *SET, "--set", "logging_steps=1"]
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "autoif", "train", "sft", *options, "--set", "max_steps=2"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=150)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == "autoif: what is printed can't be written: No space left on device"
    assert '"status": "complete"' in (tmp_path / "out" / "training.json").read_text("utf-8")
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_the_command_line_alone_loads_no_trainer():
    source = (
        "import sys, autoif.cli.main\n"
        "print(*{'torch', 'transformers', 'trl', 'peft', 'accelerate', 'datasets'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
