"""The small model's file as weights to train on: converted by the real libraries, and compared with the file's own."""

import pytest

from autoif.errors import ModelError, StoreError
from autoif.models.download import ensure_model
from autoif.models.weights import write_weights

pytestmark = pytest.mark.timeout(600)  # the weights are converted once

MODEL = "smollm2-135m"


NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "blk.0.attn_norm.weight": "model.layers.0.input_layernorm.weight",
    "blk.0.attn_v.weight": "model.layers.0.self_attn.v_proj.weight",
    "blk.7.attn_output.weight": "model.layers.7.self_attn.o_proj.weight",
    "blk.16.ffn_gate.weight": "model.layers.16.mlp.gate_proj.weight",
    "blk.23.ffn_up.weight": "model.layers.23.mlp.up_proj.weight",
    "blk.29.ffn_down.weight": "model.layers.29.mlp.down_proj.weight",
}
"""One tensor of each kind, by its name in the file and in the folder; there, queries and keys lie in another order."""


def test_the_folder_holds_the_weights_of_the_file(smollm2):
    import torch
    from gguf import GGUFReader, dequantize
    from safetensors import safe_open

    file = {tensor.name: tensor for tensor in GGUFReader(ensure_model(MODEL)).tensors}
    with safe_open(smollm2 / "model.safetensors", "pt") as there:
        assert len(list(there.keys())) == len(file) - ("output.weight" in file)
        for name, other in NAMES.items():
            tensor = torch.from_numpy(dequantize(file[name].data, file[name].tensor_type).copy())
            assert torch.equal(there.get_tensor(other), tensor.to(torch.bfloat16)), name


def test_the_folder_is_one_that_training_accepts(smollm2):
    from autoif.sampling.policy import check_model, load_tokenizer, read_context

    check_model(str(smollm2))
    assert load_tokenizer(str(smollm2)).chat_template
    assert read_context(str(smollm2)) == 8192
    assert "quantization_config" not in (smollm2 / "config.json").read_text()


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(StoreError, match="there already: remove it, or choose another"):
        write_weights(ensure_model(MODEL), tmp_path)
    assert (tmp_path / "mine").read_text() == "kept"


def test_a_file_that_is_no_model_leaves_no_folder(tmp_path):
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\0" * 1000)
    with pytest.raises(ModelError, match=r"transformers can't read bad\.gguf"):
        write_weights(tmp_path / "bad.gguf", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.gguf"]
