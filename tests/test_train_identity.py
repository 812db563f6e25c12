"""Which model a training begins with, by content: what is the same, what is refused, and what is not read twice."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from autoif.errors import ModelError, StoreError
from autoif.training.identity import identify_model
from autoif.training.train import train
from support.tiny_model import write_tiny_model
from support.training_data import make_request, sft_rows, write_rows

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def place(tmp_path) -> Path:
    write_rows(tmp_path / "sft.jsonl", *sft_rows())
    write_tiny_model(tmp_path / "model")
    return tmp_path


class Stop(TrainerCallback):
    def on_step_begin(self, args, state, control, **_):
        if state.global_step == 3:
            raise KeyboardInterrupt


def begin(place: Path):
    """Train for three steps, and return the request that goes on."""
    request = make_request("sft", place, place / "model", place / "out", "save_steps=2", callbacks=[Stop()])
    with pytest.raises(KeyboardInterrupt):
        train(request, lambda _: None)
    return replace(request, callbacks=(), resume=True)


def write_other_weights(folder: Path) -> None:
    """Replace the weights by others of the same size."""
    weights = load_file(folder / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in weights.items()}, folder / "model.safetensors", {"format": "pt"})


def test_a_model_that_was_replaced_on_the_way_is_refused_with_what_differs(place):
    request = begin(place)
    before = (place / "out" / "metrics.jsonl").read_bytes()
    write_other_weights(place / "model")
    (place / "model" / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    with pytest.raises(StoreError, match=r"began with another model .*chat_template.jinja, model.safetensors differ\)"):
        train(request, lambda _: None)
    assert (place / "out" / "metrics.jsonl").read_bytes() == before


def test_a_model_that_was_moved_is_the_same_model(place):
    request = begin(place)
    shutil.move(place / "model", place / "elsewhere")
    (place / "elsewhere" / "notes.md").write_text("what lies beside a model", encoding="utf-8")
    said: list[str] = []
    assert train(replace(request, model=str(place / "elsewhere")), said.append)["steps"] == 12
    assert "going on from checkpoint-2" in said


def test_the_card_and_the_record_have_the_models_hash(place):
    record = train(make_request("sft", place, place / "model", place / "out", "max_steps=1"), lambda _: None)
    model = identify_model(str(place / "model"), None, None)
    assert record["model"]["content"] == model.content
    assert f"base model | `model`, {model.content} |" in (place / "out" / "README.md").read_text("utf-8")
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= record["model"]["files"].keys()
    write_other_weights(place / "model")
    assert identify_model(str(place / "model"), None, None).content != model.content


def test_a_file_is_read_again_only_if_its_size_or_time_changed(place, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # no hub is waited for
    folder = str(place / "model")
    known = json.loads(json.dumps(identify_model(folder, None, None).record()))
    known["files"]["model.safetensors"]["sha256"] = "as it was read before"
    assert identify_model(folder, None, known).files["model.safetensors"].sha256 == "as it was read before"
    os.utime(place / "model" / "model.safetensors", ns=(1, 1))
    assert len(identify_model(folder, None, known).files["model.safetensors"].sha256) == 64
    with pytest.raises(ModelError, match="the config of nobody/nothing can't be loaded"):
        identify_model("nobody/nothing", None, None)


HUB = """
from autoif.training.identity import identify_model
for revision in (None, "older"):
    print(identify_model("somebody/model", revision, None).content)
"""


def test_a_name_on_the_hub_is_the_commit_that_it_stands_for(place):
    cache = place / "hub" / "models--somebody--model"
    for name, commit in (("main", "a" * 40), ("older", "b" * 40)):
        shutil.copytree(place / "model", cache / "snapshots" / commit)
        (cache / "refs").mkdir(exist_ok=True)
        (cache / "refs" / name).write_text(commit, encoding="utf-8")
    environment = {**os.environ, "HF_HUB_CACHE": str(place / "hub"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", HUB], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == [f"commit {letter * 40}" for letter in "ab"]
