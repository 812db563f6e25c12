"""The small model's file as weights to train on: converted by the real libraries, and compared with the file's own."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from autoif.cli.main import cli
from autoif.errors import ModelError, StoreError
from autoif.models.download import ensure_model
from autoif.models.weights import write_weights

MODEL = "smollm2-135m"


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "below" / "smollm2"
    done = CliRunner().invoke(cli, ["models", "fetch", MODEL, "--weights", str(folder)])
    assert done.exit_code == 0, done.output
    assert done.stdout.split()[-1] == str(folder)
    return folder


def test_the_folder_holds_the_weights_of_the_file(weights):
    import torch
    from transformers import AutoModelForCausalLM

    gguf = ensure_model(MODEL)
    there = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.bfloat16).state_dict()
    file = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16).state_dict()
    assert there.keys() == file.keys()
    assert all(torch.equal(there[name], file[name]) for name in file)


def test_the_folder_is_one_that_training_accepts(weights):
    from autoif.training.models import check_model, load_tokenizer, read_context

    check_model(str(weights))
    assert load_tokenizer(str(weights)).chat_template
    assert read_context(str(weights)) == 8192
    assert "quantization_config" not in (weights / "config.json").read_text()


def test_a_folder_that_is_there_is_left_alone(weights, tmp_path):
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(StoreError, match="there already: remove it, or choose another"):
        write_weights(ensure_model(MODEL), tmp_path)
    assert (tmp_path / "mine").read_text() == "kept"


def test_a_file_that_is_no_model_leaves_no_folder(tmp_path):
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\0" * 1000)
    with pytest.raises(ModelError, match=r"transformers can't read bad\.gguf"):
        write_weights(tmp_path / "bad.gguf", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.gguf"]
