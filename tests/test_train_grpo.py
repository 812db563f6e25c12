"""`autoif train grpo` on a real, tiny model and the real sandbox: what is rewarded, resuming, and what goes wrong."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from autoif.errors import ConfigError, ModelError, SandboxError, StoreError
from autoif.training.train import train
from support.interruptions import At, interrupt
from support.tiny_model import write_tiny_model
from support.trained_folders import metrics_of, same_weights
from support.training_data import judged_by, make_grpo_request, make_request, reward_rows, sft_rows, turn, write_rows

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with prompts and an SFT model, `sft`, that says short words."""
    folder = tmp_path_factory.mktemp("grpo")
    write_rows(folder / "rewards.jsonl", *reward_rows())
    model = write_tiny_model(folder / "model")
    data = write_rows(folder / "sft.jsonl", *sft_rows())
    train(make_request("sft", data, model, folder / "sft"), lambda _: None)
    return folder


@pytest.fixture(scope="module")
def trained(place) -> Path:
    train(make_grpo_request(place, place / "sft", place / "trained"), lambda _: None)
    return place / "trained"


# What is trained


def test_every_step_has_its_rewards_and_lengths_in_the_metrics(trained):
    rows = metrics_of(trained)
    assert [row["step"] for row in rows] == list(range(1, 7))
    for row in rows:
        assert 0 <= row["reward"] <= 1
        assert row["reward"] == row["rewards/verification/mean"]
        assert {"reward_std", "frac_reward_zero_std", "kl", "completions/mean_length"} <= row.keys()
        assert {"completions/clipped_ratio", "gate/empty", "gate/copied", "gate/degenerate"} <= row.keys()
        assert row["verdicts/error"] == row["verdicts/timeout"] == 0
    assert rows[0]["kl"] == pytest.approx(0, abs=1e-6), "the reference is the model that the training begins with"
    assert rows[-1]["kl"] != 0


def test_what_the_functions_accept_is_said_more_often(place, tmp_path):
    function = "def evaluate(response):\n    return 'k' in response"
    data = write_rows(tmp_path / "rows.jsonl", *({**row, **judged_by(function)} for row in reward_rows()))
    request = make_grpo_request(
        data, place / "model", tmp_path / "out", "learning_rate=0.02", "num_train_epochs=6", "num_generations=8",
        "global_batch_size=16", "beta=0", "reward.gate=false",
    )  # fmt: skip
    train(request, lambda _: None)
    rewards = [row["reward"] for row in metrics_of(tmp_path / "out")]
    assert sum(rewards[-6:]) / 6 > sum(rewards[:6]) / 6 + 0.3


def test_completions_that_pass_vacuously_earn_nothing(place, tmp_path):
    rows = [{**row, **judged_by("def evaluate(response):\n    return True")} for row in reward_rows()]
    data = write_rows(tmp_path / "rows.jsonl", *rows)
    seen = {}
    for gate in ("true", "false"):
        out = tmp_path / gate
        settings = ("max_steps=1", f"reward.gate={gate}", "max_completion_length=1")
        train(make_grpo_request(data, place / "model", out, *settings), lambda _: None)
        [seen[gate]] = metrics_of(out)
    faults = sum(seen["true"][f"gate/{fault}"] for fault in ("empty", "copied", "degenerate"))
    assert faults > 0, "one token of a random model is now and then a blank or a mark"
    assert seen["true"]["reward"] == pytest.approx(1 - faults)
    assert seen["false"]["reward"] == 1


def test_the_thought_that_a_template_opens_is_not_rewarded_for_what_it_says(place, tmp_path):
    model = shutil.copytree(place / "sft", tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|START_THINKING|>"]})
    tokenizer.chat_template += "{% if add_generation_prompt %}<|START_THINKING|>{% endif %}"
    tokenizer.save_pretrained(model)
    weights = AutoModelForCausalLM.from_pretrained(model)
    weights.resize_token_embeddings(len(tokenizer))
    weights.save_pretrained(model)
    train(make_grpo_request(place, model, tmp_path / "out"), lambda _: None)
    rows = [row for row in metrics_of(tmp_path / "out") if "reward" in row]
    assert {row["reward"] for row in rows} == {0}  # no thought ends
    assert max(row["gate/unfinished_reasoning"] for row in rows) > 0.5


def test_the_share_of_functions_that_pass_can_be_the_reward(place, tmp_path):
    functions = ["def evaluate(response):\n    return True", "def evaluate(response):\n    return False"]
    data = write_rows(tmp_path / "rows.jsonl", *({**row, **judged_by(*functions)} for row in reward_rows()))
    settings = ("max_steps=1", "reward.gate=false")
    for mode, expected in (("fraction", 0.5), ("binary", 0.0)):
        out = tmp_path / mode
        train(make_grpo_request(data, place / "model", out, *settings, f"reward.mode={mode}"), lambda _: None)
        [row] = metrics_of(out)
        assert (row["reward"], row["frac_reward_zero_std"]) == (expected, 1.0)


def test_lora_trains_an_adapter_against_the_model_without_it(place, tmp_path):
    out = tmp_path / "out"
    train(make_grpo_request(place, place / "sft", out, "lora.r=4", lora=True), lambda _: None)
    assert (out / "adapter" / "adapter_config.json").is_file()
    assert metrics_of(out)[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert not same_weights(out, place / "sft")


def test_completions_are_logged_into_files_and_not_onto_the_terminal(place, tmp_path, capsys):
    request = make_grpo_request(place, place / "sft", tmp_path / "out", "max_steps=1", "log_completions=true")
    train(request, lambda _: None)
    [file] = (tmp_path / "out" / "completions").glob("*.parquet")
    table = pandas.read_parquet(file)
    assert len(table) == 8
    assert {"prompt", "completion", "verification", "advantage"} <= set(table.columns)
    assert "Advantage" not in capsys.readouterr().out


# Resuming


@pytest.mark.parametrize("stopped", [2, 4], ids=["in the first epoch", "in the second epoch"])
def test_a_grpo_that_is_resumed_ends_in_the_same_weights(place, trained, tmp_path, stopped):
    request = make_grpo_request(place, place / "sft", tmp_path / "out", "save_steps=1")
    with pytest.raises(KeyboardInterrupt):
        train(replace(request, callbacks=[At(stopped, interrupt)]), lambda _: None)
    said: list[str] = []
    train(replace(request, resume=True), said.append)
    assert f"going on from checkpoint-{stopped}" in said
    assert same_weights(tmp_path / "out", trained)
    rewards = [[row["reward"] for row in metrics_of(folder)] for folder in (tmp_path / "out", trained)]
    assert rewards[0] == rewards[1]


def test_a_training_goes_on_with_the_same_reward_only(place, trained):
    request = make_grpo_request(place, place / "sft", trained, "reward.mode=fraction", resume=True)
    with pytest.raises(StoreError, match="was trained with other settings: reward"):
        train(request, lambda _: None)


# Records


def test_the_card_says_what_was_rewarded_and_from_which_sft_model(trained):
    record = json.loads((trained / "training.json").read_text("utf-8"))
    assert record["reward"]["mode"] == "binary"
    assert record["model"]["training"]["kind"] == "sft"
    card = (trained / "README.md").read_text("utf-8")
    for part in ("(GRPO)", "mode binary, gate True", "| reward |", "| frac_reward_zero_std |", "6 rows"):
        assert part in card


def test_it_is_evaluated_on_prompts_of_its_own(place, tmp_path):
    held_out = write_rows(tmp_path / "held.jsonl", *reward_rows(("kale", "yam")))
    request = make_grpo_request(place, place / "sft", tmp_path / "out", eval_data=held_out)
    record = train(request, lambda _: None)
    evaluated = [row for row in metrics_of(tmp_path / "out") if "eval_reward" in row]
    assert [row["step"] for row in evaluated] == [0, 3, 6]
    assert record["metrics"]["eval_reward"] == {
        "first": evaluated[0]["eval_reward"],
        "last": evaluated[2]["eval_reward"],
    }


# What goes wrong


def test_prompts_that_leave_no_room_for_a_completion_are_an_error(place, tmp_path):
    request = make_grpo_request(place, place / "sft", tmp_path / "out", "max_completion_length=60")
    with pytest.raises(
        ConfigError, match=r"6 of 6 prompts, the longest of 12 tokens, .*=60 .* 64 tokens: set max_.*=52"
    ):
        train(request, lambda _: None)
    longer = {**reward_rows()[0], "prompt": [turn("user", "tea" * 30)]}
    data = write_rows(tmp_path / "longer.jsonl", longer, *reward_rows())
    with pytest.raises(ConfigError, match=r"1 of 7 prompts, the longest of 92 tokens, .*: take them out"):
        train(make_grpo_request(data, place / "sft", tmp_path / "out"), lambda _: None)


def test_prompts_that_make_no_whole_step_are_said_or_an_error(place, tmp_path):
    data = write_rows(tmp_path / "rows.jsonl", *reward_rows(("tea", "milk", "soup")))
    said: list[str] = []
    train(make_grpo_request(data, place / "sft", tmp_path / "out"), said.append)
    assert said[1].startswith("1 of the 3 prompts are left out of each epoch")
    one = write_rows(tmp_path / "one.jsonl", *reward_rows(("tea",)))
    with pytest.raises(ConfigError, match=r"1 prompts are fewer than the 2 of one step .*: lower global_batch_size"):
        train(make_grpo_request(one, place / "sft", tmp_path / "other"), lambda _: None)


def test_it_is_said_when_most_completions_were_cut_and_not_learnt_from(place, tmp_path):
    said: list[str] = []
    settings = ("max_steps=1", "mask_truncated_completions=true", "max_completion_length=1")
    record = train(make_grpo_request(place, place / "model", tmp_path / "out", *settings), said.append)
    assert record["metrics"]["completions/clipped_ratio"]["last"] > 0.5
    assert "of the completions were cut at max_completion_length=1 and not learnt from: raise it" in said[-1]
    assert same_weights(tmp_path / "out", place / "model")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "is not a model folder: it has no config.json"),
        (lambda folder: (folder / "chat_template.jinja").unlink(), "has no chat template"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no"), "the model of .* can't be loaded"),
    ],
)
def test_a_model_that_cannot_be_trained_is_one_line(tmp_path, change, message):
    data = write_rows(tmp_path / "rewards.jsonl", *reward_rows())
    change(write_tiny_model(tmp_path / "model"))
    with pytest.raises(ModelError, match=message) as error:
        train(make_grpo_request(data, tmp_path / "model", tmp_path / "out"), lambda _: None)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_rows_without_functions_are_an_error_with_their_line(place, tmp_path):
    data = write_rows(tmp_path / "rows.jsonl", *reward_rows(), {"prompt": [turn("user", "Say tea.")]})
    with pytest.raises(ConfigError, match="line 7: constraints: Field required"):
        train(make_grpo_request(data, place / "sft", tmp_path / "out"))


def test_running_out_of_memory_names_what_a_sampled_step_holds(place, tmp_path):
    def run_out():
        raise torch.OutOfMemoryError("CUDA out of memory.")

    request = make_grpo_request(place, place / "sft", tmp_path / "out", callbacks=[At(0, run_out)])
    expected = (
        r"lower per_device_train_batch_size \(now 4; .* lower max_completion_length \(now 6\), global_batch_size "
        r"\(now 8\) or num_generations \(now 4\), or train with --lora"
    )
    with pytest.raises(ModelError, match=expected):
        train(request, lambda _: None)


def test_a_machine_that_cannot_contain_code_says_so_before_a_model_is_loaded(place, tmp_path):
    with pytest.raises((SandboxError, ConfigError), match="nowhere"):
        train(make_grpo_request(place, place / "sft", tmp_path / "out", "reward.backend=nowhere"), lambda _: None)
    assert not (tmp_path / "out").exists()


def test_a_reward_of_several_parts_is_weighed_as_trl_does(place, tmp_path):
    always, never = ("def evaluate(response):\n    return " + value for value in ("True", "False"))
    rows = [{**row, "constraints": [{"functions": [always]}, {"functions": [never]}]} for row in reward_rows()]
    data = write_rows(tmp_path / "rows.jsonl", *rows)
    settings = ("max_steps=1", "reward.weights.constraints=0.5", "reward.weights.gate=0.25")
    train(make_grpo_request(data, place / "model", tmp_path / "out", *settings), lambda _: None)
    [row] = metrics_of(tmp_path / "out")
    assert row["rewards/constraints/mean"] == pytest.approx(0.5 * row["rewards/gate/mean"])
    assert row["reward"] == pytest.approx(0.5 * row["rewards/constraints/mean"] + 0.25 * row["rewards/gate/mean"])
    with pytest.raises(ConfigError, match=r"reward.weights takes the place of reward.mode"):
        make_grpo_request(data, place / "model", tmp_path / "out", *settings, "reward.mode=fraction")
