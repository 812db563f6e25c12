"""Two processes on CPU train as one does, and the rows are read and rendered once for both."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from autoif.sampling.policy import convert_weights
from autoif.training.card import read_metrics
from autoif.training.train import train
from support.tiny_model import write_tiny_model
from support.training_data import QUICK, make_request, preference_rows, write_rows

SETTINGS = (*QUICK[:-2], "learning_rate=0.001", "per_device_train_batch_size=1", "num_train_epochs=1")
STEPS = ("global_batch_size=2", "warmup_steps=0", "seed=1")


def test_two_processes_learn_what_one_does_and_one_of_them_renders_for_both(tmp_path):
    model = write_tiny_model(tmp_path / "model")
    data = write_rows(tmp_path / "pairs.jsonl", *preference_rows() * 2)
    settings = (*SETTINGS, *STEPS)
    options = ["--data", data, "--model", model, "-o", tmp_path / "two", "--quiet"]
    options += [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, Path(__file__).parent / "support/two_processes.py", "train", "dpo", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COUNTS": str(tmp_path / "counts")}
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = (int((tmp_path / f"counts.{rank}").read_text()) for rank in (0, 1))
    assert first > 72, "three texts of each of twelve rows are measured, and made tokens by TRL"
    assert second < 12
    train(make_request("dpo", data, model, tmp_path / "one", *settings), lambda _: None)
    one, two = (read_metrics(tmp_path / name) for name in ("one", "two"))
    assert len(one) == len(two)
    assert [row["loss"] for row in two] == pytest.approx([row["loss"] for row in one], rel=1e-3)


def test_weights_are_written_anew_in_another_precision(tmp_path):
    model = write_tiny_model(tmp_path / "model")
    before = load_file(model / "model.safetensors")
    convert_weights(model, torch.bfloat16)
    after = load_file(model / "model.safetensors")
    assert {weight.dtype for weight in after.values()} == {torch.bfloat16}
    assert all(torch.equal(after[name], weight.to(torch.bfloat16)) for name, weight in before.items())
