"""A training that teaches nothing says so: too long a warm-up, equal pairs, groups that all earn the same."""

from pathlib import Path

import pytest

from autoif.errors import ConfigError
from autoif.training.metrics import count_steps
from autoif.training.settings import make_arguments
from autoif.training.train import train
from support.tiny_model import CHAT_TEMPLATE, write_tiny_model
from support.trained_folders import metrics_of, same_weights
from support.training_data import (
    ALL_STEPS_NOUGHT,
    judged_by,
    make_grpo_request,
    make_request,
    preference_rows,
    reward_rows,
    sft_rows,
    turn,
    write_rows,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("schedule") / "model")


def rates_of(folder: Path) -> list[float]:
    return [row["learning_rate"] for row in metrics_of(folder)]


# Warm-up


@pytest.mark.parametrize("warmup", ["20", "12", "0.1", "0.9"])
def test_a_warm_up_longer_than_the_training_is_shortened_and_said(model, tmp_path, warmup):
    said: list[str] = []
    data = write_rows(tmp_path / "rows.jsonl", *sft_rows())
    request = make_request("sft", data, model, tmp_path / "out", "num_train_epochs=1", f"warmup_steps={warmup}")
    train(request, said.append)
    assert rates_of(tmp_path / "out")[0] == 0.01
    assert any("is too long for a training of 2" in line for line in said)


def test_one_step_of_dpo_learns_something(model, tmp_path):
    said: list[str] = []
    data = write_rows(tmp_path / "rows.jsonl", *preference_rows())
    request = make_request(
        "dpo", data, model, tmp_path / "out", "warmup_steps=0.1", "global_batch_size=6", "num_train_epochs=1"
    )
    train(request, said.append)
    assert not same_weights(model, tmp_path / "out")
    assert any(line.startswith("1 optimiser step in all, at learning_rate=0.01") for line in said)


@pytest.mark.parametrize(("warmup", "rate"), [("3", 0.0), ("0.25", 0.0), ("0", 0.01)])
def test_a_warm_up_within_the_training_stays(model, tmp_path, warmup, rate):
    said: list[str] = []
    data = write_rows(tmp_path / "rows.jsonl", *sft_rows())
    train(make_request("sft", data, model, tmp_path / "out", f"warmup_steps={warmup}"), said.append)
    assert rates_of(tmp_path / "out")[0] == rate
    assert not [line for line in said if "too long" in line or "in all" in line]


@pytest.mark.parametrize(
    ("kind", "settings", "steps"),
    [
        ("sft", ("num_train_epochs=6",), 12),
        ("sft", ("num_train_epochs=1", "global_batch_size=12"), 1),
        ("sft", ("max_steps=7",), 7),
        ("dpo", ("num_train_epochs=0.5",), 1),
        ("grpo", (), 6),
    ],
)
def test_the_steps_are_counted_as_they_are_made(model, tmp_path, kind, settings, steps):
    rows = {"sft": sft_rows, "dpo": preference_rows, "grpo": reward_rows}[kind]()
    data = write_rows(tmp_path / "rows.jsonl", *rows)
    make = make_grpo_request if kind == "grpo" else lambda *given: make_request(kind, *given)
    request = make(data, model, tmp_path / "out", *settings)
    assert count_steps(kind, len(rows), make_arguments(kind, request.settings, tmp_path / "out")) == steps
    assert train(request, lambda _: None)["steps"] == steps


def test_a_training_whose_every_step_is_nought_says_so(model, tmp_path):
    said: list[str] = []
    data = write_rows(tmp_path / "rows.jsonl", *sft_rows())
    train(make_request("sft", data, model, tmp_path / "out", *ALL_STEPS_NOUGHT), said.append)
    assert said[-1].startswith("no step changed the weights")


# Pairs


def test_pairs_that_the_template_makes_the_same_are_dropped_and_counted(tmp_path):
    template = CHAT_TEMPLATE.replace("{{ message['content'] }}", "{{ message['content'] | trim }}")
    trims, said = write_tiny_model(tmp_path / "model", chat_template=template), []
    same = [
        {"prompt": [turn("user", "Say tea.")], "chosen": [turn("assistant", "tea")],
         "rejected": [turn("assistant", "tea  ")]},
    ]  # fmt: skip
    data = write_rows(tmp_path / "rows.jsonl", *preference_rows(), *same)
    record = train(make_request("dpo", data, trims, tmp_path / "out", "max_steps=1"), said.append)
    assert record["lengths"]["identical"] == 1
    assert record["lengths"]["rows"] == 6
    assert "1 dropped, as chosen and rejected are the same" in said[0]
    assert "1 as identical in chosen and rejected" in (tmp_path / "out" / "README.md").read_text("utf-8")
    alone = write_rows(tmp_path / "alone.jsonl", *same)
    with pytest.raises(ConfigError, match="all 1 pairs are the same in chosen and rejected"):
        train(make_request("dpo", alone, trims, tmp_path / "other"), said.append)


def test_pairs_that_truncation_makes_the_same_are_dropped_and_counted(model, tmp_path):
    long = {"prompt": [turn("user", "Say tea.")]}
    long |= {"chosen": [turn("assistant", "tea" * 6)], "rejected": [turn("assistant", "tea" * 6 + "no")]}
    data = write_rows(tmp_path / "rows.jsonl", *preference_rows(), long)
    record = train(make_request("dpo", data, model, tmp_path / "out", "max_length=20", "max_steps=1"), lambda _: None)
    assert (record["lengths"]["identical"], record["lengths"]["rows"]) == (1, 6)


def test_the_lengths_of_chosen_and_rejected_are_said_and_recorded(model, tmp_path):
    said: list[str] = []
    data = write_rows(tmp_path / "rows.jsonl", *preference_rows())
    record = train(make_request("dpo", data, model, tmp_path / "out", "max_steps=1"), said.append)
    chosen = sum(len(row["chosen"][0]["content"]) + 1 for row in preference_rows()) / 6  # and the end
    assert record["lengths"]["chosen_mean"] == pytest.approx(chosen, abs=0.05)
    assert record["lengths"]["rejected_mean"] == 6.0
    assert f"chosen {chosen:.1f} tokens on average, rejected 6.0" in said[0]


# Groups


def test_it_is_said_when_most_groups_earn_the_same(model, tmp_path):
    said: list[str] = []
    rows = [{**row, **judged_by("def evaluate(response):\n    return False")} for row in reward_rows()]
    data = write_rows(tmp_path / "rows.jsonl", *rows)
    train(make_grpo_request(data, model, tmp_path / "out", "max_steps=2"), said.append)
    [line] = [line for line in said if "all completions earned the same" in line]
    assert line.startswith("in 100% of the groups")
    assert "too hard for this model (mean reward 0.00)" in line


def test_functions_that_come_to_nothing_are_blamed_and_not_the_prompts(model, tmp_path):
    rows = [{**row, **judged_by("def evaluate(response):\n    return 1 / 0")} for row in reward_rows()]
    data, said = write_rows(tmp_path / "rows.jsonl", *rows), []
    train(make_grpo_request(data, model, tmp_path / "out", "max_steps=2"), said.append)
    assert [line for line in said if line.startswith("100% of the verdicts came to nothing, as the functions raised")]
    assert not [line for line in said if "the prompts are too hard" in line]


def test_groups_that_earn_the_same_can_be_left_out_of_the_loss(model, tmp_path):
    always = judged_by("def evaluate(response):\n    return True")
    rows = [{**row, **(always if index % 2 else {})} for index, row in enumerate(reward_rows())]
    data = write_rows(tmp_path / "rows.jsonl", *rows)
    for filters in ("true", "false"):
        settings = ("max_steps=3", "reward.gate=false", "num_generations=8")
        out = tmp_path / filters
        train(make_grpo_request(data, model, out, *settings, f"reward.filter_zero_std={filters}"), lambda _: None)
    assert not same_weights(tmp_path / "false", tmp_path / "true"), "a group that is left out is in no mean"
    data = write_rows(tmp_path / "same.jsonl", *({**row, **always} for row in reward_rows()))
    settings = ("max_steps=2", "reward.gate=false", "reward.filter_zero_std=true")
    train(make_grpo_request(data, model, tmp_path / "same", *settings), lambda _: None)
    assert same_weights(model, tmp_path / "same")


def test_groups_that_differ_are_learnt_from_with_the_filter_on(model, tmp_path):
    data = write_rows(tmp_path / "rows.jsonl", *reward_rows())
    train(make_grpo_request(data, model, tmp_path / "out", "reward.filter_zero_std=true"), lambda _: None)
    assert not same_weights(model, tmp_path / "out")
