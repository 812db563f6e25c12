"""`autoif train sft` on a real, tiny model: learning, what is masked, resuming, records, and what goes wrong."""

import json
import re
import resource
import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, TrainerCallback

from autoif.errors import ConfigError, ModelError, StoreError
from autoif.training.train import train
from support.interruptions import At, interrupt
from support.tiny_model import CHAT_TEMPLATE, write_tiny_model
from support.trained_folders import metrics_of, same_weights, weights_of
from support.training_data import (
    ALL_STEPS_NOUGHT,
    make_request,
    preference_rows,
    reward_rows,
    sft_rows,
    turn,
    write_rows,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a model, `model`, and rows, `sft.jsonl`, of a run."""
    folder = tmp_path_factory.mktemp("sft")
    write_tiny_model(folder / "model")
    write_rows(folder / "sft.jsonl", *sft_rows())
    manifest = {"autoif": "0.1.0", "status": "complete", "identity": {"models.writer": "embedded"}}
    (folder / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(place) -> Path:
    train(make_request("sft", place, place / "model", place / "trained"), say=lambda line: None)
    return place / "trained"


# What is trained


def test_the_loss_falls_and_every_step_is_in_the_metrics(trained):
    rows = metrics_of(trained)
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert rows[-1]["loss"] < 0.75 * rows[0]["loss"]
    assert rows[0]["learning_rate"] == 0.01
    assert all({"epoch", "grad_norm", "mean_token_accuracy"} <= row.keys() for row in rows)


def test_the_trained_folder_loads_and_prefers_what_it_was_taught(place, trained):
    tokenizer = AutoTokenizer.from_pretrained(trained)
    messages = sft_rows()[0]["messages"]
    ids = tokenizer.apply_chat_template(messages, return_tensors="pt", return_dict=True)["input_ids"]

    def loss(folder):
        with torch.no_grad():
            return AutoModelForCausalLM.from_pretrained(folder)(ids, labels=ids).loss.item()

    assert loss(trained) < loss(place / "model")
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(place / "model").chat_template


def test_only_the_assistant_turn_has_labels(place, tmp_path):
    seen = []

    class Look(TrainerCallback):
        def on_train_begin(self, args, state, control, train_dataloader=None, processing_class=None, **_):
            seen.extend((row["input_ids"], row["labels"], processing_class) for row in train_dataloader.dataset)

    rows = [{"messages": [turn("system", "Be short."), turn("user", "Say tea."), turn("assistant", "milk tea")]}]
    data = write_rows(tmp_path / "rows.jsonl", *rows)
    train(
        make_request("sft", data, place / "model", tmp_path / "out", "max_steps=1", callbacks=[Look()]), lambda _: None
    )
    [(ids, labels, tokenizer)] = seen
    assert tokenizer.decode(ids) == "<system>Be short.<user>Say tea.<assistant>milk tea<eos>"
    assert tokenizer.decode([label for label in labels if label != -100]) == "milk tea<eos>"
    assert tokenizer.decode([i for i, label in zip(ids, labels, strict=True) if label == -100]) == (
        "<system>Be short.<user>Say tea.<assistant>"
    )


def test_what_is_too_long_is_truncated_or_dropped_and_said(place, tmp_path):
    rows = sft_rows()[:2]
    rows += [{"messages": [turn("user", "Say tea."), turn("assistant", "tea" * 10)]}]
    rows += [{"messages": [turn("user", "Say tea." * 4), turn("assistant", "tea")]}]
    data, said = write_rows(tmp_path / "rows.jsonl", *rows), []
    record = train(make_request("sft", data, place / "model", tmp_path / "out", "max_length=30"), said.append)
    assert record["lengths"] == {"rows": 3, "truncated": 1, "dropped": 1, "longest": 30}
    assert "1 truncated, 1 dropped" in said[0]
    assert "1 rows truncated, 1 dropped" in (tmp_path / "out" / "README.md").read_text("utf-8")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_model_is_saved_in_the_precision_that_it_came_in(place, tmp_path, dtype):
    model = shutil.copytree(place / "model", tmp_path / "model")
    AutoModelForCausalLM.from_pretrained(model, dtype=dtype).save_pretrained(model)
    train(make_request("sft", place, model, tmp_path / "out", "max_steps=1"), lambda _: None)
    assert {weight.dtype for weight in weights_of(tmp_path / "out").values()} == {dtype}
    assert AutoConfig.from_pretrained(tmp_path / "out").dtype == dtype


def test_changes_that_sixteen_bits_cannot_hold_are_said_and_kept_in_thirty_two(place, tmp_path):
    model = shutil.copytree(place / "model", tmp_path / "model")
    AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).save_pretrained(model)
    small, said = ("max_steps=1", "learning_rate=1e-6"), []
    train(make_request("sft", place, model, tmp_path / "out", *small), said.append)
    assert re.match(r"\d+% of the weights are saved as they were before the training", said[-1])
    said.clear()
    train(make_request("sft", place, model, tmp_path / "kept", *small, "save_dtype=float32"), said.append)
    assert not any("saved as they were" in line for line in said)
    assert {weight.dtype for weight in weights_of(tmp_path / "kept").values()} == {torch.float32}
    before, after = weights_of(model), weights_of(tmp_path / "kept")
    assert not any(torch.equal(before[name].float(), weight) for name, weight in after.items())
    said.clear()
    train(make_request("sft", place, model, tmp_path / "nothing", "max_steps=1", *ALL_STEPS_NOUGHT), said.append)
    assert said[-1].startswith("no step changed the weights")


def test_a_merged_adapter_is_saved_in_the_precision_that_is_set(place, tmp_path):
    model = shutil.copytree(place / "model", tmp_path / "model")
    AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).save_pretrained(model)
    for setting, expected in (("auto", torch.bfloat16), ("float32", torch.float32)):
        request = make_request(
            "sft", place, model, tmp_path / setting, "max_steps=1", f"save_dtype={setting}", lora=True
        )
        train(request, lambda _: None)
        assert {weight.dtype for weight in weights_of(tmp_path / setting).values()} == {expected}


def test_lora_trains_an_adapter_and_leaves_a_whole_model(place, tmp_path):
    out = tmp_path / "out"
    train(make_request("sft", place, place / "model", out, "lora.r=4", lora=True), lambda _: None)
    assert metrics_of(out)[-1]["loss"] < metrics_of(out)[0]["loss"]
    assert json.loads((out / "adapter" / "adapter_config.json").read_text("utf-8"))["r"] == 4
    before, after = weights_of(place / "model"), weights_of(out)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("proj" in name for name in changed)
    assert "LoRA, merged" in (out / "README.md").read_text("utf-8")
    for _ in range(2):
        with pytest.raises(ModelError, match="holds an adapter and no model"):
            train(make_request("sft", place, out / "adapter", tmp_path / "other"))
        shutil.copy(out / "config.json", out / "adapter")  # as other programs leave it there


def test_it_is_evaluated_before_the_training_and_after_each_epoch(place, trained, tmp_path):
    held_out = write_rows(tmp_path / "held.jsonl", *sft_rows()[:4])
    request = make_request("sft", place, place / "model", tmp_path / "out", "save_steps=3", eval_data=held_out)
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        train(replace(request, callbacks=[At(7, interrupt)]), said.append)
    record = train(replace(request, resume=True), said.append)
    evaluated = [row for row in metrics_of(tmp_path / "out") if "eval_loss" in row]
    assert [row["step"] for row in evaluated] == [0, 2, 4, 6, 8, 10, 12], "resumed, it has each of them once"
    assert evaluated[-1]["eval_loss"] < evaluated[0]["eval_loss"]
    assert record["metrics"]["eval_loss"] == {"first": evaluated[0]["eval_loss"], "last": evaluated[-1]["eval_loss"]}
    assert same_weights(tmp_path / "out", trained), "evaluating changes nothing"
    assert any(line.startswith("to evaluate on: 4 rows") for line in said)
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "evaluation data | `held.jsonl`, 4 rows" in card
    assert "| eval_loss |" in card
    other = write_rows(tmp_path / "other.jsonl", *sft_rows()[:3])
    with pytest.raises(StoreError, match="was trained with other settings: eval_data"):
        train(replace(request, resume=True, eval_data=other), said.append)


def test_tensorboard_writes_its_events_into_the_trained_folder(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    request = make_request("sft", place, place / "model", tmp_path / "out", "report_to=tensorboard", "max_steps=2")
    train(request, lambda _: None)
    files = sorted(tmp_path.rglob("events.out.tfevents.*"))
    assert files
    assert all(file.is_relative_to(tmp_path / "out" / "runs") for file in files)
    accumulator = import_module("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(files[0].parent))
    events.Reload()
    assert [scalar.step for scalar in events.Scalars("train/loss")] == [1, 2]


# Resuming


def test_a_training_that_is_resumed_ends_in_the_same_weights_and_metrics(place, trained, tmp_path):
    out, said = tmp_path / "out", []
    request = make_request("sft", place, place / "model", out, "save_steps=3")
    with pytest.raises(KeyboardInterrupt):
        train(replace(request, callbacks=[At(7, interrupt)]), said.append)
    assert json.loads((out / "training.json").read_text("utf-8"))["status"] == "interrupted"
    assert [row["step"] for row in metrics_of(out)] == [1, 2, 3, 4, 5, 6, 7]
    torn = out / "checkpoint-7"
    torn.mkdir()
    (torn / "trainer_state.json").write_text('{"global_step":', encoding="utf-8")
    with (out / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 8, "lo')

    train(replace(request, resume=True), said.append)
    assert "checkpoint-7 was not whole and is removed" in said
    assert "going on from checkpoint-6" in said
    assert same_weights(out, trained)
    unlike = {"num_tokens"}
    kept = [[{k: v for k, v in row.items() if k not in unlike} for row in metrics_of(each)] for each in (out, trained)]
    assert kept[0] == kept[1]
    assert train(replace(request, resume=True), said.append)["status"] == "complete"
    assert said[-1] == f"{out} is complete already"


@pytest.mark.parametrize("checkpoints", [True, False], ids=["with checkpoints", "without checkpoints"])
def test_a_complete_training_whose_weights_are_gone_makes_the_same_ones_again(place, trained, tmp_path, checkpoints):
    out, said = tmp_path / "out", list[str]()
    shutil.copytree(trained, out)
    (out / "model.safetensors").unlink()
    if not checkpoints:
        for path in out.glob("checkpoint-*"):
            shutil.rmtree(path)
    request = make_request("sft", place, place / "model", out, resume=True)
    assert train(request, said.append)["status"] == "complete"
    assert f"{out} was complete, but now lacks model.safetensors, which the training makes anew" in said
    assert ("going on from checkpoint-12" in said) == checkpoints
    assert same_weights(out, trained)
    assert [row["step"] for row in metrics_of(out)] == list(range(1, 13))
    train(request, said.append)
    assert said[-1] == f"{out} is complete already"


def test_resume_begins_where_there_is_nothing_to_go_on_from(place, trained, tmp_path):
    out = tmp_path / "out"
    request = make_request("sft", place, place / "model", out, resume=True)
    with pytest.raises(KeyboardInterrupt):
        train(replace(request, callbacks=[At(2, interrupt)]), lambda _: None)
    train(request, lambda _: None)
    assert same_weights(out, trained)
    assert [row["step"] for row in metrics_of(out)] == list(range(1, 13))


def test_a_folder_of_something_else_is_left_alone(place, trained, tmp_path):
    with pytest.raises(StoreError, match=r"holds a training .complete.: use --resume"):
        train(make_request("sft", place, place / "model", trained))
    with pytest.raises(StoreError, match=r"other settings: learning_rate .0.01 there, 0.5 now.;"):
        train(make_request("sft", place, place / "model", trained, "learning_rate=0.5", resume=True))
    with pytest.raises(StoreError, match="is there and holds no training"):
        train(make_request("sft", place, place / "model", place / "model"))
    with pytest.raises(StoreError, match=r"can't be written or read: .*Not a directory"):
        train(make_request("sft", place, place / "model", place / "sft.jsonl" / "out"), lambda _: None)
    (tmp_path / "training.json").write_text("{", encoding="utf-8")
    with pytest.raises(StoreError, match="can't be read"):
        train(make_request("sft", place, place / "model", tmp_path))
    (tmp_path / "training.json").write_text("{}", encoding="utf-8")
    with pytest.raises(StoreError, match="is not of autoif"):
        train(make_request("sft", place, place / "model", tmp_path))


# Records


def test_the_card_and_the_record_say_what_was_trained_from_what(place, trained):
    record = json.loads((trained / "training.json").read_text("utf-8"))
    card = (trained / "README.md").read_text("utf-8")
    assert (record["kind"], record["status"], record["steps"]) == ("sft", "complete", 12)
    assert (record["model"]["name"], record["model"]["training"]) == (str(place / "model"), None)
    assert record["data"]["run"] == {
        "folder": place.name, "autoif": "0.1.0", "status": "complete", "models.writer": "embedded"
    }  # fmt: skip
    assert record["settings"]["weight_decay"] == 0.1
    assert {"torch", "transformers", "trl", "peft", "accelerate"} <= record["versions"].keys()
    for part in (
        "base model | `model`", record["data"]["sha256"], "models.writer embedded", "| seed | 0 |", "| steps | 12,",
        f"trl {record['versions']['trl']}", '"learning_rate": 0.01', "| loss |",
    ):  # fmt: skip
        assert part in card
    assert str(place) not in card, "the path of a machine"


# What goes wrong


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("sft.jsonl", "is a file"),
        ("empty", "has no config.json"),
        ("missing", "there is no model folder"),
        ("broken", "the tokenizer of .*broken can't be loaded"),
        ("odd", "the config of .*odd can't be loaded: .*bf16"),
        ("wordless", "has no chat template: take an instruct model, or put a chat_template.jinja"),
        ("weightless", "the model of .*weightless can't be loaded"),
    ],
)
def test_a_model_that_cannot_be_trained_is_one_line(place, tmp_path, model, message):
    (tmp_path / "sft.jsonl").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    config = write_tiny_model(tmp_path / "odd") / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text("utf-8")), "dtype": "bf16"}), encoding="utf-8")
    write_tiny_model(tmp_path / "wordless", chat_template=None)
    write_tiny_model(tmp_path / "weightless")
    (tmp_path / "weightless" / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match=message) as error:
        train(make_request("sft", place, tmp_path / model, tmp_path / "out"), lambda _: None)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_name_that_no_hub_gives_is_one_line(place, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"the config of nobody/nothing can't be loaded") as error:
        train(make_request("sft", place, "nobody/nothing", tmp_path / "out"), lambda _: None)
    assert "\n" not in str(error.value)


def test_rows_beyond_the_models_context_are_an_error(place, tmp_path):
    rows = [*sft_rows(), {"messages": [turn("user", "Say tea."), turn("assistant", "tea" * 30)]}]
    data = write_rows(tmp_path / "rows.jsonl", *rows)
    with pytest.raises(ConfigError, match=r"1 of 7 rows are longer than the model's context of 64 .* max_length=64"):
        train(make_request("sft", data, place / "model", tmp_path / "out"))
    assert train(make_request("sft", data, place / "model", tmp_path / "out", "max_length=64"), lambda _: None)
    with pytest.raises(ConfigError, match="every prompt fills max_length=5"):
        train(make_request("sft", data, place / "model", tmp_path / "other", "max_length=5"))


def test_a_chat_template_that_refuses_a_row_is_an_error(tmp_path):
    template = "{{ raise_exception('no system turn') if messages[0]['role'] == 'system' }}{{ messages[0]['content'] }}"
    model = write_tiny_model(tmp_path / "model", chat_template=template)
    row = {"messages": [turn("system", "Be short."), turn("user", "Say tea."), turn("assistant", "tea")]}
    data = write_rows(tmp_path / "rows.jsonl", row)
    with pytest.raises(ConfigError, match="chat template refuses row 1: no system turn"):
        train(make_request("sft", data, model, tmp_path / "out"))


def run_out_of_gpu_memory():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def run_out_of_memory():
    torch.empty(10**17)


@pytest.mark.parametrize("act", [run_out_of_gpu_memory, run_out_of_memory])
def test_out_of_memory_says_which_settings_to_lower(place, tmp_path, act):
    request = make_request("sft", place, place / "model", tmp_path / "out", callbacks=[At(2, act)])
    with pytest.raises(ModelError) as error:
        train(request, lambda _: None)
    assert re.search(
        r"lower per_device_train_batch_size \(now 3; .* --resume; .* max_length \(now 8192\)", str(error.value)
    )
    assert "--lora" in str(error.value)
    smaller = make_request(
        "sft", place, place / "model", tmp_path / "out", "per_device_train_batch_size=1", resume=True
    )
    assert train(smaller, lambda _: None)["steps"] == 12


@pytest.mark.parametrize("beyond", ["the weights", "the optimiser"])
def test_a_disk_that_fills_at_a_checkpoint_leaves_the_earlier_ones(place, trained, tmp_path, beyond):
    size = (place / "model" / "model.safetensors").stat().st_size
    limit = size // 2 if beyond == "the weights" else size + 4096
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    out = tmp_path / "out"

    def fill():  # the kernel then refuses to write more into a file, as a full disk would
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, unlimited[1]))

    request = make_request("sft", place, place / "model", out, "save_steps=4")
    try:
        with pytest.raises(
            StoreError, match=r"no space to write in .*; checkpoint-4 is whole: make room, then --resume"
        ):
            train(replace(request, callbacks=[At(4, fill, saved=True)]), lambda _: None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert (out / "checkpoint-8").is_dir(), "the disk was not full in time"
    train(replace(request, resume=True), lambda _: None)
    assert same_weights(out, trained)


def test_settings_that_only_the_trainer_can_refuse_are_one_line(place, tmp_path):
    with pytest.raises(ConfigError, match="TRL refuses the settings: Invalid `loss_type` odd") as error:
        train(make_request("sft", place, place / "model", tmp_path / "out", "loss_type=odd"), lambda _: None)
    assert "\n" not in str(error.value)
    for setting, message in (("lora.r=-1", "-1 is not above 0"), ("lora.layers_to_transform=[0]", "peft refuses")):
        with pytest.raises(ConfigError, match=message):
            train(make_request("sft", place, place / "model", tmp_path / "out", setting, lora=True), lambda _: None)
    assert not (tmp_path / "out").exists()


def test_other_errors_stay_what_they_are(place, tmp_path):
    def fail():
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        train(make_request("sft", place, place / "model", tmp_path / "out", callbacks=[At(1, fail)]), lambda _: None)


@pytest.mark.parametrize("kind", ["sft", "dpo", "grpo"])
def test_the_chat_template_is_given_what_the_settings_say_in_every_training(tmp_path, kind):
    """A template that refuses to be used without it says so, and one that is given it trains."""
    template = CHAT_TEMPLATE + "{% if think is not defined %}{{ raise_exception('think?') }}{% endif %}"
    model = write_tiny_model(tmp_path / "model", chat_template=template)
    rows = {"sft": sft_rows, "dpo": preference_rows, "grpo": reward_rows}[kind]()
    data = write_rows(tmp_path / "rows.jsonl", *rows)
    quick = ["max_steps=1", *(["num_generations=2", "global_batch_size=4", "per_device_train_batch_size=4",
                               "max_completion_length=4", "reward.workers=1"] if kind == "grpo" else [])]  # fmt: skip
    with pytest.raises(ConfigError, match=r"refuses row 1: think\?"):
        train(make_request(kind, data, model, tmp_path / "without", *quick), lambda _: None)
    request = make_request(kind, data, model, tmp_path / "with", *quick, "chat_template_kwargs.think=false")
    record = train(request, lambda _: None)
    assert record["settings"]["chat_template_kwargs"] == {"think": False}
