"""`autoif train dpo` on a real, tiny model: the margin rises over the SFT model, which is the reference."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import TrainerCallback

from autoif.errors import ConfigError, ModelError
from autoif.training.train import train
from support.tiny_model import write_tiny_model
from support.trained_folders import metrics_of, same_weights
from support.training_data import make_request, preference_rows, sft_rows, turn, write_rows

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with rows and pairs, and an SFT model, `sft`, trained on the rows."""
    folder = tmp_path_factory.mktemp("dpo")
    write_rows(folder / "sft.jsonl", *sft_rows())
    write_rows(folder / "preferences.jsonl", *preference_rows())
    model = write_tiny_model(folder / "model")
    train(make_request("sft", folder / "sft.jsonl", model, folder / "sft"), lambda _: None)
    return folder


@pytest.fixture(scope="module")
def trained(place) -> Path:
    train(make_request("dpo", place, place / "sft", place / "trained"), lambda _: None)
    return place / "trained"


class Interrupt(TrainerCallback):
    def on_step_begin(self, args, state, control, **_):
        if state.global_step == 7:
            raise KeyboardInterrupt


def test_the_margin_rises_and_the_pairs_are_told_apart(trained):
    rows = metrics_of(trained)
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert rows[-1]["rewards/margins"] > 0.5
    assert rows[-1]["rewards/accuracies"] == 1.0
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_the_reference_is_the_model_that_the_training_begins_with(trained):
    first = metrics_of(trained)[0]
    # Before the first step policy and reference are the same model: no reward for either answer, a loss of log 2.
    assert first["rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert first["loss"] == pytest.approx(0.6931, abs=1e-3)


def test_a_dpo_that_is_resumed_ends_in_the_same_weights(place, trained, tmp_path):
    request = make_request("dpo", place, place / "sft", tmp_path / "out", "save_steps=3")
    with pytest.raises(KeyboardInterrupt):
        train(replace(request, callbacks=[Interrupt()]), lambda _: None)
    said: list[str] = []
    train(replace(request, resume=True), said.append)
    assert "going on from checkpoint-6" in said
    assert same_weights(tmp_path / "out", trained)
    margins = [[row["rewards/margins"] for row in metrics_of(folder)] for folder in (tmp_path / "out", trained)]
    assert margins[0] == margins[1]


def test_with_lora_the_reference_is_the_policy_without_its_adapter(place, tmp_path):
    request = make_request("dpo", place, place / "sft", tmp_path / "out", lora=True)
    train(request, lambda _: None)
    rows = metrics_of(tmp_path / "out")
    assert rows[0]["rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert rows[-1]["rewards/margins"] > 0.5
    assert not same_weights(tmp_path / "out", place / "sft")


def test_the_reference_can_be_asked_before_the_training(place, trained, tmp_path):
    train(make_request("dpo", place, place / "sft", tmp_path / "out", "precompute_ref_log_probs=true"), lambda _: None)
    ahead, beside = metrics_of(tmp_path / "out"), metrics_of(trained)
    assert ahead[-1]["rewards/margins"] == pytest.approx(beside[-1]["rewards/margins"], rel=1e-3)


def test_margins_on_other_pairs_are_in_the_metrics_and_the_card(place, tmp_path):
    held_out = write_rows(tmp_path / "held.jsonl", *preference_rows()[:3])
    train(make_request("dpo", place, place / "sft", tmp_path / "out", eval_data=held_out), lambda _: None)
    evaluated = [row for row in metrics_of(tmp_path / "out") if "eval_loss" in row]
    assert [row["step"] for row in evaluated] == [0, 2, 4, 6, 8, 10, 12]
    assert evaluated[0]["eval_rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert evaluated[-1]["eval_rewards/margins"] > 0.5
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "evaluation data | `held.jsonl`, 3 rows (2 instruction, 1 query)" in card
    assert "| eval_rewards/accuracies |" in card


def test_the_card_says_which_sft_model_and_which_pairs(place, trained):
    record = json.loads((trained / "training.json").read_text("utf-8"))
    assert record["model"]["training"]["kind"] == "sft"
    assert record["data"]["levels"] == {"instruction": 3, "query": 3}
    card = (trained / "README.md").read_text("utf-8")
    assert re.search(r"base model \| `sft`, SHA-256 `?[0-9a-f]{64}`? \(itself SFT on `sft.jsonl`", card)
    assert "6 rows (3 instruction, 3 query)" in card
    assert "| rewards/margins |" in card


def test_a_long_pair_counts_by_its_longer_answer(place, tmp_path):
    long = {**preference_rows()[0], "rejected": [turn("assistant", "never" * 9)]}
    data = write_rows(tmp_path / "pairs.jsonl", *preference_rows(), long)
    record = train(make_request("dpo", data, place / "sft", tmp_path / "out", "max_length=40"), lambda _: None)
    assert record["lengths"]["truncated"] == 1
    longer = write_rows(tmp_path / "longer.jsonl", {**long, "rejected": [turn("assistant", "never" * 20)]})
    with pytest.raises(ConfigError, match="1 of 1 rows are longer than the model's context of 64"):
        train(make_request("dpo", longer, place / "sft", tmp_path / "other"))


def test_running_out_of_memory_names_what_is_left_to_lower(place, tmp_path):
    class OutOfMemory(TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            raise torch.OutOfMemoryError("CUDA out of memory.")

    request = make_request(
        "dpo", place, place / "sft", tmp_path / "out", "per_device_train_batch_size=1", lora=True,
        callbacks=[OutOfMemory()],
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"^out of memory: lower max_length \(now 4096\), into another --output$"):
        train(request, lambda _: None)
