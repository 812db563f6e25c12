"""Models of other kinds than the plain one: mixtures of experts, and language models in files that also see images."""

import json
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    GraniteMoeConfig,
    Qwen3_5Config,
    Qwen3MoeConfig,
)

from autoif.errors import ConfigError
from autoif.sampling import SamplingPrompt, SamplingSettings, open_sampler
from autoif.sampling.settings import Draw
from autoif.training.train import train
from support.tiny_model import make_tokenizer, write_tiny_model
from support.trained_folders import weights_of
from support.training_data import (
    make_grpo_request,
    make_request,
    preference_rows,
    reward_rows,
    sft_rows,
    turn,
    write_rows,
)

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 16,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "eos_token_id": 1, "pad_token_id": 0,
}  # fmt: skip


def write_mixture(folder: Path, kind=Qwen3MoeConfig, **config) -> Path:
    tokenizer = make_tokenizer()
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "decoder_sparse_step": 1}
    torch.manual_seed(0)
    made = kind(vocab_size=len(tokenizer), **SMALL, **(config or experts))
    AutoModelForCausalLM.from_config(made).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def answer_together(folder: Path) -> list[str]:
    prompts = [SamplingPrompt(id=text, messages=(turn("user", text),)) for text in ("tea", "tea and some milk")]
    settings = SamplingSettings(max_tokens=4, dtype="float32", temperature=0.0)
    with open_sampler(str(folder), settings, "transformers", lambda _: None) as sampler:
        return [answer.text for answer in sampler.sample([Draw(prompt, 0) for prompt in prompts])]


@pytest.mark.parametrize("kind", ["sft", "dpo", "grpo"])
def test_a_trained_mixture_of_experts_answers_in_batches(tmp_path, kind):
    model = write_mixture(tmp_path / "model")
    rows = {"dpo": preference_rows, "grpo": reward_rows}.get(kind, sft_rows)()
    data = write_rows(tmp_path / "rows.jsonl", *rows)
    if kind == "grpo":
        request = make_grpo_request(data, model, tmp_path / "out", "max_steps=1")
    else:
        request = make_request(kind, data, model, tmp_path / "out", "max_steps=1")
    train(request, lambda _: None)
    assert not json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))["output_router_logits"]
    assert len(answer_together(tmp_path / "out")) == 2


def test_a_mixture_of_experts_that_another_trainer_left_saying_its_routes_answers_in_batches(tmp_path):
    model = write_mixture(tmp_path / "model")
    said = answer_together(model)
    config = json.loads((model / "config.json").read_text("utf-8"))
    (model / "config.json").write_text(json.dumps(config | {"output_router_logits": True}), encoding="utf-8")
    assert answer_together(model) == said


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_a_loss_of_experts_that_trl_cannot_compute_is_told_with_how_to_leave_it_out(tmp_path, kind):
    model = write_mixture(tmp_path / "model", GraniteMoeConfig, num_local_experts=4, num_experts_per_tok=2)
    data = write_rows(tmp_path / "rows.jsonl", *(sft_rows() if kind == "sft" else preference_rows()))
    with pytest.raises(ConfigError, match=r"num_experts.*; router_aux_loss_coef=0 leaves out the loss that balances"):
        train(make_request(kind, data, model, tmp_path / "out", "max_steps=1"), lambda _: None)
    request = make_request(kind, data, model, tmp_path / "out", "max_steps=1", "router_aux_loss_coef=0")
    assert train(request, lambda _: None)["status"] == "complete"


def test_experts_that_an_adapter_leaves_out_are_told_with_how_to_include_them(tmp_path):
    model = write_mixture(tmp_path / "model", GraniteMoeConfig, num_local_experts=4, num_experts_per_tok=2)
    data = write_rows(tmp_path / "rows.jsonl", *sft_rows())
    settings = ("max_steps=1", "router_aux_loss_coef=0")
    said: dict[str, list[str]] = {}
    for name, more in {"without": [], "with": ['lora.target_parameters=["experts.down_proj"]']}.items():
        request = make_request("sft", data, model, tmp_path / name, *settings, *more, lora=True)
        train(request, said.setdefault(name, []).append)
    (told,) = (line for line in said["without"] if "the adapter leaves out the experts" in line)
    assert 'lora.target_parameters=["experts.down_proj", "experts.gate_up_proj"] includes them' in told
    assert not [line for line in said["with"] if "experts" in line]


@pytest.mark.parametrize("lora", [False, True])
def test_a_part_of_a_model_that_is_not_trained_and_saved_is_told(tmp_path, lora):
    tokenizer = make_tokenizer()
    text = SMALL | {"vocab_size": len(tokenizer), "layer_types": ["full_attention"]}
    vision = {"hidden_size": 32, "intermediate_size": 32, "depth": 1, "num_heads": 2, "out_hidden_size": 32}
    whole = AutoModelForImageTextToText.from_config(Qwen3_5Config(text_config=text, vision_config=vision))
    whole.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    data, said = write_rows(tmp_path / "rows.jsonl", *sft_rows()), []
    train(make_request("sft", data, tmp_path / "model", tmp_path / "out", "max_steps=1", lora=lora), said.append)
    assert [line for line in said if "only the language model (Qwen3_5ForCausalLM) is trained and saved" in line]


def test_of_a_model_that_is_trained_whole_nothing_is_told(tmp_path):
    model, said = write_tiny_model(tmp_path / "model"), []
    data = write_rows(tmp_path / "rows.jsonl", *sft_rows())
    train(make_request("sft", data, model, tmp_path / "out", "max_steps=1"), said.append)
    assert not [line for line in said if "language model" in line]


@pytest.mark.parametrize("start", ["true", "pissa", "olora", "orthogonal"])
def test_a_merged_adapter_that_learnt_nothing_is_the_model_that_it_began_with(tmp_path, start):
    model = write_tiny_model(tmp_path / "model")
    data = write_rows(tmp_path / "rows.jsonl", *sft_rows())
    settings = ("max_steps=1", "learning_rate=1e-12", "lora.r=4", f"lora.init_lora_weights={start}")
    train(make_request("sft", data, model, tmp_path / "out", *settings, lora=True), lambda _: None)
    there, here = weights_of(model), weights_of(tmp_path / "out")
    assert all(torch.allclose(there[name], here[name], atol=1e-5) for name in there | here)


@pytest.mark.parametrize("kind", ["sft", "dpo", "grpo"])
def test_settings_of_loading_are_heeded_and_not_called_ignored(tmp_path, kind, caplog):
    model = write_tiny_model(tmp_path / "model")
    rows = {"dpo": preference_rows, "grpo": reward_rows}.get(kind, sft_rows)()
    data = write_rows(tmp_path / "rows.jsonl", *rows)
    make = make_grpo_request if kind == "grpo" else lambda *given: make_request(kind, *given)
    settings = ("max_steps=1", "model_init_kwargs.dtype=bfloat16", "save_dtype=bfloat16")
    train(make(data, model, tmp_path / "out", *settings), lambda _: None)
    assert not [line for line in caplog.messages if "will be ignored" in line]
    assert {weight.dtype for weight in weights_of(tmp_path / "out").values()} == {torch.bfloat16}
